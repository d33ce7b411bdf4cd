"""Before what cannot be taken back: whoever is signed in shows once more that it is them.

A session that signed in, or confirmed, within five minutes has done so. The proof is the one that
signing in asks for: a password or a second factor; who has neither goes through their provider.
"""

from __future__ import annotations

import time
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib import messages
from django.http import HttpResponseRedirect
from django_htmx.http import HttpResponseClientRedirect

from tenancy.pages import MemberRequest
from tenancy.ways_in import SSO

_OF_THE_OPERATOR = ("google", "github")


def confirm_identity(request: MemberRequest, *, back_to: str = "") -> None:
    """Lets a session pass that has shown within minutes whose it is; raises the way to do so.

    That way ends at ``back_to``, or at the same address: ask before a form is shown, too, so that
    nothing is typed in vain. Nothing that was posted is kept meanwhile.
    """
    if (way := _way_to_confirm(request)) is None:
        return
    address, words = way
    here = request.get_full_path() if request.method == "GET" else request.path
    words["next"] = back_to or here
    if not get_adapter().get_reauthentication_methods(request.member.user):
        messages.info(request, "Sign in once more to confirm that it is you, then go on.")
    onward = f"{address}?{urlencode(words)}"
    # A swap would put the page into a panel.
    swaps = "HX-Request" in request.headers
    leads = HttpResponseClientRedirect(onward) if swaps else HttpResponseRedirect(onward)
    raise ImmediateHttpResponse(leads)


def _way_to_confirm(request: MemberRequest) -> tuple[str, dict[str, str]] | None:
    user = request.member.user
    records = get_authentication_records(request, user)
    fresh_since = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    if any(one["at"] > fresh_since for one in records):
        return None
    if ways := get_adapter().get_reauthentication_methods(user):
        return str(ways[0]["url"]), {}
    providers = [one["provider"] for one in records if one["method"] == "socialaccount"]
    if not providers:
        return None
    if providers[-1] in _OF_THE_OPERATOR:
        return f"/accounts/{providers[-1]}/login/", {}
    return SSO, {"email": user.email}
