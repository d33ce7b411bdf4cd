"""The organization's settings, its export and its end."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from analytics.ending import end_organization
from analytics.export import export_organization
from lib.errors import RouterError
from tenancy.checks import invalid
from tenancy.confirm import confirm_identity
from tenancy.core import Role
from tenancy.models import Organization
from tenancy.organization import FIELDS, change_organization
from tenancy.pages import HOME, ORGANIZATION_IN_SESSION, MemberRequest, member_page, render_page
from tenancy.shell import exists
from tenancy.zones import regions

ORGANIZATION = "/organization"
TEMPLATE = "organization/page.html"
_DIGITS_MAX = 6


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def organization(request: MemberRequest) -> HttpResponse:
    """The settings (GET), or some of them changed (POST).

    The form also posts what was seen of each field, so that nothing is overwritten unseen.
    """
    if request.method != "POST":
        return _page(request)
    request.member.require(Role.ADMIN)
    try:
        typed = {name: _read(name, request.POST.get(name, "")) for name in FIELDS}
        seen = {name: _read(name, request.POST.get(f"was_{name}", "")) for name in FIELDS}
        changed = {name: value for name, value in typed.items() if value != seen[name]}
        change_organization(
            request.member.organization_id,
            changed,
            actor=request.member.actor(request),
            seen=seen,
        )
    except RouterError as why:
        return _page(request, refused=why, status=why.status)
    messages.success(request, "Saved." if changed else "Nothing was changed.")
    return HttpResponseRedirect(ORGANIZATION)


@require_safe
@member_page
def organization_export(request: MemberRequest) -> HttpResponseBase:
    """Everything of the organization as lines of JSON, without a secret."""
    member = request.member
    member.require(Role.ADMIN)
    return export_organization(
        request, member.organization_id, name=member.organization, actor=member.actor(request)
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def organization_delete(request: MemberRequest) -> HttpResponse:
    """Asks for the name (GET), then deletes the organization with all it has (POST)."""
    request.member.require(Role.OWNER)
    confirm_identity(request)
    if request.method != "POST":
        return _ask(request)
    name = request.member.organization
    try:
        end_organization(
            request.member.organization_id,
            typed_name=request.POST.get("name", ""),
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _ask(request, refused=why, status=why.status)
    request.session.pop(ORGANIZATION_IN_SESSION, None)
    messages.success(request, f"{name} is deleted. Its keys do not work any more.")
    return HttpResponseRedirect(HOME)


def _page(
    request: MemberRequest, *, refused: RouterError | None = None, status: int = HTTPStatus.OK
) -> HttpResponse:
    row = Organization.objects.get(id=request.member.organization_id)
    stored = {name: _show(getattr(row, name)) for name in FIELDS}
    posted = {name: request.POST.get(name, "") for name in FIELDS}
    context: dict[str, Any] = {
        "title": "Settings",
        "stored": stored,
        "typed": posted if refused else stored,
        # After a conflict, saving again is meant to win.
        "errors": {refused.param: refused.message} if refused else {},
        "zones": regions(posted["time_zone"] if refused else row.time_zone, timezone.now()),
        "days_max": settings.LEDGER_RETENTION_DAYS,
        "may_change": request.member.may(Role.ADMIN),
        "may_delete": request.member.may(Role.OWNER),
        "security": exists(f"{ORGANIZATION}/security"),
        "organization": row,
    }
    return render_page(request, TEMPLATE, context, target="settings", status=status)


def _ask(
    request: MemberRequest, *, refused: RouterError | None = None, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        "title": "Delete the organization",
        "refused": refused,
        "typed": request.POST.get("name", ""),
    }
    return render_page(request, "organization/delete.html", context, target="ask", status=status)


def _show(value: object) -> str:
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)


def _read(name: str, text: str) -> Any:
    if name == "store_bodies":
        return text == "on"
    text = text.strip()
    if not name.endswith("_days"):
        return text
    if not text and name == "retention_days":
        return None
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        raise invalid(name, "Enter a number of days.")
    return int(text)
