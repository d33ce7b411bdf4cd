"""What all pages share: whole page or fragment, the gate to them, what a browser remembers.

1. A view calls ``render_page``; only a targeted htmx swap gets a fragment.
2. The fragment is the template's part with the target's name, so both live in one file.
3. ``member_page`` is the gate of every page behind sign-in: it finds the member and opens the
   organization's scope. ``tenancy.shell`` is the frame around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import update_wrapper
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.html import format_html
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from django_htmx.middleware import HtmxDetails

from tenancy.api_auth import address_of
from tenancy.core import Actor, Role, may
from tenancy.models import User
from tenancy.scope import tenant_scope
from tenancy.ways_in import detour, say_why

P = ParamSpec("P")
ORGANIZATION_IN_SESSION = "organization"
THEME_COOKIE = "er-theme"
TAB_COOKIE = "er-tab"
_COOKIE_S = 365 * 24 * 3600
HOME = "/enterprise-router/"
NEW_ORGANIZATION = "/enterprise-router/organization/new"


class Theme(StrEnum):
    """The colours of the pages; ``SYSTEM`` follows the browser."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Member:
    """A signed-in user in the organization whose page is open."""

    user: User
    organization_id: UUID
    organization: str
    role: Role
    time_zone: str
    requires_mfa: bool = False
    sso_domains: Sequence[str] = ()

    def may(self, needed: Role) -> bool:
        """Whether the role includes ``needed``."""
        return may(self.role, needed)

    def require(self, needed: Role) -> None:
        """Raises ``PermissionDenied`` (403) when the role does not include ``needed``."""
        if not self.may(needed):
            giver = "An owner" if needed is Role.OWNER else "An admin"
            raise PermissionDenied(
                f"This needs the role {needed}; yours is {self.role}. {giver} can change that."
            )

    def zone(self) -> ZoneInfo:
        """The organization's reporting time zone."""
        return ZoneInfo(self.time_zone)

    def midnights(self, now: datetime, days: int = 0) -> list[datetime]:
        """When each of the last ``days`` days and today began for the organization, in UTC."""
        zone = self.zone()
        today = now.astimezone(zone).date()
        dates = (today - timedelta(days=back) for back in range(days, -1, -1))
        # In UTC, because Python compares two times of one zone by their clocks alone.
        return [datetime.combine(date, time.min, zone).astimezone(UTC) for date in dates]

    def actor(self, request: HttpRequest) -> Actor:
        """The member as the audit trail names them."""
        return actor_of(self.user, request)


def actor_of(user: User, request: HttpRequest) -> Actor:
    """A signed-in user as the audit trail names them, with the address they come from."""
    return Actor(kind="user", id=user.id, name=user.email, source=address_of(request))


class MemberRequest(HttpRequest):
    """A request that passed ``member_page``; ``in_scope`` while its view runs."""

    member: Member
    memberships: list[Member]
    in_scope: bool


def member_page(
    view: Callable[Concatenate[MemberRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Lets only members in; runs the view in their organization's scope and time zone.

    Nobody signed in: to the sign-in page. A member of none: to making one. A member of several
    gets the one chosen last, or the oldest. Where the organization requires single sign-on or a
    second factor, that comes first.
    """
    return _gated(view, in_scope=True)


def waiting_page(
    view: Callable[Concatenate[MemberRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """As ``member_page`` for a view that waits for another server: it opens scopes by itself.

    A scope is a transaction, which nobody may hold open for seconds.
    """
    return _gated(view, in_scope=False)


def _gated(
    view: Callable[Concatenate[MemberRequest, P], HttpResponseBase], *, in_scope: bool
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    def gated(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        user = cast(User, request.user)
        memberships = memberships_of(user)
        chosen = request.session.get(ORGANIZATION_IN_SESSION)
        found = [m for m in memberships if str(m.organization_id) == chosen] or memberships
        if not found:
            return HttpResponseRedirect(NEW_ORGANIZATION)
        mine = cast(MemberRequest, request)
        mine.memberships = memberships
        mine.member = found[0]
        swaps = "HX-Request" in request.headers
        here = current_page(request) if swaps else request.get_full_path()
        if way := detour(request, mine.member, back_to=here if request.method == "GET" else HOME):
            if swaps:  # A redirect would put the page into a panel.
                return HttpResponseClientRedirect(way)
            say_why(request, mine.member, way)
            return HttpResponseRedirect(way)
        zone = mine.member.zone()
        scope = tenant_scope(mine.member.organization_id) if in_scope else nullcontext()
        with timezone.override(zone), scope:
            mine.in_scope = in_scope
            try:
                return view(mine, *args, **kwargs)
            finally:
                mine.in_scope = False

    update_wrapper(gated, view)
    return login_required(gated)


def memberships_of(user: User) -> list[Member]:
    """The organizations that a user belongs to, the oldest first. Works outside every scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, name, role, time_zone, require_mfa, sso_domains"
            " FROM app.user_memberships(%s)",
            [user.id],
        )
        rows = cursor.fetchall()
    return [Member(user, id_, name, Role(role), *more) for id_, name, role, *more in rows]


def wants_fragment(request: HttpRequest, target: str) -> bool:
    """Whether htmx asks for the part called ``target`` alone.

    A boosted link and a restore of history want the whole page. htmx 4 sends ``section#panel``
    where htmx 2 sends ``panel``.
    """
    htmx = HtmxDetails(request)
    return (
        bool(htmx)
        and not htmx.boosted
        and not htmx.history_restore_request
        and (htmx.target or "").rpartition("#")[2] == target
    )


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    target: str = "panel",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """The page, or its part ``target`` to a swap of that part.

    ``context["title"]`` is the page's title; ``context["tab"]``, where set, moves the mark in the
    tab bar along with a swapped panel, and is the tab that the next visit opens.
    """
    if wants_fragment(request, target):
        html = format_html("<title>{} · Enterprise Router</title>", context["title"])
        html += render_to_string(f"{template}#{target}", context, request)
        if target == "panel" and "tab" in context:
            html += render_to_string("_tabs.html", {**context, "out_of_band": True}, request)
    else:
        html = render_to_string(template, context, request)
    response = HttpResponse(html, status=status)
    keep_fragments_apart(response)
    tab = context.get("tab")
    if tab and request.COOKIES.get(TAB_COOKIE) != tab:
        keep_in_cookie(response, TAB_COOKIE, tab)
    return response


def keep_in_cookie(response: HttpResponse, name: str, value: str) -> HttpResponse:
    """The response, which also makes the browser remember ``value`` for a year."""
    response.set_cookie(
        name,
        value,
        max_age=_COOKIE_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def keep_fragments_apart(response: HttpResponse) -> None:
    """Stops a browser's cache from showing a fragment where a page belongs."""
    patch_vary_headers(response, ("HX-Request", "HX-Target"))
    response.headers["Cache-Control"] = "private, no-cache"


def toast(response: HttpResponse, text: str, *, bad: bool = False) -> HttpResponse:
    """The response, which also shows ``text`` in a corner of the page for some seconds."""
    return trigger_client_event(response, "toast", {"text": text, "bad": bad})


def current_page(request: HttpRequest) -> str:
    """The path of the page that a htmx request came from, or "" when it is not one of ours."""
    return HtmxDetails(request).current_url_abs_path or ""
