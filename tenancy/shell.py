"""The frame around every page: its sections, tabs and keys, and what a browser remembers of it.

1. A section or tab is shown as soon as its address resolves, so nothing points at a missing page.
2. ``shell`` gives templates the frame. It asks Postgres nothing behind ``member_page``; elsewhere,
   as on the pages of an account, it looks up the organizations once.
3. The choice of theme, of keyboard shortcuts and the last tab are cookies, so that the server
   renders them and nothing flashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event
from django_htmx.middleware import HtmxDetails

from tenancy.core import Role
from tenancy.models import User
from tenancy.pages import (
    HOME,
    NEW_ORGANIZATION,
    ORGANIZATION_IN_SESSION,
    TAB_COOKIE,
    THEME_COOKIE,
    Member,
    Theme,
    keep_in_cookie,
    memberships_of,
)

KEYS_COOKIE = "er-keys"
KEYS = ("on", "off")


@dataclass(frozen=True, slots=True)
class Link:
    """A page in the sidebar or a tab; ``key`` follows ``g`` on the keyboard.

    ``under`` is what the addresses of its pages begin with. ``needs`` is the role without which the
    page is refused, so that nobody is led there for nothing.
    """

    name: str
    label: str
    path: str
    key: str = ""
    under: str = ""
    needs: Role = Role.VIEWER

    def holds(self, path: str) -> bool:
        """Whether a page belongs to this section."""
        start = self.under or self.path
        return path == start or path.startswith(start.rstrip("/") + "/")


GET_STARTED = Link("get-started", "Get started", "/get-started", "s")
TABS = (
    Link("preferences", "Preferences", "/enterprise-router/preferences", "p"),
    Link("ab-testing", "A/B Testing", "/enterprise-router/ab-testing", "t"),
    Link("cost-alerts", "Cost Alerts", "/enterprise-router/cost-alerts", "c"),
    Link("analytics", "Analytics", "/enterprise-router/analytics", "a"),
)
ROUTER = Link("router", "Enterprise Router", TABS[0].path, under=HOME)
GROUPS = (
    (
        "",
        (
            GET_STARTED,
            ROUTER,
            Link("requests", "Requests", "/requests", "r"),
            Link("playground", "Playground", "/playground", "y"),
        ),
    ),
    (
        "Configure",
        (
            Link("api-keys", "API keys", "/api-keys", "k"),
            Link("providers", "Providers", "/providers", "v"),
        ),
    ),
    (
        "Organization",
        (
            Link("members", "Members & roles", "/members", "m"),
            Link("audit-log", "Audit log", "/audit-log", "l", needs=Role.ADMIN),
            Link("organization", "Settings", "/organization", "o"),
        ),
    ),
)
ACCOUNT = (
    Link("email", "Email addresses", "/accounts/email/"),
    Link("password", "Password", "/accounts/password/change/"),
    Link("mfa", "Two-factor authentication", "/accounts/2fa/"),
    Link("sessions", "Sessions", "/accounts/sessions/"),
    Link("connections", "Connected accounts", "/accounts/3rdparty/"),
)
API_DOCS = Link("api-docs", "API docs", "/api/docs", "d")


@cache
def exists(path: str) -> bool:
    """Whether an address of ours leads anywhere. For addresses that stand in code alone."""
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def tabs() -> tuple[Link, ...]:
    """The tabs of Enterprise Router whose pages exist."""
    return tuple(tab for tab in TABS if exists(tab.path))


class Shell:
    """What the templates around a page may ask for."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def memberships(self) -> list[Member]:
        """The organizations of whoever is signed in, the oldest first."""
        known = getattr(self._request, "memberships", None)
        if known is not None:
            return cast(list[Member], known)
        user = getattr(self._request, "user", None)
        return memberships_of(user) if user is not None and user.is_authenticated else []

    @cached_property
    def member(self) -> Member | None:
        """The open organization's member, or None: nobody is signed in, or they have none."""
        known = getattr(self._request, "member", None)
        if known is not None or not self.memberships:
            return cast("Member | None", known)
        chosen = self._request.session.get(ORGANIZATION_IN_SESSION)
        found = [m for m in self.memberships if str(m.organization_id) == chosen]
        return (found or self.memberships)[0]

    @property
    def frame(self) -> str:
        """The template that a page for everybody extends: with the sidebar for members."""
        return "base.html" if self.member else "_entrance.html"

    @property
    def groups(self) -> list[tuple[str, list[Link]]]:
        """The sidebar: headings with their links."""
        shown = [(name, [link for link in links if self._shows(link)]) for name, links in GROUPS]
        return [(name, links) for name, links in shown if links]

    @property
    def current(self) -> str:
        """The name of the section that is open."""
        path = self._request.path
        return next((ln.name for _, links in GROUPS for ln in links if ln.holds(path)), "")

    @property
    def tabs(self) -> tuple[Link, ...]:
        """The tabs of Enterprise Router."""
        return tabs()

    @property
    def pages(self) -> list[Link]:
        """Every page that the keyboard and the palette reach, each once."""
        sections = [link for _, links in self.groups for link in links if link is not ROUTER]
        more = [API_DOCS] if exists(API_DOCS.path) else []
        return [*self.tabs, *sections, *more]

    @property
    def account(self) -> list[Link]:
        """The pages of whoever is signed in."""
        return [link for link in ACCOUNT if exists(link.path)]

    @property
    def help(self) -> list[Link]:
        """What the help menu leads to."""
        return [link for link in (GET_STARTED, API_DOCS) if exists(link.path)]

    @property
    def mail_in_terminal(self) -> bool:
        """Whether messages are printed where the server runs, for want of a mail server."""
        return bool(settings.EMAIL_CONSOLE)

    @property
    def new_organization(self) -> str:
        """Where a member makes one more organization."""
        return f"{NEW_ORGANIZATION}?another=1"

    @property
    def keys(self) -> str:
        """Whether keyboard shortcuts are ``on`` or ``off``."""
        chosen = self._request.COOKIES.get(KEYS_COOKIE, "on")
        return chosen if chosen in KEYS else "on"

    def _shows(self, link: Link) -> bool:
        return exists(link.path) and (self.member is None or self.member.may(link.needs))


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the frame as ``shell``."""
    return {"shell": Shell(request)}


def last_tab(request: HttpRequest) -> Link | None:
    """The tab that this browser had open last."""
    name = request.COOKIES.get(TAB_COOKIE)
    return next((tab for tab in tabs() if tab.name == name), None)


@require_POST
@login_required
def choose_organization(request: HttpRequest) -> HttpResponse:
    """Opens another organization of the same user; one that is not theirs is not found."""
    asked = request.POST.get("organization", "")
    if asked not in {str(m.organization_id) for m in memberships_of(cast(User, request.user))}:
        raise Http404
    request.session[ORGANIZATION_IN_SESSION] = asked
    return HttpResponseRedirect(HOME)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keeps the chosen theme."""
    try:
        chosen = Theme(request.POST.get("theme", ""))
    except ValueError:
        return _refused("Choose system, light or dark.")
    return keep_in_cookie(_kept(request, "theme", chosen), THEME_COOKIE, chosen)


@require_POST
def keys(request: HttpRequest) -> HttpResponse:
    """Keeps whether keyboard shortcuts are on."""
    chosen = request.POST.get("keys", "")
    if chosen not in KEYS:
        return _refused("Choose on or off.")
    return keep_in_cookie(_kept(request, "keys", chosen), KEYS_COOKIE, chosen)


def _refused(text: str) -> HttpResponse:
    return HttpResponse(
        text, status=HTTPStatus.UNPROCESSABLE_ENTITY, content_type="text/plain; charset=utf-8"
    )


def _kept(request: HttpRequest, event: str, value: str) -> HttpResponse:
    """Tells htmx what holds now; leads a plain form back to its page."""
    if not HtmxDetails(request):
        return HttpResponseRedirect(_own_address(request, request.POST.get("next", "")))
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    return trigger_client_event(response, event, {"value": value})


def _own_address(request: HttpRequest, address: str) -> str:
    ours = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if ours else HOME
