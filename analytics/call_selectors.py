"""Reads of calls for lists; all need the organization's scope.

1. ``slots`` counts the calls that pass the filters, slot by slot, from the rollups alone.
2. ``call_page`` reads only the slots in which its fifty lie, and in these only the index, which
   carries what filters ask for beside (created_at, id); then the rows of the fifty.
3. Rows never carry the decision, the metadata, the usage or the price.

So page 200 costs what page 2 costs, and the three calls of a rare key what those of a busy one do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from analytics.filters import QUARTER, Filters
from analytics.guide import SLOT, Slot, Span, spans
from analytics.models import Call
from analytics.sql import ask
from analytics.tags import are_all, both, tag_slots

PAGE_CALLS = 50
ENDED_MAX = 10_000
_HEAVY = frozenset({"decision", "metadata", "usage", "price"})
_COLUMNS = ", ".join(f"c.{f.column}" for f in Call._meta.concrete_fields if f.name not in _HEAVY)
_ALWAYS = Span(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_EVERY = 2**62
_KEYS = """
SELECT k.created_at, k.id FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) s(a, b)
CROSS JOIN LATERAL (
  SELECT c.created_at, c.id FROM router_analytics c
  WHERE c.organization_id = %(organization)s AND c.created_at >= s.a AND c.created_at < s.b
  {conditions}
  ORDER BY c.created_at {way}, c.id {way} LIMIT %(limit)s
) k ORDER BY k.created_at {way}, k.id {way} LIMIT %(limit)s
"""
_ROWS = """
WITH k AS MATERIALIZED ({keys})
SELECT {columns} FROM k JOIN router_analytics c ON c.organization_id = %(organization)s
  AND c.created_at = k.created_at AND c.id = k.id
ORDER BY c.created_at DESC, c.id DESC
"""
# Whole hours from the hourly rollups; what an end of the time cuts off an hour from the quarters.
_SLOTS = """
SELECT hour, sum(calls)::bigint, sum(calls) FILTER (WHERE status <> 200)::bigint FROM (
  SELECT hour, status, {calls} AS calls FROM {table} r
  WHERE r.organization_id = %(organization)s {conditions}
    AND hour >= %(first)s AND hour < %(last)s
  UNION ALL
  SELECT date_trunc('hour', quarter, 'UTC'), status, {calls} FROM {fine} r
  WHERE r.organization_id = %(organization)s {conditions}
    AND (quarter >= %(start)s AND quarter < %(first)s
      OR quarter >= %(last)s AND quarter < %(until)s)
) AS parts GROUP BY hour HAVING sum(calls) > 0 ORDER BY hour
"""
_FALLBACK_SLOTS = """
SELECT hour, sum(calls)::bigint, sum(calls) FILTER (WHERE status <> 200)::bigint
FROM router_fallbacks r WHERE r.organization_id = %(organization)s {conditions}
  AND hour > %(start)s - interval '1 hour' AND hour < %(until)s
GROUP BY hour ORDER BY hour
"""
_NEAREST = """
SELECT max(hour) FILTER (WHERE hour < %(start)s), min(hour) FILTER (WHERE hour >= %(until)s)
FROM {table} r WHERE r.organization_id = %(organization)s {conditions}
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: that of one call."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{round(self.at.timestamp() * 1_000_000)}-{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """The cursor that ``str`` wrote; raises ValueError for anything else."""
        micros, _, id_hex = text.partition("-")
        try:
            at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros))
        except OverflowError:
            raise ValueError(f"{micros} is no time.") from None
        return cls(at, UUID(hex=id_hex))


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some calls, newest first, and where the neighbouring pages start."""

    calls: Sequence[Call]
    older: Cursor | None
    newer: Cursor | None


def slots(organization_id: UUID, filters: Filters) -> list[Slot]:
    """How many calls pass the filters in each hour that has any, ascending.

    One query, and one more for tags. These have counts of their own: beside other filters it is
    known how many calls there are in an hour at most.
    """
    if not (filters.tags or filters.q):
        return _slots(organization_id, filters)
    tagged = tag_slots(organization_id, filters)
    if not filters.but(tags=(), q="").narrowed:
        return tagged
    return both(_slots(organization_id, filters), tagged)


