"""The list of requests, its live tail, and one request with the reasons for its route."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import DatabaseError, connection, transaction
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics import call_selectors, selectors
from analytics.bodies import bodies, may_read
from analytics.call_rows import (
    cost_in_words,
    curl,
    curl_again,
    is_interrupted,
    shown,
    told_of,
)
from analytics.call_selectors import Cursor
from analytics.filter_bar import DEFAULT_RANGE, bar, in_words, pairs
from analytics.filters import CUSTOM, Filters, between, read_filters
from analytics.guide import Slot
from analytics.histogram import Bar, bars
from analytics.models import Call
from analytics.notes import lacks
from analytics.story import tell
from analytics.tags import are_all
from lib.figures import count, counted, duration
from tenancy.event_stream import Event, event_stream
from tenancy.pages import (
    Member,
    MemberRequest,
    keep_fragments_apart,
    member_page,
    render_page,
    wants_fragment,
)
from tenancy.selectors import key_names
from tenancy.shell import exists

TEMPLATE = "analytics/requests.html"
# The part of a request's page that the list shows beside it.
BESIDE = "call-detail"
# A list that takes longer says so, and the rest of the page stands.
READ_MS_MAX = 8_000
# A call is told when it ends, and listed where it began: so long ago a live one may have begun.
LATE = timedelta(minutes=5)
# So soon after its end a call is in the ledger, unless the drainer is behind.
WRITTEN_WITHIN = timedelta(seconds=10)
# A tail that goes on after a break tells at most so many pages of what was missed.
CATCH_UP_POLLS = 4
# The sums above a live list follow its rows at most so often.
SUMS_EVERY = timedelta(seconds=5)


@require_safe
@member_page
def requests(request: MemberRequest) -> HttpResponse:
    """Fifty requests of the organization; filters and place are in the address."""
    filters = _filters(request)
    names = key_names(request.member.organization_id)
    context = {
        "title": "Requests",
        "bar": bar(request.member, filters, names, timezone.now()),
        "zone": request.member.time_zone,
        "here": "?" + request.GET.urlencode() if request.GET else "",
        "refresh": _address(filters),
        "clear": "/requests",
        **_results(request, filters, names),
    }
    return render_page(request, TEMPLATE, context, target="results")


@require_safe
@member_page
def newer(request: MemberRequest) -> HttpResponse:
    """Whether requests came since the list was drawn; 204 while none did.

    With ``?first=1`` asked by a page that waits for the first one.
    """
    filters = _filters(request)
    after = _cursor(request, "after") or Cursor(filters.start or _START, UUID(int=0))
    found = call_selectors.newer_count(request.member.organization_id, filters, after)
    if not found:
        response = HttpResponse(status=204)
    else:
        many = f"{call_selectors.PAGE_CALLS}+" if found > call_selectors.PAGE_CALLS else str(found)
        context = {"count": many, "one": found == 1, "newest": _address(filters)}
        part = "first" if request.GET.get("first") else "newer"
        response = render(request, f"{TEMPLATE}#{part}", context)
    keep_fragments_apart(response)
    return response


@require_safe
@member_page
def live(request: MemberRequest) -> HttpResponseBase:
    """Requests as they come: rows for the top of the list, as server-sent events.

    ``?drawn=`` says until when the page knows all; the ids of events do so from then on, and there
    are none before all that was missed is told. ``gap`` says that it took too long to find.
    """
    filters = _filters(request).but(until=None)
    organization_id = request.member.organization_id
    # A browser that was cut off says where it stopped.
    drawn = _moment(request.headers.get("Last-Event-ID") or request.GET.get("drawn", ""))
    known = call_selectors.ended(organization_id, filters, drawn - LATE, drawn - WRITTEN_WITHIN)
    names = key_names(organization_id)
    here = _address(filters, path="")
    catching_up = CATCH_UP_POLLS
    # The sums are told at first, for what came before the stream did.
    are_stale, summed_at = True, timezone.now() - SUMS_EVERY

    def poll() -> Sequence[Event]:
        nonlocal are_stale, catching_up, summed_at
        now = timezone.now()
        since = (drawn if catching_up else now) - LATE
        for id_ in [id_ for id_, at in known.items() if at < since]:
            del known[id_]
        read = partial(call_selectors.arrivals, organization_id, filters, since, list(known))
        calls = _in_time(read) if catching_up else read()
        if calls is None:
            catching_up = 0
            return [Event("gap", "", str(_micros(now)))]
        known.update({call.id: call.created_at for call in calls})
        catching_up = max(0, catching_up - 1) if len(calls) == call_selectors.PAGE_CALLS else 0
        context = {"zone": request.member.time_zone, "here": here}
        rows = [{"row": shown(call, names), **context} for call in reversed(calls)]
        until = "" if catching_up else str(_micros(now))
        events = [Event("row", render_to_string(f"{TEMPLATE}#row", row), until) for row in rows]
        are_stale = are_stale or bool(rows)
        if are_stale and now - summed_at >= SUMS_EVERY:
            are_stale, summed_at = False, now
            events += _sums(request)
        return events

    return event_stream(request, poll)


@require_safe
@member_page
def request_detail(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """One request: why it was routed there, what it cost, what its sender said about it."""
    organization_id = request.member.organization_id
    call = selectors.call(organization_id, call_id)
    if call is None:
        raise Http404
    found = bodies(organization_id, call.id)
    again = found.request if found and may_read(request.member, call) else None
    filters = _filters(request)
    guide = call_selectors.slots(organization_id, filters)
    newer_id, older_id = call_selectors.neighbors(organization_id, filters, guide, call)
    context = {
        "title": f"Request {call.id}",
        "is_beside": wants_fragment(request, BESIDE),
        "back": _address(request.GET.urlencode()),
        "newer": newer_id and _address(filters, path=f"/requests/{newer_id}"),
        "older": older_id and _address(filters, path=f"/requests/{older_id}"),
        "row": shown(call, key_names(organization_id)),
        "story": tell(told_of(call)),
        "is_interrupted": is_interrupted(call),
        "found": found,
        "lines": cost_in_words(call),
        "metadata": _tags(call),
        "curl": curl_again(call, again) if again else _placeholder(call),
        "is_placeholder": again is None,
        "may_replay": call.task_type == "chat" and exists("/playground"),
        "zone": request.member.time_zone,
        "overhead": call.overhead_us and duration(call.overhead_us / 1000),
    }
    return render_page(request, "analytics/request.html", context, target=BESIDE)


def _placeholder(call: Call) -> str:
    return curl(call.model_requested or "auto", call.task_type, stream=call.stream)


def _results(request: MemberRequest, filters: Filters, names: dict[UUID, str]) -> dict[str, Any]:
    """The histogram and the page of the list, or that they could not be read."""
    organization_id = request.member.organization_id
    older, newer_ = _cursor(request, "older"), _cursor(request, "newer")
    is_first = older is None and newer_ is None
    now = timezone.now()
    try:
        # A failed statement ends its savepoint alone, and the rest of the page can still be read.
        with transaction.atomic():
            _limit_time()
            guide = call_selectors.slots(organization_id, filters)
            page = call_selectors.call_page(
                organization_id, filters, guide=guide, older=older, newer=newer_
            )
            empty = {} if page.calls else _emptiness(request, filters, is_first=is_first)
    except DatabaseError:
        retry = _address(request.GET.urlencode())
        return {"failed": True, "retry": retry, "filters": filters, "without": _address(filters)}
    is_open = filters.until is None or filters.until > now
    first = page.calls[0] if page.calls else None
    after = Cursor(first.created_at, first.id) if first else Cursor(now, UUID(int=0))
    back = page.newer is not None or not is_first
    return {
        "filters": filters,
        "without": _address(filters),
        "notes": _notes(request.member, filters, now),
        "rows": [shown(call, names) for call in page.calls],
        "older": page.older and _address(filters, older=page.older),
        "newer": page.newer and _address(filters, newer=page.newer),
        "newest": _address(filters),
        "is_first": not back,
        "newer_than": _address(filters, path="/requests/newer", after=after),
        "live": _address(filters, path="/requests/live", drawn=_micros(now)) if is_open else "",
        "curl": curl("auto", "chat"),
        **_histogram(guide, filters, request.member.zone()),
        **empty,
    }


def _sums(request: MemberRequest) -> list[Event]:
    """The histogram and the counts above it as they are now."""
    filters = _filters(request)
    guide = call_selectors.slots(request.member.organization_id, filters)
    drawn = _histogram(guide, filters, request.member.zone())
    context = {**drawn, "zone": request.member.time_zone}
    return [Event("sums", render_to_string(f"{TEMPLATE}#histogram", context))] if drawn else []


def _notes(member: Member, filters: Filters, now: datetime) -> list[str]:
    kept_days = selectors.kept_days(member.organization_id)
    return lacks(filters, now=now, zone=member.zone(), kept_days=kept_days)


def _histogram(guide: Sequence[Slot], filters: Filters, zone: ZoneInfo) -> dict[str, Any]:
    """Bars with the address of each one's time, and the sums; nothing for a time without ends."""
    if filters.start is None or filters.until is None or not guide:
        return {}
    if (filters.tags or filters.q) and not are_all(filters):
        # What is known of several at once is how many requests there are at most.
        return {}
    drawn = bars(guide, filters.start, filters.until, zone=zone)
    return {
        "bars": [_bar(one, filters, zone) for one in drawn],
        "total": count(sum(one.calls for one in drawn)),
        "failures": count(sum(one.failures for one in drawn)),
        "starts": filters.start,
        "ends": filters.until,
    }


