"""Sums and latencies over time, from the rollups; all need the organization's scope.

1. Whole hours come from the hourly rollups. An hour that a bar's edge lies inside of comes from its
   quarters, so that a day is exact in every zone, and the days of a range add up to it.
2. Latencies by no dimension or by one come from ``router_latency_totals``; by several from the
   full counts. They know no finer time than the hour: one belongs to the bar in which it begins.
3. What no rollup holds (tags, calls after a fallback) is counted from the calls themselves.
"""

# ruff: noqa: S608  (queries are put together from constants; every value is a parameter)
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from analytics.filters import QUARTER, Filters
from analytics.spans import DAY, Bars, floor_hour, split_hours
from analytics.sql import ask

SUMS = ("calls", "successes", "fallbacks", "cost_nano", "input_tokens", "output_tokens")
_COLUMNS = f"provider, status, {', '.join(SUMS)}"
# From so many hours cut in two on, quarters alone are read.
_SPLIT_MAX = 200
_BUCKET = "CASE WHEN latency_ms <= 1 THEN 0 ELSE ceil(ln(latency_ms) / ln(1.08) - 1e-9) END"


@dataclass(frozen=True, slots=True)
class Sums:
    """What calls of one bar, provider and status add up to; ``bar`` counts from 0."""

    bar: int
    provider: str
    status: int
    calls: int
    successes: int
    fallbacks: int
    cost_nano: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Route:
    """How many calls were tried at one provider first and ended at another, or nowhere."""

    fallback_from: str
    provider: str
    calls: int


def sums(organization_id: UUID, filters: Filters, bars: Sequence[Bars]) -> list[list[Sums]]:
    """What was used in each bar, for each of several times that do not overlap; one query."""
    parts, params = [], []
    for number, one in enumerate(bars):
        source, values = _source(organization_id, filters, one)
        # The edges of one time are an array, and so the bar is found without a join.
        parts.append(
            f"SELECT {number}::int AS part, width_bucket(at, %s::timestamptz[]) - 1 AS bar,"
            f" {_COLUMNS} FROM ({source}) AS source"
        )
        params += [list(one.edges), *values]
    added = ", ".join(f"sum({name})::bigint" for name in SUMS)
    rows = ask(
        f"SELECT part, bar, provider, status, {added} FROM ({' UNION ALL '.join(parts)}) AS found"
        " GROUP BY 1, 2, 3, 4",
        params,
    )
    found: list[list[Sums]] = [[] for _ in bars]
    for part, *row in rows:
        found[part].append(Sums(*row))
    return found


def latencies(
    organization_id: UUID, filters: Filters, bars: Sequence[Bars]
) -> list[list[dict[int, int]]]:
    """Successful calls by latency bucket for each bar of each time; one query."""
    found: list[list[dict[int, int]]] = [[{} for _ in range(len(one))] for one in bars]
    if not _has_latencies(filters):
        return found
    parts, params = [], []
    for number, one in enumerate(bars):
        source, values = _latency_source(organization_id, filters, one.start, one.until)
        parts.append(
            f"SELECT {number}::int AS part, width_bucket(at, %s::timestamptz[]) - 1 AS bar,"
            f" bucket, calls FROM ({source}) AS source"
        )
        params += [list(one.edges), *values]
    rows = ask(
        "SELECT part, bar, bucket::int, sum(calls)::bigint"
        f" FROM ({' UNION ALL '.join(parts)}) AS found GROUP BY 1, 2, 3",
        params,
    )
    for part, bar, bucket, calls in rows:
        # An hour that a time begins inside of counts for its first bar.
        found[part][max(bar, 0)][bucket] = calls
    return found


