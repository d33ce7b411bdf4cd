"""Get started: the key inside a request to copy, and a line that waits for it to arrive.

1. A key is shown once, right after it was made; afterwards the requests name a variable.
2. ``events`` says over a stream when the line changes: each second the ledger is asked, for at
   most ten minutes. Where streams do not pass, the page asks ``waiting`` every three seconds.
3. ``send`` makes the first call itself, as the member, through the gateway of this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from catalog.models import Deployment
from preferences.keys.rights import holder_of
from routing.gate import enter, for_senders
from routing.incoming import Incoming
from routing.progress import hide, progress_of
from routing.runtime import current
from routing.snippets import HELLO, VARIABLE, snippets
from routing.waiting import state_of, wait_for
from tenancy.api_auth import address_of
from tenancy.core import Role, Scope
from tenancy.event_stream import DONE, Event, event_stream
from tenancy.models import ApiKeySecret
from tenancy.once import keep_for_next_page, take
from tenancy.pages import Member, MemberRequest, keep_fragments_apart, member_page, render_page
from tenancy.selectors import api_keys
from tenancy.services import create_key

ADDRESS = "/get-started"
TEMPLATE = "start/page.html"
KEY_NAME = "Get started"
NO_GATEWAY = "This server does not run the gateway, so it cannot send a request."


@require_safe
@never_cache
@member_page
def page(request: MemberRequest) -> HttpResponse:
    """The steps to the first request and beyond; a key that was just made is shown, this once."""
    member = request.member
    secret = take(request, member.organization_id) if request.method == "GET" else None
    wait_for(member.organization_id, address_of(request))
    newest = _newest_secret(member)
    context = {
        "title": "Get started",
        "member": member,
        "secret": secret,
        "newest": newest,
        "variable": VARIABLE,
        "snippets": snippets(settings.PUBLIC_URL, secret),
        "has_model": _has_model(member),
        "may_send": member.may(Role.MEMBER),
        "may_configure": member.may(Role.ADMIN),
        "progress": progress_of(member.organization_id, member.user.id),
        "state": state_of(member.organization_id),
        "zone": member.time_zone,
    }
    return render_page(request, TEMPLATE, context)


@require_safe
@member_page
def waiting(request: MemberRequest) -> HttpResponse:
    """The line that waits, as of now."""
    wait_for(request.member.organization_id, address_of(request))
    response = HttpResponse(_line(request.member))
    keep_fragments_apart(response)
    return response


@require_safe
@member_page
def events(request: MemberRequest) -> HttpResponseBase:
    """The line as server-sent events: ``line`` with HTML when it changed, ``done`` at the end."""
    member, address = request.member, address_of(request)
    shown = ""

    def poll() -> Sequence[Event]:
        nonlocal shown
        wait_for(member.organization_id, address)
        line = _line(member)
        if line == shown:
            return []
        shown = line
        told = Event("line", line)
        return [told, DONE] if "data-arrived" in line else [told]

    return event_stream(request, poll)


def _line(member: Member) -> str:
    state = state_of(member.organization_id)
    context: dict[str, Any] = {"state": state, "zone": member.time_zone}
    if state.arrived:
        context["progress"] = progress_of(member.organization_id, member.user.id)
    return render_to_string(f"{TEMPLATE}#line", context)


@require_POST
async def send(request: HttpRequest) -> HttpResponseBase:
    """Makes the first call as the member; the line that waits tells what came of it."""
    member = await enter(request, for_senders)
    if isinstance(member, HttpResponseBase):
        return member
    runtime = current()
    if runtime is None:
        return HttpResponse(
            NO_GATEWAY, status=HTTPStatus.SERVICE_UNAVAILABLE, content_type="text/plain"
        )
    gateway = runtime.member_gateway(member.organization_id.hex, member.user.id.hex)
    body = {"model": "auto", "messages": [{"role": "user", "content": HELLO}]}
    await gateway.call(Incoming([], orjson.dumps(body), ""), "chat")
    if "HX-Request" in request.headers:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return HttpResponseRedirect(f"{ADDRESS}#first")


@require_POST
@member_page
def another_key(request: MemberRequest) -> HttpResponse:
    """Makes one more key for calls and shows it once on the page."""
    member = request.member
    member.require(Role.ADMIN)
    made = create_key(
        member.organization_id,
        name=KEY_NAME,
        scopes=[Scope.GATEWAY],
        actor=member.actor(request),
        user=member.user,
    )
    keep_for_next_page(request, member.organization_id, made.secret)
    return HttpResponseRedirect(f"{ADDRESS}#key")


@require_POST
@member_page
def dismiss(request: MemberRequest) -> HttpResponse:
    """Takes Get started out of the member's sidebar."""
    hide(request.member)
    messages.success(request, f"Get started is hidden. It stays at {ADDRESS}.")
    return HttpResponseRedirect("/enterprise-router/")


def _newest_secret(member: Member) -> ApiKeySecret | None:
    """The newest secret that makes calls for the member; admins without one have any newest."""
    now = timezone.now()
    lasts = Q(expires_at=None) | Q(expires_at__gt=now)
    works = api_keys(member.organization_id).filter(
        lasts, revoked_at=None, scopes__contains=[Scope.GATEWAY]
    )
    key = works.filter(user=member.user).first()
    if key is None and holder_of(member) is None:
        key = works.first()
    if key is None:
        return None
    live = [one for one in key.secrets.all() if one.expires_at is None or one.expires_at > now]
    # A rotation leaves the older one its overlap; the newer one stays.
    return max(live, key=lambda one: one.created_at, default=None)


def _has_model(member: Member) -> bool:
    found: Any = Deployment.objects.filter(
        organization_id=member.organization_id,
        active=True,
        provider__active=True,
        operation="chat",
    )
    return bool(found.exists())
