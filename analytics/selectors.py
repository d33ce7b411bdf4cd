"""Reads of the ledger for menus, one call, spend and effects; all need the organization's scope.

Lists of calls are read in ``analytics.call_selectors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Sum

from analytics.core import COUNT_BITS, COUNT_MASK
from analytics.models import Call, Rollup
from analytics.sql import ask
from lib.ids import uuid7_time_ms
from tenancy.selectors import organization

RECENT_CALLS = 10_000
OPTIONS_DAYS = 30
OPTIONS_KEPT = timedelta(minutes=1)
OPTIONS_MAX = 1_000
OPTIONS_ROWS = 30
# A call's id holds the millisecond in which it came; its row is looked for around it.
_ID_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Effect:
    """How many of the last calls a limit would have touched, and what they were without one.

    ``dearest_nano`` and ``p95_ms`` are None without calls.
    """

    calls: int
    dearer: int
    slower: int
    dearest_nano: int | None
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class Options:
    """What the organization's calls of the last 30 days can be filtered by."""

    providers: Sequence[str]
    models: Sequence[str]
    keys: Sequence[UUID]
    members: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Spend:
    """What an organization spent, and the part of one of its members, in nano-USD."""

    total_nano: int
    own_nano: int


def newest(organization_id: UUID, count: int) -> Sequence[Call]:
    """The last calls, newest first, without decision and metadata."""
    found = Call.objects.filter(organization_id=organization_id)
    light = found.defer("decision", "metadata", "usage", "price")
    return list(light.order_by("-created_at", "-id")[:count])


def has_calls(organization_id: UUID) -> bool:
    """Whether the organization ever called."""
    return Rollup.objects.filter(organization_id=organization_id).exists()


def call(organization_id: UUID, call_id: UUID) -> Call | None:
    """One call with all that is known of it; its id tells the partition."""
    try:
        came = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=uuid7_time_ms(call_id.int))
    except OverflowError:
        # An id of the year 10000 or later is none of ours.
        return None
    return Call.objects.filter(
        organization_id=organization_id,
        id=call_id,
        created_at__range=(came - _ID_SLACK, came + _ID_SLACK),
    ).first()


def kept_days(organization_id: UUID) -> int:
    """For how many days single calls are kept: the organization's wish, or the installation's."""
    found = organization(organization_id)
    return (found and found.retention_days) or settings.LEDGER_RETENTION_DAYS


def options(organization_id: UUID, now: datetime) -> Options:
    """Values for the filters, from the rollups: never a walk over the calls.

    Each process remembers them for a minute, for they change rarely and cost a walk over a month.
    """
    known = _options.get(organization_id)
    if known is not None and known[0] <= now < known[0] + OPTIONS_KEPT:
        return known[1]
    since = now - timedelta(days=OPTIONS_DAYS)
    distinct = (
        Rollup.objects.filter(organization_id=organization_id, hour__gte=since)
        .values_list("provider", "model_used", "api_key", "user")
        .distinct()
    )
    rows = list(distinct)
    found = Options(
        providers=sorted({p for p, _, _, _ in rows if p}),
        models=sorted({m for _, m, _, _ in rows if m}),
        keys=sorted({k for _, _, k, _ in rows if k.int}),
        members=sorted({u for _, _, _, u in rows if u.int}),
    )
    if len(_options) >= OPTIONS_MAX:
        _options.clear()
    # Few calls are walked quickly, and in a new organization each one brings something new.
    if len(rows) >= OPTIONS_ROWS:
        _options[organization_id] = (now, found)
    return found


# By organization: when they were read, and what was found.
_options: dict[UUID, tuple[datetime, Options]] = {}