def _slots(organization_id: UUID, filters: Filters) -> list[Slot]:
    conditions, values = _rollup_conditions(filters)
    start, until = filters.start or _ALWAYS.start, filters.until or _ALWAYS.end
    start -= (start - _ALWAYS.start) % QUARTER
    first = min(-(-(start - _ALWAYS.start) // SLOT) * SLOT + _ALWAYS.start, until)
    last = max((until - _ALWAYS.start) // SLOT * SLOT + _ALWAYS.start, first)
    sql = _FALLBACK_SLOTS if filters.tried_first else _SLOTS
    counted = "fallbacks" if filters.is_after_fallback else "calls"
    names = {"table": "router_rollups", "fine": "router_quarters", "calls": counted}
    values |= {"organization": organization_id, "first": first, "last": last}
    rows = ask(
        sql.format(conditions=conditions, **names), values | {"start": start, "until": until}
    )
    return [Slot(at, calls, failed or 0) for at, calls, failed in rows]


def nearest(organization_id: UUID, filters: Filters) -> datetime | None:
    """The hour nearest to the time of the filters in which a call passes all others; one query.

    Beside tags other filters are left out of account.
    """
    if filters.start is None or filters.until is None:
        return None
    if filters.tags or filters.q:
        tagged = [
            one.start for one in tag_slots(organization_id, filters.but(start=None, until=None))
        ]
        earlier = [hour for hour in tagged if hour < filters.start]
        return max(earlier, default=None) or min(tagged, default=None)
    conditions, values = _rollup_conditions(filters)
    table = "router_fallbacks" if filters.tried_first else "router_rollups"
    if filters.is_after_fallback and not filters.tried_first:
        conditions += " AND r.fallbacks > 0"
    values |= {"organization": organization_id, "start": filters.start, "until": filters.until}
    ((before, after),) = ask(_NEAREST.format(conditions=conditions, table=table), values)
    found: datetime | None = before or after
    return found


def call_page(
    organization_id: UUID,
    filters: Filters,
    *,
    guide: Sequence[Slot] | None = None,
    older: Cursor | None = None,
    newer: Cursor | None = None,
    size: int = PAGE_CALLS,
) -> CallPage:
    """Some calls: the newest, those just older than a cursor, or those just newer than one.

    ``guide`` is what ``slots`` said of the same filters; without it the whole time is walked.
    """
    page = _read(organization_id, filters, guide, size + 1, older=older, newer=newer)
    more = len(page) > size
    if newer is not None:
        rows = page[1:] if more else page
        return CallPage(rows, _at(rows, -1), _at(rows, 0) if more else None)
    rows = page[:size]
    return CallPage(rows, _at(rows, -1) if more else None, _at(rows, 0) if older else None)


def neighbors(
    organization_id: UUID, filters: Filters, guide: Sequence[Slot] | None, call: Call
) -> tuple[UUID | None, UUID | None]:
    """The ids of the calls just newer and just older than one in a list with these filters."""
    place = Cursor(call.created_at, call.id)
    newer = _read(organization_id, filters, guide, 1, newer=place)
    older = _read(organization_id, filters, guide, 1, older=place)
    return (newer[0].id if newer else None), (older[0].id if older else None)


def arrivals(
    organization_id: UUID, filters: Filters, since: datetime, known: Sequence[UUID]
) -> list[Call]:
    """Calls that came from ``since`` on, newest first and at most a page, but those ``known``."""
    conditions, values = _call_conditions(filters)
    conditions += " AND NOT c.id = ANY(%(known)s::uuid[])"
    span = Span(since, _ALWAYS.end)
    values |= {"known": list(known)}
    return _rows(organization_id, [span], conditions, values, PAGE_CALLS, way="DESC")


def ended(
    organization_id: UUID, filters: Filters, since: datetime, by: datetime
) -> dict[UUID, datetime]:
    """When each call came, by id, that came from ``since`` on and had ended ``by`` then.

    At most ten thousand, the newest.
    """
    conditions, values = _call_conditions(filters)
    conditions += " AND c.created_at + c.latency_ms * interval '1 millisecond' <= %(by)s"
    rows = ask(
        _KEYS.format(conditions=conditions, way="DESC"),
        {
            **values,
            "by": by,
            "organization": organization_id,
            "starts": [since],
            "ends": [by],
            "limit": ENDED_MAX,
        },
    )
    return {id_: at for at, id_ in rows}


def newer_count(organization_id: UUID, filters: Filters, after: Cursor) -> int:
    """How many calls came after a cursor; counts no further than one page and one more."""
    later = filters.but(start=max(after.at, filters.start or after.at))
    guide = slots(organization_id, later)
    return len(_read(organization_id, later, guide, PAGE_CALLS + 1, newer=after))


def _read(
    organization_id: UUID,
    filters: Filters,
    guide: Sequence[Slot] | None,
    wanted: int,
    *,
    older: Cursor | None = None,
    newer: Cursor | None = None,
) -> list[Call]:
    """The rows nearest to a place, newest first."""
    conditions, values = _call_conditions(filters)
    if older is not None:
        conditions += " AND (c.created_at, c.id) < (%(at)s, %(id)s)"
        values |= {"at": older.at, "id": older.id}
    if newer is not None:
        conditions += " AND (c.created_at, c.id) > (%(at)s, %(id)s)"
        values |= {"at": newer.at, "id": newer.id}
    where = [Span(filters.start or _ALWAYS.start, filters.until or _ALWAYS.end)]
    way = "DESC" if newer is None else "ASC"
    if guide is None:
        return _rows(organization_id, where, conditions, values, wanted, way=way)
    before, after = (older.at if older else None), (newer.at if newer else None)
    # Counts of tags beside other filters are the most that can be: where too high, read on.
    is_sure = not (filters.tags or filters.q) or are_all(filters)
    rows: list[Call] = []
    for promised in (wanted,) if is_sure else (wanted, wanted * 10, _EVERY):
        found = spans(guide, wanted=promised, before=before, after=after)
        cut = [one for span in found if (one := _cut(span, where[0])).start < one.end]
        rows = _rows(organization_id, cut, conditions, values, wanted, way=way)
        if len(rows) >= wanted:
            break
    return rows


def _rows(
    organization_id: UUID,
    where: Sequence[Span],
    conditions: str,
    values: dict[str, Any],
    limit: int,
    *,
    way: str,
) -> list[Call]:
    sql = _ROWS.format(keys=_KEYS.format(conditions=conditions, way=way), columns=_COLUMNS)
    found = Call.objects.raw(
        sql,
        {
            **values,
            "organization": organization_id,
            "starts": [span.start for span in where],
            "ends": [span.end for span in where],
            "limit": limit,
        },
    )
    return list(found)


def _cut(span: Span, to: Span) -> Span:
    return Span(max(span.start, to.start), min(span.end, to.end))


def _at(rows: Sequence[Call], index: int) -> Cursor | None:
    return Cursor(rows[index].created_at, rows[index].id) if rows else None


def _rollup_conditions(filters: Filters) -> tuple[str, dict[str, Any]]:
    return _conditions(filters, "r")


def _call_conditions(filters: Filters) -> tuple[str, dict[str, Any]]:
    conditions, values = _conditions(filters, "c")
    if filters.is_after_fallback:
        conditions += " AND c.fallback_from <> ''"
    for number, (name, value) in enumerate(filters.tags):
        conditions += f" AND c.metadata ->> %(name{number})s = %(value{number})s"
        values |= {f"name{number}": name, f"value{number}": value}
    if filters.q:
        said = "EXISTS (SELECT FROM jsonb_each_text(c.metadata) m WHERE m.value = %(q)s)"
        values["q"] = filters.q
        if id_ := _uuid(filters.q):
            said = f"(c.id = %(call)s OR {said})"
            values["call"] = id_
        conditions += f" AND {said}"
    return conditions, values


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _conditions(filters: Filters, table: str) -> tuple[str, dict[str, Any]]:
    """What rollups and calls are both asked, and the values for it."""
    said = []
    values: dict[str, Any] = {}
    if filters.providers:
        said.append("{t}.provider = ANY(%(providers)s)")
        values["providers"] = filters.answered_by
    if filters.model:
        said.append("{t}.model_used = %(model)s")
        values["model"] = filters.model
    if filters.key:
        said.append("{t}.api_key_id = %(key)s")
        values["key"] = filters.key
    if filters.member:
        said.append("{t}.user_id = %(member)s")
        values["member"] = filters.member
    if filters.tried_first:
        said.append("{t}.fallback_from = %(fallback_from)s")
        values["fallback_from"] = filters.tried_first
    if filters.status == "ok":
        said.append("{t}.status = 200")
    elif filters.status == "failed":
        said.append("{t}.status <> 200")
    elif codes := filters.status_codes:
        said.append("{t}.status BETWEEN %(least)s AND %(most)s")
        values["least"], values["most"] = codes
    return "".join(f" AND {part}" for part in said).replace("{t}", table), values