def daily_latencies(
    organization_id: UUID, filters: Filters, times: Sequence[tuple[datetime, datetime]]
) -> list[list[dict[int, int]]]:
    """Successful calls by latency bucket for each day of UTC in each time; one query.

    Far fewer rows than by the hour; together they are exactly the time's calls.
    """
    one = _one_dimension(filters)
    if one is None or is_raw(filters) or not _has_latencies(filters):
        days = [
            Bars("day", (start, *_utc_midnights(start, until), until)) for start, until in times
        ]
        return latencies(organization_id, filters, days)
    parts, params = [], []
    for number, (start, until) in enumerate(times):
        source, values = _day_totals(organization_id, *one, start, until)
        parts.append(
            # A number is read by the client many times sooner than a time.
            f"SELECT {number}::int AS part, extract(epoch FROM at)::bigint / 86400 AS day,"
            " bucket, calls"
            f" FROM ({source}) AS days"
        )
        params += values
    rows = ask(
        "SELECT part, day, bucket::int, sum(calls)::bigint"
        f" FROM ({' UNION ALL '.join(parts)}) AS found GROUP BY 1, 2, 3 ORDER BY 1, 2",
        params,
    )
    found: list[dict[int, dict[int, int]]] = [{} for _ in times]
    for part, day, bucket, calls in rows:
        found[part].setdefault(day, {})[bucket] = calls
    return [list(days.values()) for days in found]


def provider_latencies(
    organization_id: UUID, filters: Filters, among: Collection[str]
) -> dict[str, dict[int, int]]:
    """Successful calls by latency bucket for each provider over the whole time; one query.

    ``among`` are the providers that had calls then: named, each is one walk along the index.
    """
    if not _has_latencies(filters):
        return {}
    assert filters.start is not None
    assert filters.until is not None
    start, until = filters.start, filters.until
    if is_raw(filters) or filters.model or filters.key or filters.member:
        source, values = _latency_source(organization_id, filters, start, until, full=True)
    else:
        source, values = _day_totals(
            organization_id, "provider", filters.providers or sorted(among), start, until
        )
        source = f"SELECT name AS provider, bucket, calls FROM ({source}) AS days"
    rows = ask(
        f"SELECT provider, bucket::int, sum(calls)::bigint FROM ({source}) AS source GROUP BY 1, 2",
        values,
    )
    found: dict[str, dict[int, int]] = {}
    for provider, bucket, calls in rows:
        found.setdefault(provider, {})[bucket] = calls
    return found


def routes(organization_id: UUID, filters: Filters) -> list[Route]:
    """Where calls fell back from and to, the most frequent first; one query."""
    if filters.tags or filters.q:
        where, params = raw_where(organization_id, filters, filters.start, filters.until)
        source = f"SELECT fallback_from, provider, 1 AS calls FROM router_analytics WHERE {where}"
        source += " AND fallback_used"
    else:
        where, params = _rollup_where(organization_id, filters)
        source = f"SELECT fallback_from, provider, calls FROM router_fallbacks WHERE {where}"
        source += " AND hour >= %s AND hour < %s"
        assert filters.start is not None
        params += [floor_hour(filters.start), filters.until]
        if filters.fallback_from:
            source += " AND fallback_from = %s"
            params.append(filters.fallback_from)
    rows = ask(
        f"SELECT fallback_from, provider, sum(calls)::bigint FROM ({source}) AS source"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        params,
    )
    return [Route(*row) for row in rows]


def is_raw(filters: Filters) -> bool:
    """Whether only the calls themselves can answer."""
    return bool(filters.tags or filters.q or filters.fallback_from or filters.status == "fallback")


def _has_latencies(filters: Filters) -> bool:
    """Latencies are those of successful calls; with another status there are none."""
    return filters.status in ("", "ok", "fallback", "200", "2xx")


