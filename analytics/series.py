"""Sums and latencies over time, from the rollups; all need the organization's scope.

``analytics.sources`` says where each is read. Every function here is one query.
"""

# ruff: noqa: S608  (queries are put together from constants; every value is a parameter)
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from analytics.filters import Filters
from analytics.sources import (
    COLUMNS,
    SUMS,
    day_totals,
    has_latencies,
    is_raw,
    is_slow,
    latency_source,
    one_dimension,
    raw_where,
    rollup_where,
    sums_source,
)
from analytics.spans import DAY, Bars, floor_hour
from analytics.sql import ask

_BAR = "width_bucket({at}, %s::timestamptz[]) - 1"


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


def sums(
    organization_id: UUID, filters: Filters, bars: Sequence[Bars], split_by: str = "provider"
) -> list[list[Sums]]:
    """What was used in each bar, for each of several times that do not overlap; one query.

    Split by something else of ``SPLITS``, that stands in the provider's place.
    """
    parts, params = [], []
    for number, one in enumerate(bars):
        source, values = sums_source(organization_id, filters, one, split_by)
        # The edges of one time are an array, and so the bar is found without a join.
        parts.append(
            f"SELECT {number}::int AS part, width_bucket(at, %s::timestamptz[]) - 1 AS bar,"
            f" {COLUMNS} FROM ({source}) AS source"
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
    if not has_latencies(filters):
        return found
    parts, params = [], []
    for number, one in enumerate(bars):
        source, values = latency_source(organization_id, filters, one.start, one.until, bar=_BAR)
        parts.append(f"SELECT {number}::int AS part, bar, bucket, calls FROM ({source}) AS source")
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


def percentiles(
    organization_id: UUID, filters: Filters, bars: Bars, shares: Sequence[float]
) -> list[list[int | None]]:
    """For each share the bucket that so many of a bar's successful calls stayed within; one query.

    The same as ``percentile_ms`` of each bar's ``latencies``, of which there may be 30,000 rows.
    """
    found: list[list[int | None]] = [[None] * len(bars) for _ in shares]
    if not has_latencies(filters):
        return found
    source, params = latency_source(organization_id, filters, bars.start, bars.until, bar=_BAR)
    if bars.grain == "day" or is_raw(filters) or one_dimension(filters) is None:
        # Many rows of a bar are added up before they are put in order.
        source = f"SELECT bar, bucket, sum(calls) AS calls FROM ({source}) AS s GROUP BY 1, 2"
    within = ", ".join("min(bucket) FILTER (WHERE seen >= ceil(total * %s))::int" for _ in shares)
    rows = ask(
        # What is equal in the order of a window counts as seen together.
        f"SELECT bar, {within} FROM (SELECT bar, bucket, sum(calls) OVER running AS seen,"
        " sum(calls) OVER (PARTITION BY bar) AS total FROM ("
        # An hour that a time begins inside of counts for its first bar.
        f" SELECT greatest(bar, 0) AS bar, bucket, calls::float8 AS calls FROM ({source}) AS s"
        ") AS counted WINDOW running AS (PARTITION BY bar ORDER BY bucket)) AS ranked GROUP BY bar",
        [*shares, list(bars.edges), *params],
    )
    for bar, *buckets in rows:
        for course, bucket in zip(found, buckets, strict=True):
            course[bar] = bucket
    return found


def daily_latencies(
    organization_id: UUID, filters: Filters, times: Sequence[tuple[datetime, datetime]]
) -> list[list[dict[int, int]]]:
    """Successful calls by latency bucket for each day of UTC in each time; one query.

    Far fewer rows than by the hour; together they are exactly the time's calls.
    """
    one = one_dimension(filters)
    if one is None or is_raw(filters) or not has_latencies(filters):
        days = [
            Bars("day", (start, *_utc_midnights(start, until), until)) for start, until in times
        ]
        return latencies(organization_id, filters, days)
    parts, params = [], []
    for number, (start, until) in enumerate(times):
        source, values = day_totals(organization_id, *one, start, until)
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
    if not has_latencies(filters):
        return {}
    assert filters.start is not None
    assert filters.until is not None
    start, until = filters.start, filters.until
    if is_raw(filters) or filters.model or filters.key or filters.member or filters.tags:
        source, values = latency_source(organization_id, filters, start, until, full=True)
    else:
        source, values = day_totals(
            organization_id, "provider", filters.answered_by or sorted(among), start, until
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
    assert filters.start is not None
    if is_slow(filters):
        where, params = raw_where(organization_id, filters, filters.start, filters.until)
        source = f"SELECT fallback_from, provider, 1 AS calls FROM router_analytics WHERE {where}"
        source += " AND fallback_used"
    else:
        where, params = rollup_where(organization_id, filters)
        table = "router_tags" if filters.tags else "router_fallbacks"
        source = f"SELECT fallback_from, provider, calls FROM {table} WHERE {where}"
        source += " AND fallback_from <> '' AND hour >= %s AND hour < %s"
        params += [floor_hour(filters.start), filters.until]
    rows = ask(
        f"SELECT fallback_from, provider, sum(calls)::bigint FROM ({source}) AS source"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        params,
    )
    return [Route(*row) for row in rows]


def _utc_midnights(start: datetime, until: datetime) -> list[datetime]:
    """Every midnight of UTC inside a time."""
    found = []
    at = start.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    while at < until:
        found.append(at)
        at += DAY
    return found
