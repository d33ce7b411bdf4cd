"""The audit log: who changed what, from what to what; filters and place are in the address."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from lib.ignored import Ignored
from tenancy import audit, trail
from tenancy.core import Role
from tenancy.models import AuditEntry
from tenancy.pages import (
    MemberRequest,
    keep_fragments_apart,
    member_page,
    render_page,
    wants_fragment,
)
from tenancy.selectors import PAGE_ROWS
from tenancy.trail import TrailFilters
from tenancy.trail_files import FORMATS, trail_file

AUDIT_LOG = "/audit-log"
TEMPLATE = "members/audit.html"
# How an address says since when, and how many days before today that begins.
RANGES = {"today": ("Today", 0), "7d": ("Last 7 days", 6), "30d": ("Last 30 days", 29)}
_NAMES = ("actor", "kind", "action", "object", "range", "from", "to")
_TEXT_CHARS_MAX = 254


@require_safe
@member_page
def audit_log(request: MemberRequest) -> HttpResponse:
    """Fifty entries, the newest first; ``?check=1`` walks the chain of all of them."""
    request.member.require(Role.ADMIN)
    organization_id = request.member.organization_id
    chain = audit.verify(organization_id) if request.GET.get("check") else None
    if wants_fragment(request, "chain"):
        html = render_to_string(f"{TEMPLATE}#chain", {"chain": chain}, request)
        response = HttpResponse(html)
        keep_fragments_apart(response)
        return response
    asked, ignored = _asked(request)
    filters = _filters(request, asked)
    shown, older, newer = _entries(request, filters)
    context = {
        "title": "Audit log",
        "rows": [_told(entry, asked) for entry in shown],
        "older": _address(asked, older=older) if older else "",
        "newer": _address(asked, newer=newer) if newer else "",
        "newest": _address(asked),
        "is_first": not (request.GET.get("older") or newer),
        "filters": filters,
        "asked": asked,
        "ignored": ignored,
        "without": _address(asked),
        "menus": _menus(organization_id, asked),
        "chain": chain,
        "check": _address(asked, check="1"),
        "csv": f"{AUDIT_LOG}/export?{urlencode({**asked, 'format': 'csv'})}",
        "json": f"{AUDIT_LOG}/export?{urlencode({**asked, 'format': 'json'})}",
        "zone": request.member.time_zone,
    }
    return render_page(request, TEMPLATE, context, target="entries")


@require_safe
@member_page
def export(request: MemberRequest) -> HttpResponseBase:
    """Every entry that passes the filters, streamed as CSV or JSON."""
    request.member.require(Role.ADMIN)
    kind = request.GET.get("format", "csv")
    if kind not in FORMATS:
        return HttpResponse("format is csv or json.", status=422, content_type="text/plain")
    asked, ignored = _asked(request)
    if ignored:
        said = "\n".join(map(str, ignored))
        return HttpResponse(said, status=HTTPStatus.UNPROCESSABLE_ENTITY, content_type="text/plain")
    filters = _filters(request, asked)
    return trail_file(request, request.member.organization_id, filters, kind=kind)


def _entries(request: MemberRequest, filters: TrailFilters) -> tuple[list[AuditEntry], str, str]:
    """A page, and the ids from which the older and the newer page go on."""
    found = trail.entries(request.member.organization_id, filters)
    newer_than = _entry(request, request.GET.get("newer", ""))
    if newer_than is not None:
        page = list(trail.newer_than(found, newer_than)[: PAGE_ROWS + 1])
        rows = page[:PAGE_ROWS][::-1]
        more = len(page) > PAGE_ROWS
        return rows, str(rows[-1].id) if rows else "", str(rows[0].id) if more else ""
    older_than = _entry(request, request.GET.get("older", ""))
    page = list((trail.older_than(found, older_than) if older_than else found)[: PAGE_ROWS + 1])
    rows = page[:PAGE_ROWS]
    older = str(rows[-1].id) if len(page) > PAGE_ROWS else ""
    return rows, older, str(rows[0].id) if older_than and rows else ""


def _entry(request: MemberRequest, text: str) -> AuditEntry | None:
    try:
        id_ = UUID(text)
    except ValueError:
        return None
    return AuditEntry.objects.filter(organization_id=request.member.organization_id, id=id_).first()


def _asked(request: MemberRequest) -> tuple[dict[str, str], list[Ignored]]:
    """The filters of the address as they were typed, without the empty, and those that are none."""
    given = {name: request.GET.get(name, "").strip()[:_TEXT_CHARS_MAX] for name in _NAMES}
    asked = {name: value for name, value in given.items() if value}
    flaws = {name: "No name holds a NUL." for name, value in asked.items() if "\x00" in value}
    if asked.get("range", "today") not in RANGES:
        flaws["range"] = f"Use one of: {', '.join(RANGES)}."
    for name in ("from", "to"):
        if name in asked and _midnight(request, asked[name]) is None:
            flaws[name] = "Use a day such as 2026-11-01."
    first, last = (_midnight(request, asked.get(name, "")) for name in ("from", "to"))
    if first and first > timezone.now():
        flaws["from"] = "It lies ahead, where there is no change yet."
    elif first and last and last < first:
        flaws["to"] = "It lies before the beginning."
    ignored = [Ignored(name, asked.pop(name), flaw) for name, flaw in flaws.items()]
    return asked, ignored


def _filters(request: MemberRequest, asked: dict[str, str]) -> TrailFilters:
    since = _midnight(request, asked.get("from", ""))
    until = _midnight(request, asked.get("to", ""), days=1)
    days = RANGES.get(asked.get("range", ""))
    if days and since is None and until is None:
        since = request.member.midnights(timezone.now(), days[1])[0]
    return TrailFilters(
        actor=asked.get("actor", ""),
        kind=asked.get("kind", ""),
        action=asked.get("action", ""),
        object=asked.get("object", ""),
        since=since,
        until=until,
    )


def _midnight(request: MemberRequest, text: str, *, days: int = 0) -> datetime | None:
    """When a day began for the organization, or ``days`` later, in UTC."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return datetime.combine(day, time.min, request.member.zone()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _menus(organization_id: UUID, asked: dict[str, str]) -> list[dict[str, Any]]:
    found = trail.choices(organization_id)
    kinds = [(kind, trail.thing_in_words(kind)) for kind in found.kinds]
    actions = [(action, trail.sentence(action)) for action in found.actions]
    ranges = [(value, label) for value, (label, _) in RANGES.items()]
    return [
        _menu("range", "Time", "Any time", ranges, asked),
        _menu("actor", "Who", "Everybody", [(actor, actor) for actor in found.actors], asked),
        _menu("kind", "Kind", "Everything", kinds, asked),
        _menu("action", "Change", "All changes", actions, asked),
    ]


def _menu(
    name: str, label: str, every: str, options: list[tuple[str, str]], asked: dict[str, str]
) -> dict[str, Any]:
    held = asked.get(name, "")
    more = [(held, held)] if held and held not in dict(options) else []
    return {"name": name, "label": label, "options": [("", every), *options, *more], "chosen": held}


def _told(entry: AuditEntry, asked: dict[str, str]) -> dict[str, Any]:
    return {
        "entry": entry,
        "sentence": trail.sentence(entry.action),
        "changes": trail.field_changes(entry),
        "only": _address(asked, object=str(entry.object_id)) if entry.object_id else "",
    }


def _address(asked: dict[str, str], **more: str) -> str:
    query = urlencode({**asked, **more})
    return f"{AUDIT_LOG}?{query}" if query else AUDIT_LOG
