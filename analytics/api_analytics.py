"""/api/analytics: the figures of the Analytics tab, and the export, by REST."""

from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from ninja import Router
from ninja.params.functions import Query

from analytics import holdings, series
from analytics.call_files import COLUMNS, export
from analytics.core import percentile_ms
from analytics.filters import Filters, between, read_filters
from analytics.overview import Tally, by_bar, by_provider, merged, total
from analytics.schemas import TAG
from analytics.schemas_analytics import SeriesOut, SummaryOut
from analytics.sources import SPLITS
from analytics.spans import DAY, Bars, bars, grain_of
from analytics.tags import with_name
from lib.errors import RouterError
from lib.money import dollars
from tenancy.api_auth import holder, in_scope
from tenancy.selectors import organization

router = Router(tags=["analytics"])

Range = Annotated[
    str, Query(description="24h, today, 7d (the default), 14d, 30d or 90d; days begin at midnight.")
]
From = Annotated[
    str, Query(alias="from", description="Instead of a range: a day or a time; see to.")
]
To = Annotated[
    str, Query(description="A day (to its end) or a time (up to it), the organization's or offset.")
]
Provider = Annotated[
    list[str] | None, Query(description="Only calls that these answered; may be repeated.")
]
Model = Annotated[str, Query(description="Only calls that this model answered.")]
Key = Annotated[str, Query(description="Only calls with this API key's id.")]
Member = Annotated[str, Query(description="Only calls of keys that act for this user's id.")]
Status = Annotated[str, Query(description="ok, failed, fallback, a class as 5xx or a code as 429.")]
Grain = Annotated[str, Query(description="auto, 15m, hour or day.")]
# Filters that are read from the address as pages read them, and told here alone.
MORE: list[dict[str, Any]] = [
    {
        "in": "query",
        "name": "fallback_from",
        "schema": {"type": "string"},
        "description": "Only calls that this provider failed at first.",
        "example": "openai",
    },
    {
        "in": "query",
        "name": "q",
        "schema": {"type": "string"},
        "description": "A call's id, or the value of any metadata.",
        "example": "legal",
    },
    TAG,
]
Group = Literal["none", "provider", "model", "key", "member", "status"]
Kind = Literal["csv", "jsonl"]


@router.get(
    "/summary",
    response=SummaryOut,
    by_alias=True,
    summary="Sum up calls",
    openapi_extra={"parameters": MORE},
)
@in_scope
def summarize_calls(
    request: HttpRequest,
    range: Range = "",
    from_: From = "",
    to: To = "",
    provider: Provider = None,
    model: Model = "",
    key: Key = "",
    member: Member = "",
    status: Status = "",
) -> dict[str, Any]:
    """Spend, requests, success, latency percentiles and fallbacks, in all and by provider.

    Latencies are those of successful calls, within 4 %.
    """
    organization_id = holder(request).organization_id
    filters, zone = _asked(request)
    assert filters.start is not None
    assert filters.until is not None
    whole = Bars("all", (filters.start, filters.until))
    (rows,) = series.sums(organization_id, filters, [whole])
    (days,) = series.daily_latencies(organization_id, filters, [(whole.start, whole.until)])
    by_name = series.provider_latencies(organization_id, filters, {row.provider for row in rows})
    return {
        "time_zone": zone.key,
        "from": filters.start,
        "to": filters.until,
        "data_up_to": holdings.last_call_at(organization_id),
        "total": _told(total(by_bar(rows, 1)), merged(days)),
        "providers": [
            {"provider": name} | _told(tally, by_name.get(name, {}))
            for name, tally in sorted(by_provider(rows).items())
        ],
        "fallback_routes": [
            {"from": route.fallback_from, "to": route.provider or None, "calls": route.calls}
            for route in series.routes(organization_id, filters)
        ],
    }


