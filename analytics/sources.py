"""Where sums and latencies are read: the query of each, by what the filters ask for.

1. Whole hours come from the hourly rollups. An hour that a bar's edge lies inside of comes from its
   quarters, so that a day is exact in every zone, and the days of a range add up to it. What a
   range that begins or ends between two quarters cuts off is counted from its calls.
2. Latencies by no dimension or by one come from ``router_latency_totals``; by several from the
   arrays beside the sums. They know no finer time than the hour: one belongs to the bar in which
   it begins.
3. One tag, beside any other filters, is answered by ``router_tags``; it knows whole hours, and what
   a bar's edge cuts off one is counted from its calls.
4. Calls after a fallback are counted from an index that holds them alone. Several tags at once and
   values whatever their tag are counted from the calls themselves, which takes a moment.
"""

# ruff: noqa: S608  (queries are put together from constants; every value is a parameter)
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from analytics.core import COUNT_BITS, COUNT_MASK
from analytics.filters import QUARTER, Filters, ceil_quarter
from analytics.spans import DAY, HOUR, Bars, floor_hour, floor_quarter, split_hours

SUMS = ("calls", "successes", "fallbacks", "cost_nano", "input_tokens", "output_tokens")
COLUMNS = f"provider, status, {', '.join(SUMS)}"
# From so many hours cut in two on, quarters alone are read.
_SPLIT_MAX = 200
# What sums are split by, and the column that says it; a key or member that is none is empty.
_NONE = "coalesce(nullif({}::text, '00000000-0000-0000-0000-000000000000'), '')"
SPLITS = {
    "provider": "provider",
    "model": "model_used",
    "key": _NONE.format("api_key_id"),
    "member": _NONE.format("user_id"),
}
_CALLS = (
    "SELECT created_at AS at, {by} AS provider, status, 1 AS calls, success::int AS successes,"
    " fallback_used::int AS fallbacks, cost_nano, input_tokens, output_tokens FROM router_analytics"
)
_BUCKET = "CASE WHEN latency_ms <= 1 THEN 0 ELSE ceil(ln(latency_ms) / ln(1.08) - 1e-9) END"


def is_slow(filters: Filters) -> bool:
    """Whether every call of the time has to be looked at."""
    return len(filters.tags) > 1 or bool(filters.q)


def is_raw(filters: Filters) -> bool:
    """Whether only the calls themselves can answer, be it by an index of few of them."""
    fell = filters.tried_first or filters.is_after_fallback
    return is_slow(filters) or bool(fell and not filters.tags)


def has_latencies(filters: Filters) -> bool:
    """Latencies are those of successful calls; with another status there are none."""
    return filters.status in ("", "ok", "fallback", "200", "2xx")


def sums_source(
    organization_id: UUID, filters: Filters, bars: Bars, split_by: str = "provider"
) -> tuple[str, list[Any]]:
    """A query of (at, provider, status, sums) for every hour, quarter or call in a time.

    ``split_by`` is a word of ``SPLITS``; what it says stands in the provider's place.
    """
    by = SPLITS[split_by]
    calls, whose = _CALLS.format(by=by), raw_where(organization_id, filters, None, None)
    columns = f"{by} AS provider, status, {', '.join(SUMS)}"
    split = split_hours(bars.edges)
    if is_raw(filters) or (filters.tags and len(split) > _SPLIT_MAX):
        where, params = raw_where(organization_id, filters, bars.start, bars.until)
        return f"{calls} WHERE {where}", params
    where, named = rollup_where(organization_id, filters)
    quarterly = f"SELECT quarter AS at, {columns} FROM router_quarters WHERE {where}"
    first, last = ceil_quarter(bars.start), floor_quarter(bars.until)
    if len(split) > _SPLIT_MAX:
        source = f"{quarterly} AND quarter >= %s AND quarter < %s"
        params = [*named, first, last]
        return _with_calls(source, params, calls, whose, _beside(bars, first, last))
    source = (
        f"SELECT hour AS at, {columns} FROM {_table(filters)} WHERE {where}"
        " AND hour >= %s AND hour < %s AND hour <> ALL(%s::timestamptz[])"
    )
    params = [*named, bars.start, bars.until, split]
    if filters.tags:
        spans = [(max(at, bars.start), min(at + HOUR, bars.until)) for at in split]
        return _with_calls(source, params, calls, whose, spans)
    if split:
        quarters = [hour + i * QUARTER for hour in split for i in range(4)]
        source += f" UNION ALL {quarterly} AND quarter = ANY(%s::timestamptz[])"
        params += [*named, [at for at in quarters if first <= at < last]]
    return _with_calls(source, params, calls, whose, _beside(bars, first, last))


