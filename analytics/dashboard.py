"""The Analytics tab: its page, and the data of its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics import charts, holdings, selectors, series
from analytics.call_files import FORMATS, export
from analytics.comparison import compare, tells_fallbacks
from analytics.filters import (
    ANYBODY,
    CUSTOM,
    DAYS_MAX,
    GRAINS,
    NAMES,
    NOBODY,
    RANGES,
    STATUSES,
    Filters,
    between,
    previous,
    read_filters,
)
from analytics.notes import lacks
from analytics.overview import (
    SPARK_HEIGHT,
    SPARK_WIDTH,
    by_bar,
    by_provider,
    figures,
    merged,
    total,
)
from analytics.sources import is_raw, is_slow
from analytics.spans import Bars, bars, grain_of
from analytics.tags import with_name
from catalog.selectors import sandbox_slugs
from lib.errors import RouterError
from lib.figures import counted
from lib.money import format_usd
from tenancy.download import csv_lines, download
from tenancy.pages import Member, MemberRequest, member_page, render_page, wants_fragment
from tenancy.selectors import key_names, member_emails

PATH = "/enterprise-router/analytics"
TEMPLATE = "analytics/analytics.html"
DEFAULT_RANGE = "7d"
# Figures by name with their title; the first one is as wide as the page.
FIGURES = {
    "spend": "Spend by provider",
    "latency": "Latency",
    "errors": "Errors by status code",
    "requests": "Requests",
    "fallbacks": "Fallback routes",
}
_FREE = ("providers", "model", "key", "member", "status", "fallback_from", "tags")


@dataclass(frozen=True, slots=True)
class Card:
    """A chart's place on the page."""

    name: str
    title: str
    source: str
    file: str
    requests: str


@require_safe
@member_page
def page(request: MemberRequest) -> HttpResponse:
    """What the organization's calls cost, how fast they were, and what became of them."""
    filters = filters_of(request)
    member = request.member
    known = holdings.names(member.organization_id)
    last = holdings.last_call_at(member.organization_id)
    context: dict[str, Any] = {
        "title": "Analytics",
        "tab": "analytics",
        "path": PATH,
        "filters": filters,
        "zone": member.time_zone,
        "last_call_at": last,
        "is_new": last is None,
        "today": timezone.now().astimezone(member.zone()).date()
        == (last and last.astimezone(member.zone()).date()),
        **_bar(request, filters, known),
    }
    is_part = wants_fragment(request, "results")
    # What a month's tags add up to can take longer than a page may, so it follows by itself.
    if (filters.tags or filters.q) and not is_part and request.GET.get("results") != "now":
        return render_page(request, TEMPLATE, context | {"follows": _here(filters)})
    context |= _results(request, filters)
    if not is_part:
        return render_page(request, TEMPLATE, context)
    response = render_page(request, TEMPLATE, context, target="results")
    if request.headers.get("HX-Trigger") != "results":
        # The address says the filters in one way, however the form has sent them.
        response.headers["HX-Push-Url"] = f"{PATH}?{filters.query()}"
    return response


