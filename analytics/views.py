"""The list of requests, and one request with the reasons for its route."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics import selectors
from analytics.costs import cost_lines
from analytics.models import Call
from analytics.selectors import Cursor, Filters
from analytics.story import Told, milliseconds, tell
from catalog.pricing import FEMTO_PER_NANO
from lib.money import format_usd
from tenancy.pages import MemberRequest, keep_fragments_apart, member_page, render_page
from tenancy.selectors import key_names, member_emails

STATUSES = (("ok", "Succeeded"), ("failed", "Failed"), ("fallback", "After a fallback"))
# How an address says since when, and how many days before today that begins.
RANGES = {"today": ("Today", 0), "7d": ("Last 7 days", 6), "30d": ("Last 30 days", 29)}
PLAYGROUND = "Playground"
KINDS = {"cached": "cached input", "request": "per request"}
PATHS = {"chat": "chat/completions", "embeddings": "embeddings"}


@require_safe
@member_page
def requests(request: MemberRequest) -> HttpResponse:
    """Fifty requests of the organization; filters and place are in the address."""
    organization_id = request.member.organization_id
    filters = _filters(request)
    page = selectors.call_page(
        organization_id, filters, older=_cursor(request, "older"), newer=_cursor(request, "newer")
    )
    names = key_names(organization_id)
    first = Cursor(page.calls[0].created_at, page.calls[0].id) if page.calls else _start()
    context = {
        "title": "Requests",
        "rows": [_row(call, names) for call in page.calls],
        "older": _address(filters, older=page.older) if page.older else "",
        "newer": _address(filters, newer=page.newer) if page.newer else "",
        "newest": _address(filters),
        "newer_than": "/requests/newer?" + _query(filters, after=first),
        "is_first": not request.GET.get("older") and page.newer is None,
        # Nothing yet at all: its own line waits for the first request.
        "is_new": not page.calls and not filters.any,
        "filters": filters,
        "menus": _menus(request, filters, names),
        "here": "?" + request.GET.urlencode() if request.GET else "",
        "zone": request.member.time_zone,
        "curl": _curl("auto", "chat"),
    }
    return render_page(request, "analytics/requests.html", context, target="results")


@require_safe
@member_page
def newer(request: MemberRequest) -> HttpResponse:
    """Whether requests came since the list was drawn; 204 while none did.

    With ``?first=1`` asked by a page that waits for the first one.
    """
    filters = _filters(request)
    after = _cursor(request, "after") or _start()
    count = selectors.count_newer(request.member.organization_id, filters, after)
    if not count:
        response = HttpResponse(status=204)
    else:
        many = f"{selectors.PAGE_CALLS}+" if count > selectors.PAGE_CALLS else str(count)
        context = {"count": many, "one": count == 1, "newest": _address(filters)}
        part = "first" if request.GET.get("first") else "newer"
        response = render(request, f"analytics/requests.html#{part}", context)
    keep_fragments_apart(response)
    return response


@require_safe
@member_page
def request_detail(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """One request: why it was routed there, what it cost, what its sender said about it."""
    organization_id = request.member.organization_id
    call = selectors.call(organization_id, call_id)
    if call is None:
        raise Http404
    told = Told(
        status=call.status,
        error_code=call.error_code,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        decision=call.decision,
        latency_ms=call.latency_ms,
    )
    filters = _filters(request)
    newer_id, older_id = selectors.neighbors(organization_id, filters, call)
    context = {
        "title": f"Request {call.id}",
        "back": _list_address(request),
        "newer": newer_id and _detail_address(newer_id, filters),
        "older": older_id and _detail_address(older_id, filters),
        "row": _row(call, key_names(organization_id)),
        "story": tell(told),
        "lines": _cost_lines(call),
        "metadata": _tags(call),
        "curl": _curl(call.model_requested, call.task_type, stream=call.stream),
        "zone": request.member.time_zone,
        "overhead": call.overhead_us and milliseconds(round(call.overhead_us / 1000, 2)),
    }
    return render_page(request, "analytics/request.html", context)


def _menus(
    request: MemberRequest, filters: Filters, names: dict[UUID, str]
) -> list[dict[str, Any]]:
    """The filters with their choices; the one that holds is among them, even without a call."""
    options = selectors.options(request.member.organization_id, timezone.now())
    emails = member_emails(request.member.organization_id)
    emails[request.member.user.id] = f"{request.member.user.email} (you)"
    ranges = [(value, label) for value, (label, _) in RANGES.items()]
    return [
        _menu("range", "Time", "Any time", ranges, filters.range),
        _menu("status", "Status", "All statuses", STATUSES, filters.status),
        _menu("provider", "Provider", "All providers", _same(options.providers), filters.provider),
        _menu("model", "Model", "All models", _same(options.models), filters.model),
        _menu("key", "API key", "All keys", _named(options.keys, names), filters.key),
        _menu("member", "Member", "All members", _named(options.members, emails), filters.member),
    ]


def _menu(
    name: str, label: str, every: str, choices: Sequence[tuple[str, str]], chosen: object
) -> dict[str, Any]:
    held = str(chosen or "")
    known = any(value == held for value, _ in choices)
    more = [] if known or not held else [(held, held)]
    options = [("", every), *choices, *more]
    return {"name": name, "label": label, "options": options, "chosen": held}


def _same(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def _named(ids: Sequence[UUID], names: dict[UUID, str]) -> list[tuple[str, str]]:
    return [(str(id_), names.get(id_, str(id_))) for id_ in ids]


def _row(call: Call, names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "call": call,
        "status": _status(call),
        "key": _caller(call, names),
        "input": f"{call.input_tokens:,}",
        "output": f"{call.output_tokens:,}",
        "cost": format_usd(call.cost_nano),
        "latency": milliseconds(call.latency_ms),
        "first_token": "" if call.first_token_ms is None else milliseconds(call.first_token_ms),
    }


def _caller(call: Call, names: dict[UUID, str]) -> str:
    """The name of the key; a member without one called from the dashboard."""
    if call.api_key:
        return names.get(call.api_key, "")
    return PLAYGROUND if call.user else ""


def _tags(call: Call) -> list[dict[str, str]]:
    """What the sender said about the request, each with the list of all that say the same."""
    return [
        {"name": name, "value": value, "address": f"/requests?{urlencode({f'tag.{name}': value})}"}
        for name, value in call.metadata.items()
    ]


def _cost_lines(call: Call) -> list[dict[str, str]]:
    """What was used, with its part of the cost where the call's price is known."""
    lines = cost_lines(call)
    if not lines:
        used = (("input", call.input_tokens), ("output", call.output_tokens))
        return [{"label": _used(kind, count), "amount": ""} for kind, count in used if count]
    return [
        {
            "label": _used(line.kind, line.quantity),
            "amount": format_usd(line.femto_usd // FEMTO_PER_NANO),
        }
        for line in lines
    ]


def _used(kind: str, quantity: int) -> str:
    """A kind of usage with its quantity: ``Input 1,204 tokens``."""
    words = KINDS.get(kind, kind.replace("_", " "))
    unit = {"web_search": "searches", "request": ""}.get(kind, "tokens")
    return f"{words.capitalize()} {quantity:,} {unit}".rstrip()


def _status(call: Call) -> tuple[str, str]:
    """The badge's tone and its text."""
    if call.success:
        return ("warn", f"{call.status} after fallback") if call.fallback_used else ("ok", "200")
    if call.status == 499:
        return "plain", "Client left"
    return "bad", f"{call.status} {call.error_code.replace('_', ' ')}".strip()


def _filters(request: MemberRequest) -> Filters:
    """The filters of the address; what is no filter is left out."""
    status = request.GET.get("status", "")
    found = Filters(
        status=status if status in dict(STATUSES) else "",
        # Postgres takes no NUL, and no name has one.
        provider=request.GET.get("provider", "").replace("\x00", "")[:80],
        model=request.GET.get("model", "").replace("\x00", "")[:200],
        key=_uuid(request.GET.get("key", "")),
        member=_uuid(request.GET.get("member", "")),
    )
    spoken = request.GET.get("range", "")
    if spoken not in RANGES:
        return found
    days = RANGES[spoken][1]
    since = request.member.midnights(timezone.now(), days)[0]
    return replace(found, range=spoken, since=since)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _cursor(request: MemberRequest, name: str) -> Cursor | None:
    try:
        return Cursor.read(request.GET[name]) if request.GET.get(name) else None
    except ValueError:
        return None


def _start() -> Cursor:
    """The place before every call."""
    return Cursor(datetime.fromtimestamp(0, UTC), UUID(int=0))


def _query(filters: Filters, **more: Cursor) -> str:
    said = {
        "range": filters.range,
        "status": filters.status,
        "provider": filters.provider,
        "model": filters.model,
        "key": filters.key or "",
        "member": filters.member or "",
        **more,
    }
    return urlencode({name: str(value) for name, value in said.items() if value})


def _address(filters: Filters, **place: Cursor) -> str:
    query = _query(filters, **place)
    return f"/requests?{query}" if query else "/requests"


def _detail_address(call_id: UUID, filters: Filters) -> str:
    query = _query(filters)
    return f"/requests/{call_id}?{query}" if query else f"/requests/{call_id}"


def _list_address(request: MemberRequest) -> str:
    """The list that a request was opened from: its filters, and the page of it."""
    query = request.GET.urlencode()
    return f"/requests?{query}" if query else "/requests"


def _curl(model: str, operation: str, *, stream: bool = False) -> str:
    """A command that asks for the same again; what was said is not stored, so it says hello."""
    body: dict[str, Any] = {"model": model}
    if operation == "embeddings":
        body["input"] = "Hello"
    else:
        body["messages"] = [{"role": "user", "content": "Say hello"}]
    if stream:
        body["stream"] = True
    # In single quotes only a single quote has to be written another way.
    text = json.dumps(body).replace("'", "'\\''")
    return (
        f"curl {settings.PUBLIC_URL}/v1/{PATHS.get(operation, PATHS['chat'])} \\\n"
        '  -H "Authorization: Bearer $ROUTER_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{text}'"
    )