def _source(organization_id: UUID, filters: Filters, bars: Bars) -> tuple[str, list[Any]]:
    """A query of (at, provider, status, sums) for every hour, quarter or call in a time."""
    if is_raw(filters):
        where, params = raw_where(organization_id, filters, bars.start, bars.until)
        source = (
            "SELECT created_at AS at, provider, status, 1 AS calls, success::int AS successes,"
            " fallback_used::int AS fallbacks, cost_nano, input_tokens, output_tokens"
            f" FROM router_analytics WHERE {where}"
        )
        return source, params
    where, named = _rollup_where(organization_id, filters)
    quarterly = f"SELECT quarter AS at, {_COLUMNS} FROM router_quarters WHERE {where}"
    split = split_hours(bars.edges)
    if len(split) > _SPLIT_MAX:
        source = f"{quarterly} AND quarter >= %s AND quarter < %s"
        return source, [*named, bars.start, bars.until]
    source = (
        f"SELECT hour AS at, {_COLUMNS} FROM router_rollups WHERE {where}"
        " AND hour >= %s AND hour < %s AND hour <> ALL(%s::timestamptz[])"
    )
    params = [*named, bars.start, bars.until, split]
    if split:
        quarters = [hour + i * QUARTER for hour in split for i in range(4)]
        inside = [at for at in quarters if bars.start <= at < bars.until]
        source += f" UNION ALL {quarterly} AND quarter = ANY(%s::timestamptz[])"
        params += [*named, inside]
    return source, params


def _latency_source(
    organization_id: UUID, filters: Filters, start: datetime, until: datetime, *, full: bool = False
) -> tuple[str, list[Any]]:
    """A query of (at, provider, bucket, calls); ``full`` also tells providers apart."""
    if is_raw(filters):
        where, params = raw_where(organization_id, filters, start, until)
        source = (
            f"SELECT created_at AS at, provider, {_BUCKET} AS bucket, 1 AS calls"
            f" FROM router_analytics WHERE {where} AND success"
        )
        return source, params
    first = floor_hour(start)
    one = _one_dimension(filters)
    if one is None or full:
        where, params = _rollup_where(organization_id, filters.but(status=""))
        source = (
            f"SELECT hour AS at, provider, bucket, calls FROM router_latency_rollups WHERE {where}"
            " AND hour >= %s AND hour < %s"
        )
        return source, [*params, first, until]
    kind, found = one
    source = (
        "SELECT start AS at, '' AS provider, bucket, calls FROM router_latency_totals"
        " WHERE organization_id = %s AND span = 'hour' AND kind = %s AND name = ANY(%s)"
        " AND start >= %s AND start < %s"
    )
    return source, [organization_id, kind, found, first, until]


def _day_totals(
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


def _utc_midnights(start: datetime, until: datetime) -> list[datetime]:
    """Every midnight of UTC inside a time."""
    found = []
    at = start - _since_midnight(start) + DAY
    while at < until:
        found.append(at)
        at += DAY
    return found


def _since_midnight(at: datetime) -> timedelta:
    return at - at.replace(hour=0, minute=0, second=0, microsecond=0)


def _one_dimension(filters: Filters) -> tuple[str, list[str]] | None:
    """The only dimension that is filtered by, with its names; None for several."""
    asked = {
        "provider": list(filters.providers),
        "model": [filters.model] if filters.model else [],
        "key": [str(filters.key)] if filters.key else [],
        "member": [str(filters.member)] if filters.member else [],
    }
    chosen = [(kind, values) for kind, values in asked.items() if values]
    if not chosen:
        return "all", [""]
    return chosen[0] if len(chosen) == 1 else None


def _rollup_where(organization_id: UUID, filters: Filters) -> tuple[str, list[Any]]:
    """The condition on a rollup's dimensions."""
    parts, params = _conditions(organization_id, filters)
    return " AND ".join(parts), params


def _conditions(organization_id: UUID, filters: Filters) -> tuple[list[str], list[Any]]:
    """What rollups and calls have in common; each condition begins with its column."""
    parts: list[str] = ["organization_id = %s"]
    params: list[Any] = [organization_id]
    for column, value in (
        ("provider = ANY(%s)", list(filters.providers)),
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
    if filters.status == "fallback" or filters.fallback_from:
        parts.append("fallback_used")
    if filters.fallback_from:
        parts.append("fallback_from = %s")
        params.append(filters.fallback_from)
    if filters.tags:
        parts.append("metadata @> %s")
        params.append(Jsonb(dict(filters.tags)))
    where = " AND ".join(f"{table}{part}" for part in parts)
    if filters.q:
        said = f"%s IN (SELECT value FROM jsonb_each_text({table}metadata))"
        where += f" AND ({said} OR {table}id::text = lower(%s))"
        params += [filters.q, filters.q]
    return where, params