@require_safe
@member_page
def figure(request: MemberRequest, name: str) -> HttpResponse:
    """One chart of the page as JSON: data and layout for plotly, a sentence, and a table."""
    if name not in FIGURES:
        raise Http404
    filters = filters_of(request)
    if filters.ignored:
        return _refused(filters)
    drawn = _figure(request, name, filters)
    del drawn["sheet"]
    response = HttpResponse(orjson.dumps(drawn), content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@require_safe
@member_page
def figure_file(request: MemberRequest, name: str) -> HttpResponseBase:
    """What a chart shows as CSV: exact dollars, milliseconds, counts, and times with an offset."""
    if name not in FIGURES:
        raise Http404
    filters = filters_of(request)
    if filters.ignored:
        return _refused(filters)
    sheet = _figure(request, name, filters)["sheet"]
    assert filters.start is not None
    first = filters.start.astimezone(request.member.zone()).date()
    return download(
        request,
        csv_lines(sheet["columns"], sheet["rows"]),
        filename=f"{name}-{first}.csv",
        content_type="text/csv",
    )


@require_safe
@member_page
def export_calls(request: MemberRequest) -> HttpResponseBase:
    """Every call that passes the filters as a file: ``?format=csv`` or ``jsonl``."""
    kind = request.GET.get("format", "csv")
    if kind not in FORMATS:
        raise Http404
    filters = filters_of(request)
    if filters.ignored:
        return _refused(filters)
    assert filters.start is not None
    first = filters.start.astimezone(request.member.zone()).date()
    try:
        return export(
            request.member.organization_id,
            filters,
            kind=kind,
            zone=request.member.time_zone,
            name=f"requests {request.member.organization} {first}",
        )
    except RouterError as why:
        return HttpResponse(why.message, status=why.status, content_type="text/plain")


def filters_of(request: MemberRequest) -> Filters:
    """The filters of the address, over a time that has both ends."""
    zone = request.member.zone()
    query = dict(request.GET.lists())
    found = read_filters(query, now=timezone.now(), zone=zone, default=DEFAULT_RANGE)
    if found.start is None and found.until is not None:
        found = between(found, found.until - timedelta(days=7), found.until, zone=zone)
    return found


def _refused(filters: Filters) -> HttpResponse:
    """Data of other calls than those that were asked for would mislead."""
    said = "\n".join(map(str, filters.ignored))
    return HttpResponse(said, status=422, content_type="text/plain")


def bars_of(filters: Filters, request: MemberRequest, grain: str = "") -> Bars:
    """The bars of the filters' time."""
    assert filters.start is not None
    assert filters.until is not None
    zone = request.member.zone()
    return bars(filters.start, filters.until, grain or grain_of(filters), zone)


def _figure(request: MemberRequest, name: str, filters: Filters) -> charts.Figure:
    organization_id, zone = request.member.organization_id, request.member.zone()
    filters = with_name(organization_id, filters)
    if name == "fallbacks":
        return charts.fallbacks(series.routes(organization_id, filters))
    shown = bars_of(filters, request)
    if name == "latency":
        shares = [share for _, share, _ in charts.PERCENTILES]
        found = series.percentiles(organization_id, filters, shown, shares)
        return charts.latency(found, shown, zone)
    if name == "errors":
        (rows,) = series.sums(organization_id, filters, [shown])
        return charts.errors(rows, shown, zone)
    draw = charts.spend if name == "spend" else charts.requests
    if not filters.compare:
        (rows,) = series.sums(organization_id, filters, [shown])
        return draw(rows, shown, zone)
    earlier = bars_of(previous(filters, zone=zone), request, shown.grain)
    rows, old = series.sums(organization_id, filters, [shown, earlier])
    return draw(rows, shown, zone, before=by_bar(old, len(earlier)))


def _results(request: MemberRequest, filters: Filters) -> dict[str, Any]:
    """Everything below the filter bar."""
    organization_id = request.member.organization_id
    # Sparklines need no more points than fit, so a long time goes by days.
    grain = "hour" if _length(filters) <= timedelta(days=2) else "day"
    shown = bars_of(filters, request, grain)
    before = previous(filters, zone=request.member.zone())
    earlier = Bars("all", (before.start or shown.start, before.until or shown.start))
    asked = with_name(organization_id, filters)
    rows, old = series.sums(organization_id, asked, [shown, earlier])
    # The course needs no zone's days; days of UTC are read much sooner than their hours.
    latencies, latencies_before = (
        series.latencies(organization_id, asked, [shown, earlier])
        if grain == "hour"
        else series.daily_latencies(
            organization_id, asked, [(one.start, one.until) for one in (shown, earlier)]
        )
    )
    tallies = by_bar(rows, len(shown))
    was = by_bar(old, 1)[0] if old else None
    numbers = figures(tallies, was, latencies, merged(latencies_before))
    routes = series.routes(organization_id, asked)
    by_name = series.provider_latencies(organization_id, asked, {row.provider for row in rows})
    lines, added = compare(by_provider(rows), by_name, routes if tells_fallbacks(filters) else None)
    query = filters.query()
    unpaid = sandbox_slugs(organization_id)
    spent = sum(row.cost_nano for row in rows if row.provider in unpaid)
    return {
        "figures": [(one, _figure_link(one.name, filters)) for one in numbers],
        "spark": {"width": SPARK_WIDTH, "height": SPARK_HEIGHT},
        "calls": total(tallies).calls,
        "is_slow": is_slow(asked),
        "without": _here(filters),
        "notes": _notes(request.member, filters),
        "before": before,
        "start": filters.start,
        "until": filters.until,
        "cards": [
            Card(
                name=name,
                title=title,
                source=f"{PATH}/fig/{name}.json?{query}",
                file=f"{PATH}/fig/{name}.csv?{query}",
                requests=_figure_link(name, filters),
            )
            for name, title in FIGURES.items()
        ],
        "compared": [
            (line, _here(alone), _requests(alone))
            for line in lines
            for alone in [filters.but(providers=(line.name or NOBODY,))]
        ],
        "added": added,
        "unpaid": spent and format_usd(spent),
        **_routes(routes, filters),
        "export": {kind: f"{PATH}/export?format={kind}&{query}" for kind in FORMATS},
        "all_requests": _requests(filters),
    }


def _notes(member: Member, filters: Filters) -> list[str]:
    """What the time lacks. Rollups outlive the calls that only some filters read."""
    kept = is_raw(filters) or filters.tags
    days = selectors.kept_days(member.organization_id) if kept else DAYS_MAX
    return lacks(filters, now=timezone.now(), zone=member.zone(), kept_days=days)


def _routes(routes: Sequence[series.Route], filters: Filters) -> dict[str, Any]:
    """The most frequent ways of falling back, and how many there are besides."""
    rest = routes[charts.ROUTES_MAX :]
    return {
        "routes": [_route(route, filters) for route in routes[: charts.ROUTES_MAX]],
        "more_routes": rest
        and f"{len(rest):,} more route{'' if len(rest) == 1 else 's'},"
        f" {counted(sum(route.calls for route in rest))}",
        "all_fallbacks": _figure_link("fallbacks", filters),
    }


def _route(route: series.Route, filters: Filters) -> tuple[series.Route, str, str]:
    """A way of falling back, the calls that took it, and how many they are."""
    taken = filters.but(fallback_from=route.fallback_from, providers=(route.provider or NOBODY,))
    return route, _requests(taken), f"{route.calls:,}"


def _bar(request: MemberRequest, filters: Filters, known: dict[str, list[str]]) -> dict[str, Any]:
    """The filter bar: menus with the choice that holds."""
    organization_id = request.member.organization_id
    keys, emails = key_names(organization_id), member_emails(organization_id)
    emails[request.member.user.id] = f"{request.member.user.email} (you)"
    ranges = [(name, label) for name, (label, _) in RANGES.items()]
    menus = [
        _menu("range", "Time", [*ranges, (CUSTOM, "Custom")], filters.range),
        _menu("grain", "Grain", list(GRAINS.items()), filters.grain),
    ]
    more = [
        _menu("model", "Model", _same("All models", known.get("model")), filters.model),
        _menu("key", "API key", _named("All keys", known.get("key"), keys), filters.key),
        _menu(
            "member", "Member", _named("All members", known.get("member"), emails), filters.member
        ),
        _menu("status", "Status", [("", "All statuses"), *STATUSES.items()], filters.status),
    ]
    providers = sorted({*known.get("provider", []), *filters.providers} - {""})
    return {
        "menus": menus,
        "more": more,
        "providers_known": [
            (name, NAMES.get(name, name), name in filters.providers) for name in providers
        ],
        "ends": {
            "from": _local(filters.start, request),
            "to": _local(filters.until, request),
        },
        "bare": _here(filters.but(**{name: getattr(Filters(), name) for name in _FREE})),
        "earlier": _here(previous(filters, zone=request.member.zone())),
        "later": _later(request, filters),
    }


def _menu(
    name: str, label: str, choices: Sequence[tuple[str, str]], chosen: object
) -> dict[str, Any]:
    held = str(chosen or "")
    known = any(value == held for value, _ in choices)
    options = [*choices] if known or not held else [*choices, (held, held)]
    return {"name": name, "label": label, "options": options, "chosen": held}


def _same(every: str, values: Sequence[str] | None) -> list[tuple[str, str]]:
    return [("", every), *((value, value) for value in values or () if value)]


def _named(every: str, ids: Sequence[str] | None, names: dict[UUID, str]) -> list[tuple[str, str]]:
    found = [UUID(text) for text in ids or ()]
    named = sorted((names.get(one, str(one)), str(one)) for one in found if one.int)
    return [("", every), *((value, label) for label, value in named)]


def _figure_link(name: str, filters: Filters) -> str:
    """The calls behind a number or a chart: those that failed, fell back or were timed."""
    status = {"success": "failed", "errors": "failed", "p95": "ok", "latency": "ok"}.get(name, "")
    fell = filters.but(fallback_from=filters.fallback_from or ANYBODY)
    if name == "fallbacks":
        return _requests(fell if filters.status else filters.but(status="fallback"))
    if status and filters.status == "fallback":
        return _requests(fell.but(status=status))
    return _requests(filters.but(status=filters.status or status))


def _requests(filters: Filters) -> str:
    """The calls behind a number."""
    return f"/requests?{filters.query(grain='auto', compare=False)}"


def _here(filters: Filters) -> str:
    return f"{PATH}?{filters.query()}"


def _later(request: MemberRequest, filters: Filters) -> str:
    """The address of the time just after; empty where that lies ahead."""
    assert filters.start is not None
    assert filters.until is not None
    if filters.range != CUSTOM or filters.until >= timezone.now():
        return ""
    until = filters.until + _length(filters)
    return _here(between(filters, filters.until, until, zone=request.member.zone()))


def _length(filters: Filters) -> timedelta:
    assert filters.start is not None
    assert filters.until is not None
    return filters.until - filters.start


def _local(at: datetime | None, request: MemberRequest) -> str:
    """A moment as a field of a form takes it."""
    return at.astimezone(request.member.zone()).strftime("%Y-%m-%dT%H:%M") if at else ""