def _beside(bars: Bars, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    """What lies before the first whole quarter of a time and after its last."""
    if first > last:
        return [(bars.start, bars.until)]
    return [(a, b) for a, b in ((bars.start, first), (last, bars.until)) if a < b]


def _with_calls(
    source: str,
    params: list[Any],
    calls: str,
    condition: tuple[str, list[Any]],
    spans: Sequence[tuple[datetime, datetime]],
) -> tuple[str, list[Any]]:
    """The query, with the calls themselves of some short times."""
    if not spans:
        return source, params
    where, named = condition
    cut = " OR ".join(["created_at >= %s AND created_at < %s"] * len(spans))
    source += f" UNION ALL {calls} WHERE {where} AND ({cut})"
    return source, [*params, *named, *(at for span in spans for at in span)]


def latency_source(
    organization_id: UUID,
    filters: Filters,
    start: datetime,
    until: datetime,
    *,
    bar: str = "0",
    full: bool = False,
) -> tuple[str, list[Any]]:
    """A query of (bar, provider, bucket, calls); ``full`` also tells providers apart.

    ``bar`` is an expression of ``{at}``, worked out once a row; its own parameters come first.
    """
    if is_raw(filters):
        where, params = raw_where(organization_id, filters, start, until)
        source = (
            f"SELECT {bar.format(at='created_at')} AS bar, provider, {_BUCKET} AS bucket,"
            f" 1 AS calls FROM router_analytics WHERE {where} AND success"
        )
        return source, params
    first = floor_hour(start)
    one = one_dimension(filters)
    if one is None or full:
        where, params = rollup_where(organization_id, filters)
        # An array that is taken apart in the list of columns is read at twice the speed of a join.
        source = (
            f"SELECT bar, provider, (e >> {COUNT_BITS})::int AS bucket,"
            f" (e & {COUNT_MASK})::int AS calls FROM ("
            f"SELECT {bar.format(at='hour')} AS bar, provider, unnest(latencies) AS e"
            f" FROM {_table(filters)}"
            f" WHERE {where} AND status = 200 AND hour >= %s AND hour < %s) AS packed"
        )
        return source, [*params, first, until]
    kind, found = one
    source = (
        f"SELECT {bar.format(at='start')} AS bar, '' AS provider, bucket, calls"
        " FROM router_latency_totals"
        " WHERE organization_id = %s AND span = 'hour' AND kind = %s AND name = ANY(%s)"
        " AND start >= %s AND start < %s"
    )
    return source, [organization_id, kind, found, first, until]


def day_totals(
    organization_id: UUID, kind: str, names: Sequence[str], start: datetime, until: datetime
) -> tuple[str, list[Any]]:
    """Counts of one dimension: whole days of UTC from the daily totals, the rest by the hour."""
    first = floor_hour(start)
    first_day = first + (-_since_midnight(first)) % DAY
    last_day = until - _since_midnight(until)
    whole = "SELECT name, start AS at, bucket, calls FROM router_latency_totals"
    whole += " WHERE organization_id = %s AND span = %s AND kind = %s"
    whole += " AND name = ANY(%s)" if names else ""
    spans = [("hour", first, until)]
    if first_day < last_day:
        spans = [
            ("hour", first, first_day),
            ("day", first_day, last_day),
            ("hour", last_day, until),
        ]
    params: list[Any] = []
    for span, at, end in spans:
        params += [organization_id, span, kind, *([list(names)] if names else []), at, end]
    return " UNION ALL ".join([f"{whole} AND start >= %s AND start < %s"] * len(spans)), params


def _since_midnight(at: datetime) -> timedelta:
    return at - at.replace(hour=0, minute=0, second=0, microsecond=0)


def one_dimension(filters: Filters) -> tuple[str, list[str]] | None:
    """The only dimension that is filtered by, with its names; None for several and for tags."""
    if filters.tags:
        return None
    asked = {
        "provider": filters.answered_by,
        "model": [filters.model] if filters.model else [],
        "key": [str(filters.key)] if filters.key else [],
        "member": [str(filters.member)] if filters.member else [],
    }
    chosen = [(kind, values) for kind, values in asked.items() if values]
    if not chosen:
        return "all", [""]
    return chosen[0] if len(chosen) == 1 else None


def _table(filters: Filters) -> str:
    """The hourly sums that know what the filters ask for."""
    return "router_tags" if filters.tags else "router_rollups"


def rollup_where(organization_id: UUID, filters: Filters) -> tuple[str, list[Any]]:
    """The condition on a rollup's dimensions."""
    parts, params = _conditions(organization_id, filters)
    for name, value in filters.tags:
        parts += ["value = %s", "name = %s"]
        params += [value, name]
    if filters.tags and filters.is_after_fallback:
        parts.append("fallback_from <> ''")
    if filters.tried_first:
        parts.append("fallback_from = %s")
        params.append(filters.tried_first)
    return " AND ".join(parts), params


def _conditions(organization_id: UUID, filters: Filters) -> tuple[list[str], list[Any]]:
    """What rollups and calls have in common; each condition begins with its column."""
    parts: list[str] = ["organization_id = %s"]
    params: list[Any] = [organization_id]
    for column, value in (
        ("provider = ANY(%s)", filters.answered_by),
        ("model_used = %s", filters.model),
        ("api_key_id = %s", filters.key),
        ("user_id = %s", filters.member),
    ):
        if value:
            parts.append(column)
            params.append(value)
    if filters.status == "ok":
        parts.append("status = 200")
    elif filters.status == "failed":
        parts.append("status <> 200")
    elif filters.status_codes:
        parts.append("status BETWEEN %s AND %s")
        params += filters.status_codes
    return parts, params


def raw_where(
    organization_id: UUID,
    filters: Filters,
    start: datetime | None,
    until: datetime | None,
    table: str = "",
) -> tuple[str, list[Any]]:
    """The condition on the calls themselves; ``table`` is what they are called in the query."""
    parts, params = _conditions(organization_id, filters)
    if start is not None:
        parts.append("created_at >= %s")
        params.append(start)
    if until is not None:
        parts.append("created_at < %s")
        params.append(until)
    if filters.is_after_fallback or filters.tried_first:
        parts.append("fallback_used")
    if filters.tried_first:
        parts.append("fallback_from = %s")
        params.append(filters.tried_first)
    if filters.tags:
        parts.append("metadata @> %s")
        params.append(Jsonb(dict(filters.tags)))
    where = " AND ".join(f"{table}{part}" for part in parts)
    if filters.q:
        said = f"%s IN (SELECT value FROM jsonb_each_text({table}metadata))"
        where += f" AND ({said} OR {table}id::text = lower(%s))"
        params += [filters.q, filters.q]
    return where, params