def _bar(one: Bar, filters: Filters, zone: ZoneInfo) -> dict[str, Any]:
    narrower = between(filters, one.start, one.end, zone=zone)
    gap = min(one.width * 0.12, 0.3)
    return {
        "bar": one,
        "x": round(one.x + gap, 3),
        "width": round(one.width - 2 * gap, 3),
        "label": _bar_label(one, zone),
        "address": _address(narrower),
        "start": narrower.given[0],
        "end": narrower.given[1],
    }


def _bar_label(one: Bar, zone: ZoneInfo) -> str:
    calls = counted(one.calls)
    failed = f", {count(one.failures)} failed" if one.failures else ""
    return f"{in_words(one.start, one.end, zone)}: {calls}{failed}"


def _emptiness(request: MemberRequest, filters: Filters, *, is_first: bool) -> dict[str, Any]:
    """Why a list is empty: nothing was ever asked, or nothing passes the filters."""
    organization_id = request.member.organization_id
    if is_first and not filters.narrowed and not selectors.has_calls(organization_id):
        return {"is_new": True}
    near = call_selectors.nearest(organization_id, filters)
    if near is None:
        return {}
    day = near.astimezone(request.member.zone()).date().isoformat()
    around = filters.but(range=CUSTOM, given=(day, day))
    return {"nearest": near, "nearest_address": _address(around)}


