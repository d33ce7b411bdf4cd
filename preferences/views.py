"""The preferences page: every field saves by itself, and works as a plain form too.

1. A field's form posts its value and ``was``, the value that its author saw.
2. Somebody else stored another value since: 409, with theirs and yours to choose from.
3. Not a value that can be stored: 422, the message beside the field, nothing changed.
4. Saved: a message with Undo and the value's effect; never the input, so the caret stays.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from analytics.selectors import has_calls
from catalog.selectors import provider_slugs
from lib.errors import RouterError
from preferences import services
from preferences.board import (
    Board,
    Message,
    Row,
    Scope,
    build,
    last_author,
    may_change,
    moved,
    providers_of,
    row_of,
    shown_to_people,
    with_message,
)
from preferences.forms import FIELDS, Field, Invalid, read_providers
from tenancy.core import Role
from tenancy.pages import (
    MemberRequest,
    keep_fragments_apart,
    member_page,
    render_page,
    wants_fragment,
)
from tenancy.shell import last_tab, tabs

TEMPLATE = "preferences/page.html"


@require_safe
@member_page
def home(request: MemberRequest) -> HttpResponse:
    """The tab that was open last; else Analytics once there is traffic, and before Preferences."""
    found = {tab.name: tab for tab in tabs()}
    usual = found["preferences"]
    if "analytics" in found and has_calls(request.member.organization_id):
        usual = found["analytics"]
    return HttpResponseRedirect((last_tab(request) or usual).path)


@require_safe
@member_page
def page(request: MemberRequest) -> HttpResponse:
    """Preferences of the organization or, with ``?scope=mine``, of the signed-in user."""
    default = Scope.ORGANIZATION if request.member.may(Role.ADMIN) else Scope.MINE
    scope = _scope(request.GET.get("scope", default))
    return _whole(request, build(scope, request.member))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def field(request: MemberRequest, scope: str, name: str) -> HttpResponse:
    """One field: as it is stored now (GET), or saved (POST)."""
    level = _scope(scope)
    if name != "providers" and name not in FIELDS:
        raise Http404
    if request.method != "POST":
        return _answer(request, level, name, None)
    request.member.require(may_change(level, request.member))
    if name == "providers":
        return _save_providers(request, level)
    return _save_field(request, level, FIELDS[name])


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        raise Http404 from None


def _save_field(request: MemberRequest, scope: Scope, field: Field) -> HttpResponse:
    typed = request.POST.get("value", "")
    try:
        value = field.parse(typed)
        was = field.parse(request.POST.get("was", ""))
    except Invalid as why:
        refused = Message("error", str(why))
        return _answer(request, scope, field.name, refused, value=typed, status=422)
    row = row_of(scope, request.member)
    stored = getattr(row, field.column)
    if value == stored:
        if wants_fragment(request, f"{field.name}-after") and not request.POST.get("refused"):
            # A second event for the same value must not take the message with its Undo away.
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        return _answer(request, scope, field.name, None)
    if stored != was:
        conflict = _conflict(request, row, field, stored)
        return _answer(request, scope, field.name, conflict, value=typed, status=409)
    try:
        _store(request, scope, row, {field.column: value})
    except RouterError as why:
        refused = Message("error", why.message)
        return _answer(request, scope, field.name, refused, value=typed, status=why.status)
    return _answer(request, scope, field.name, _saved(request, undo=field.show(stored)))


def _conflict(request: MemberRequest, row: Row, field: Field, stored: Any) -> Message:
    author = last_author(row)
    who, when = (author[0], f" at {_clock(request, author[1])}") if author else ("Somebody", "")
    theirs = shown_to_people(field.name, stored)
    return Message("conflict", f"{who} changed this to {theirs}{when}.", theirs=theirs)


def _save_providers(request: MemberRequest, scope: Scope) -> HttpResponse:
    row = row_of(scope, request.member)
    stored = providers_of(row)
    try:
        if "value" in request.POST:
            wanted = read_providers(request.POST["value"])
        else:
            wanted = stored.put(request.POST.get("slug", ""), request.POST.get("to", ""))
        if wanted == stored:
            return _answer(request, scope, "providers", None)
        lists = {
            "preferred_providers": list(wanted.preferred),
            "blocked_providers": list(wanted.blocked),
        }
        _store(request, scope, row, lists)
    except (Invalid, RouterError) as why:
        status = why.status if isinstance(why, RouterError) else HTTPStatus.UNPROCESSABLE_ENTITY
        refused = Message("error", str(why))
        return _answer(request, scope, "providers", refused, status=status)
    names = provider_slugs(request.member.organization_id)
    saved = _saved(request, undo=stored.text(), what=moved(stored, wanted, names))
    return _answer(request, scope, "providers", saved)


def _store(request: MemberRequest, scope: Scope, row: Row, changes: dict[str, Any]) -> None:
    member = request.member
    services.save_preferences(
        member.organization_id,
        member.user.id if scope is Scope.MINE else None,
        changes,
        actor=member.actor(request),
        version=row.updated_at,
    )


def _saved(request: MemberRequest, *, undo: str, what: str = "") -> Message:
    text = f"{what} Saved {_clock(request, timezone.now())}".strip()
    return Message("saved", text, undo=undo)


def _clock(request: MemberRequest, moment: datetime) -> str:
    return moment.astimezone(request.member.zone()).strftime("%H:%M")


def _whole(request: MemberRequest, board: Board, *, status: int = HTTPStatus.OK) -> HttpResponse:
    context = {"title": "Preferences", "tab": "preferences", "board": board}
    return render_page(request, TEMPLATE, context, status=status)


def _answer(
    request: MemberRequest,
    scope: Scope,
    name: str,
    message: Message | None,
    *,
    value: str | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """The field to htmx, or only what stands after its input; the page to a plain form."""
    board = build(scope, request.member)
    if message is not None:
        board = with_message(board, name, message, value=value)
    whole_field = "providers" if name == "providers" else "field"
    for target, part in ((f"{name}-after", "after"), (f"f-{name}", whole_field)):
        if wants_fragment(request, target):
            # Until a conflict is settled the field keeps ``was``, so that nothing overwrites.
            context = {
                "board": board,
                "control": board.control(name),
                "fragment": True,
                "seen": request.POST.get("was", ""),
            }
            html = render_to_string(f"{TEMPLATE}#{part}", context, request)
            html += render_to_string(f"{TEMPLATE}#last_change", context, request)
            if name == "cost-threshold":
                html += render_to_string(f"{TEMPLATE}#overspend", context, request)
            response = HttpResponse(html, status=status)
            keep_fragments_apart(response)
            return response
    if status != HTTPStatus.OK:
        return _whole(request, board, status=status)
    if message is not None:
        messages.success(request, f"{message.text}.")
    return HttpResponseRedirect(f"/enterprise-router/preferences?scope={scope}")