def spend_since(organization_id: UUID, start: datetime, user_id: UUID) -> Spend:
    """What was spent since ``start``, and what of it by the calls of one user; one query.

    Whole hours come from the rollups. Where a day begins within an hour of UTC, as in India, the
    rest of that hour is added up from its calls.
    """
    hour = start.replace(minute=0, second=0, microsecond=0)
    first_hour = hour if hour == start else hour + timedelta(hours=1)
    (row,) = ask(
        "SELECT coalesce(sum(cost_nano), 0)::bigint,"
        " coalesce(sum(cost_nano) FILTER (WHERE user_id = %(user)s), 0)::bigint FROM ("
        " SELECT cost_nano, user_id FROM router_rollups"
        "  WHERE organization_id = %(organization)s AND hour >= %(first_hour)s"
        " UNION ALL SELECT cost_nano, user_id FROM router_analytics"
        "  WHERE organization_id = %(organization)s"
        "  AND created_at >= %(start)s AND created_at < %(first_hour)s) AS spent",
        {
            "organization": organization_id,
            "user": user_id,
            "start": start,
            "first_hour": first_hour,
        },
    )
    return Spend(*row)


def spend_by_day(
    organization_id: UUID, midnights: Sequence[datetime], user_id: UUID | None = None
) -> list[int]:
    """Nano-USD spent from each midnight to the next, by everybody or by one user; one query.

    From the rollups alone: an hour counts for the day in which it begins.
    """
    rows = ask(
        "SELECT width_bucket(hour, %(midnights)s::timestamptz[]), sum(cost_nano)::bigint"
        " FROM router_rollups WHERE organization_id = %(organization)s"
        " AND hour >= %(first)s AND hour < %(last)s"
        " AND (%(user)s::uuid IS NULL OR user_id = %(user)s) GROUP BY 1",
        {
            "organization": organization_id,
            "midnights": list(midnights),
            "first": midnights[0],
            "last": midnights[-1],
            "user": user_id,
        },
    )
    spent = dict(rows)
    return [spent.get(day, 0) for day in range(1, len(midnights))]


def calls_of_key(organization_id: UUID, key_id: UUID, since: datetime) -> int:
    """How many calls came with an API key since a moment, from the rollups: whole hours."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = Rollup.objects.filter(organization_id=organization_id, api_key=key_id, hour__gte=hour)
    return int(rows.aggregate(calls=Sum("calls"))["calls"] or 0)


def recent_effect(
    organization_id: UUID,
    user_id: UUID | None = None,
    *,
    cost_nano: int | None,
    latency_ms: int | None,
) -> Effect:
    """What the last ten thousand calls, of everybody or of one user, were; one query."""
    (row,) = ask(
        "SELECT count(*), count(*) FILTER (WHERE cost_nano > %(cost)s),"
        " count(*) FILTER (WHERE latency_ms > %(latency)s), max(cost_nano),"
        " percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE success)"
        " FROM (SELECT cost_nano, latency_ms, success FROM router_analytics"
        "  WHERE organization_id = %(organization)s"
        "  AND (%(user)s::uuid IS NULL OR user_id = %(user)s)"
        "  ORDER BY created_at DESC LIMIT %(calls)s) AS recent",
        {
            "cost": cost_nano,
            "latency": latency_ms,
            "organization": organization_id,
            "user": user_id,
            "calls": RECENT_CALLS,
        },
    )
    return Effect(*row)


def typical_tokens(organization_id: UUID, since: datetime) -> tuple[int, int] | None:
    """Mean input and output tokens of a successful call since an hour; None without any."""
    rows = Rollup.objects.filter(organization_id=organization_id, hour__gte=since, status=200)
    found = rows.aggregate(
        calls=Sum("calls"), input=Sum("input_tokens"), output=Sum("output_tokens")
    )
    if not found["calls"]:
        return None
    return round(found["input"] / found["calls"]), round(found["output"] / found["calls"])


def latencies(organization_id: UUID, since: datetime) -> dict[tuple[str, str], dict[int, int]]:
    """Latency buckets of successful calls since an hour, by provider and model; one query."""
    rows = ask(
        "SELECT provider, model_used, (e >> %s)::int, sum(e & %s)::bigint"
        " FROM router_rollups CROSS JOIN unnest(latencies) AS e"
        " WHERE organization_id = %s AND hour >= %s GROUP BY 1, 2, 3",
        [COUNT_BITS, COUNT_MASK, organization_id, since],
    )
    found: dict[tuple[str, str], dict[int, int]] = {}
    for provider, model, bucket, total in rows:
        found.setdefault((provider, model), {})[bucket] = total
    return found