def _limit_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(READ_MS_MAX)])


def _in_time(read: Callable[[], list[Call]]) -> list[Call] | None:
    """What was read, or None where it took too long: what is rare may be sought for days."""
    try:
        with transaction.atomic():
            _limit_time()
            return read()
    except DatabaseError:
        return None


def _tags(call: Call) -> list[dict[str, str]]:
    """What the sender said about the request, each with the list of all that say the same."""
    return [
        {"name": name, "value": value, "address": f"/requests?{urlencode({f'tag.{name}': value})}"}
        for name, value in call.metadata.items()
    ]


def _filters(request: MemberRequest) -> Filters:
    """The filters of the address; what is no filter is left out."""
    return read_filters(
        dict(request.GET.lists()),
        now=timezone.now(),
        zone=request.member.zone(),
        default=DEFAULT_RANGE,
    )


_START = datetime(1970, 1, 1, tzinfo=UTC)


def _cursor(request: MemberRequest, name: str) -> Cursor | None:
    return _read_cursor(request.GET.get(name, ""))


def _read_cursor(text: str) -> Cursor | None:
    try:
        return Cursor.read(text) if text else None
    except ValueError:
        return None


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _moment(micros: str) -> datetime:
    """When a page was drawn: since 1970; what is no time, or lies ahead, is now."""
    now = timezone.now()
    try:
        return min(_START + timedelta(microseconds=max(0, int(micros))), now)
    except (ValueError, OverflowError):
        return now


def _address(filters: Filters | str, *, path: str = "/requests", **place: Cursor | int) -> str:
    """A path with filters, or a query as it stands, and a place in the list."""
    if isinstance(filters, str):
        return f"{path}?{filters}" if filters else path
    said = pairs(filters) + [(name, str(at)) for name, at in place.items()]
    return f"{path}?{urlencode(said)}" if said else path