@router.get(
    "/series",
    response=SeriesOut,
    by_alias=True,
    summary="Follow calls over time",
    openapi_extra={"parameters": MORE},
)
@in_scope
def follow_calls(
    request: HttpRequest,
    range: Range = "",
    from_: From = "",
    to: To = "",
    grain: Grain = "auto",
    group: Annotated[Group, Query(description="What each point is split by.")] = "none",
    provider: Provider = None,
    model: Model = "",
    key: Key = "",
    member: Member = "",
    status: Status = "",
) -> dict[str, Any]:
    """Sums of each bar of the time; the bars add up to the summary, in every time zone.

    Days begin at the organization's midnights. Bars without a call are left out.
    """
    filters, zone = _asked(request)
    assert filters.start is not None
    assert filters.until is not None
    shown = bars(filters.start, filters.until, grain_of(filters), zone)
    split_by = group if group in SPLITS else "provider"
    (rows,) = series.sums(holder(request).organization_id, filters, [shown], split_by)
    points: dict[tuple[int, str], Tally] = {}
    for row in rows:
        name = {split_by: row.provider, "status": str(row.status)}.get(group, "")
        points.setdefault((row.bar, name), Tally()).add(row)
    return {
        "time_zone": zone.key,
        "grain": shown.grain,
        "from": shown.start,
        "to": shown.until,
        "data": [
            {"at": shown.edges[bar], "group": name} | _sums(tally)
            for (bar, name), tally in sorted(points.items(), key=lambda item: item[0])
        ],
    }


@router.get(
    "/export",
    summary="Export calls",
    openapi_extra={
        "parameters": MORE,
        "responses": {
            200: {
                "description": "Every call that matches, the oldest first, streamed.",
                "content": {
                    "text/csv": {
                        "schema": {"type": "string"},
                        "example": ",".join(COLUMNS) + "\r\n",
                    },
                    "application/x-ndjson": {
                        "schema": {"type": "string"},
                        "example": '{"time":"2026-11-09T14:02:10.000+01:00","status":200}\n',
                    },
                },
            }
        },
    },
)
@in_scope
def export_matching_calls(
    request: HttpRequest,
    format: Annotated[Kind, Query(description="csv, or jsonl: one object a line.")] = "csv",
    range: Range = "",
    from_: From = "",
    to: To = "",
    provider: Provider = None,
    model: Model = "",
    key: Key = "",
    member: Member = "",
    status: Status = "",
) -> HttpResponseBase:
    """Every call that matches; times carry the zone's offset, costs are exact dollars."""
    filters, zone = _asked(request)
    return export(
        holder(request).organization_id, filters, kind=format, zone=zone.key, name="requests"
    )


def _asked(request: HttpRequest) -> tuple[Filters, ZoneInfo]:
    """The filters of the query and the organization's zone; raises ``RouterError`` (422)."""
    found = organization(holder(request).organization_id)
    assert found is not None
    zone = ZoneInfo(found.time_zone)
    now: datetime = timezone.now()
    filters = read_filters(dict(request.GET.lists()), now=now, zone=zone, default="7d")
    for one in filters.ignored:
        raise RouterError(422, "invalid_value", str(one), param=one.param)
    if filters.start is None and filters.until is not None:
        filters = between(filters, filters.until - 7 * DAY, filters.until, zone=zone)
    return with_name(found.id, filters), zone


def _told(tally: Tally, buckets: dict[int, int]) -> dict[str, Any]:
    percentiles = {f"p{p}_ms": percentile_ms(buckets, p / 100) for p in (50, 95, 99)}
    return _sums(tally) | {
        name: None if ms is None else round(ms) for name, ms in percentiles.items()
    }


def _sums(tally: Tally) -> dict[str, Any]:
    return {
        "calls": tally.calls,
        "successes": tally.successes,
        "fallbacks": tally.fallbacks,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost_nano": tally.cost_nano,
        "cost_usd": dollars(tally.cost_nano),
    }
