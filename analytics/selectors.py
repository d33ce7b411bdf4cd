"""Reads of the ledger for lists, one call and effects; all need the organization's scope.

A list is walked by keyset on (created_at, id), so page 200 costs what page 2 costs, and its rows
never carry the decision or the metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from analytics.models import Call, LatencyRollup, Rollup
from lib.ids import uuid7_time_ms

PAGE_CALLS = 50
RECENT_CALLS = 10_000
OPTIONS_DAYS = 30
OPTIONS_KEPT = timedelta(minutes=1)
OPTIONS_MAX = 1_000
OPTIONS_ROWS = 30
# A call's id holds the millisecond in which it came; its row is looked for around it.
_ID_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls a list shows; empty shows all. ``status``: ok, failed or fallback.

    ``range`` is how an address calls the time from ``since`` on.
    """

    status: str = ""
    provider: str = ""
    model: str = ""
    key: UUID | None = None
    member: UUID | None = None
    range: str = ""
    since: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether anything is filtered out."""
        return bool(
            self.status or self.provider or self.model or self.key or self.member or self.since
        )


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


@dataclass(frozen=True, slots=True)
class ProviderDay:
    """What one provider answered: calls, those that succeeded, and their cost."""

    calls: int
    successes: int
    cost_nano: int

    @property
    def failed_percent(self) -> float:
        """How many of a hundred calls failed there."""
        return round(100 * (self.calls - self.successes) / self.calls, 1) if self.calls else 0.0


def calls(organization_id: UUID, filters: Filters) -> QuerySet[Call]:
    """The calls that pass the filters, newest first, without decision and metadata."""
    found = Call.objects.filter(organization_id=organization_id)
    if filters.status == "ok":
        found = found.filter(success=True)
    elif filters.status == "failed":
        found = found.filter(success=False)
    elif filters.status == "fallback":
        found = found.filter(fallback_used=True)
    if filters.provider:
        found = found.filter(provider=filters.provider)
    if filters.model:
        found = found.filter(Q(model_used=filters.model) | Q(model_requested=filters.model))
    if filters.key:
        found = found.filter(api_key=filters.key)
    if filters.member:
        found = found.filter(user=filters.member)
    if filters.since:
        found = found.filter(created_at__gte=filters.since)
    return found.defer("decision", "metadata", "usage", "price").order_by("-created_at", "-id")


def call_page(
    organization_id: UUID,
    filters: Filters,
    *,
    older: Cursor | None = None,
    newer: Cursor | None = None,
) -> CallPage:
    """Fifty calls: the newest, those just older than a cursor, or those just newer than one."""
    found = calls(organization_id, filters)
    if newer is not None:
        page = list(_newer_than(found, newer).reverse()[: PAGE_CALLS + 1])
        more = len(page) > PAGE_CALLS
        rows = page[:PAGE_CALLS][::-1]
        return CallPage(rows, _at(rows, -1), _at(rows, 0) if more else None)
    if older is not None:
        found = _older_than(found, older)
    page = list(found[: PAGE_CALLS + 1])
    rows = page[:PAGE_CALLS]
    more = len(page) > PAGE_CALLS
    return CallPage(rows, _at(rows, -1) if more else None, _at(rows, 0) if older else None)


def count_newer(organization_id: UUID, filters: Filters, cursor: Cursor) -> int:
    """How many calls came after a cursor; counts no further than one page and one more."""
    return _newer_than(calls(organization_id, filters), cursor)[: PAGE_CALLS + 1].count()


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


def neighbors(
    organization_id: UUID, filters: Filters, call: Call
) -> tuple[UUID | None, UUID | None]:
    """The ids of the calls just newer and just older than one, in a list with these filters."""
    place = Cursor(call.created_at, call.id)
    found = calls(organization_id, filters).only("id")
    newer = _newer_than(found, place).reverse().first()
    older = _older_than(found, place).first()
    return (newer.id if newer else None), (older.id if older else None)


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
    with connection.cursor() as cursor:
        cursor.execute(
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
        row = cursor.fetchone()
    return Spend(*row)


def spend_by_day(
    organization_id: UUID, midnights: Sequence[datetime], user_id: UUID | None = None
) -> list[int]:
    """Nano-USD spent from each midnight to the next, by everybody or by one user; one query.

    From the rollups alone: an hour counts for the day in which it begins.
    """
    with connection.cursor() as cursor:
        cursor.execute(
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
        spent = dict(cursor.fetchall())
    return [spent.get(day, 0) for day in range(1, len(midnights))]


def calls_of_key(organization_id: UUID, key_id: UUID, since: datetime) -> int:
    """How many calls came with an API key since a moment, from the rollups: whole hours."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = Rollup.objects.filter(organization_id=organization_id, api_key=key_id, hour__gte=hour)
    return int(rows.aggregate(calls=Sum("calls"))["calls"] or 0)


def provider_days(organization_id: UUID, since: datetime) -> dict[str, ProviderDay]:
    """What each provider answered since a moment, by slug, from the rollups: whole hours."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = (
        Rollup.objects.filter(organization_id=organization_id, hour__gte=hour)
        .exclude(provider="")
        .values_list("provider")
        .annotate(Sum("calls"), Sum("successes"), Sum("cost_nano"))
    )
    return {slug: ProviderDay(calls, good, int(cost)) for slug, calls, good, cost in rows}


def recent_effect(
    organization_id: UUID,
    user_id: UUID | None = None,
    *,
    cost_nano: int | None,
    latency_ms: int | None,
) -> Effect:
    """What the last ten thousand calls, of everybody or of one user, were; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
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
        row = cursor.fetchone()
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
    rows = (
        LatencyRollup.objects.filter(organization_id=organization_id, hour__gte=since)
        .values_list("provider", "model_used", "bucket")
        .annotate(total=Sum("calls"))
    )
    found: dict[tuple[str, str], dict[int, int]] = {}
    for provider, model, bucket, total in rows:
        found.setdefault((provider, model), {})[bucket] = total
    return found


def _newer_than(found: QuerySet[Call], cursor: Cursor) -> QuerySet[Call]:
    return found.filter(
        Q(created_at__gt=cursor.at) | Q(created_at=cursor.at, id__gt=cursor.id),
        created_at__gte=cursor.at,
    )


def _older_than(found: QuerySet[Call], cursor: Cursor) -> QuerySet[Call]:
    return found.filter(
        Q(created_at__lt=cursor.at) | Q(created_at=cursor.at, id__lt=cursor.id),
        created_at__lte=cursor.at,
    )


def _at(rows: Sequence[Call], index: int) -> Cursor | None:
    return Cursor(rows[index].created_at, rows[index].id) if rows else None
