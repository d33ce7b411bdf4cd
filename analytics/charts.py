"""The Analytics page's figures as plotly.js takes them: plain dicts, no import of plotly. Pure.

A colour is a token such as ``$c3``: ``static/js/charts.js`` puts in what the theme says. Times are
the organization's own clock without an offset, because plotly knows no zones. Each figure carries a
sentence with its finding and the table of what it shows, for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from analytics.core import percentile_ms
from analytics.overview import Tally, by_bar, counted, milliseconds, percent
from analytics.series import Route, Sums
from analytics.spans import Bars
from lib.money import NANO_PER_USD, format_usd

SERIES_MAX = 8
ROUTES_MAX = 8
# A line joins neighbors; so few points, or points without neighbors, show only as dots.
FEW_POINTS = 2
NOBODY = "no provider"
OTHER = "Other"
PERCENTILES = (("p50", 0.5, "$c1"), ("p95", 0.95, "$c2"), ("p99", 0.99, "$c3"))
# Providers that many have keep their colour on every page and in every organization.
_COLOURS = ("openai", "anthropic", "google", "mistral", "groq", "deepseek", "xai", "together")
_ERRORS = (("4xx", "$warn"), ("429", "$c4"), ("5xx", "$bad"))

Figure = dict[str, Any]


def spend(
    rows: Sequence[Sums], bars: Bars, zone: ZoneInfo, *, before: Sequence[Tally] | None = None
) -> Figure:
    """Spend over time by provider, stacked; ``before`` is a dashed line of the time before."""
    costs: dict[str, list[int]] = {}
    for row in rows:
        if row.cost_nano:
            costs.setdefault(row.provider or NOBODY, [0] * len(bars))[row.bar] += row.cost_nano
    shown = _largest(costs)
    times = _times(bars, zone)
    as_bars = len(bars) < 4 or bars.grain == "day"
    colours = colours_of(shown)
    data: list[dict[str, Any]] = []
    for name, values in shown.items():
        trace: dict[str, Any] = {
            "name": name,
            **times,
            "y": [_dollars(value) for value in values],
            "hovertemplate": "$%{y:,.4~f}",
        }
        if as_bars:
            data.append(trace | {"type": "bar", "marker": {"color": colours[name]}})
        else:
            line = {"width": 0.5, "color": colours[name]}
            data.append(
                trace
                | {"type": "scatter", "mode": "lines", "stackgroup": "one", "line": line}
                | {"fillcolor": colours[name]}
            )
    if before is not None:
        data.append(
            {
                "name": "Previous period",
                **times,
                "y": [_dollars(one.cost_nano) for one in before[: len(bars)]],
                "type": "scatter",
                "mode": "lines",
                "line": {"dash": "dot", "width": 1.5, "color": "$mute"},
                "hovertemplate": "$%{y:,.4~f}",
            }
        )
    total = sum(map(sum, costs.values()))
    finding = "Nothing was spent."
    if total:
        first, values = next(iter(shown.items()))
        share = percent(sum(values) / total)
        finding = f"{format_usd(total)} in all; {first} has the largest part, {share}."
    layout = {"barmode": "stack", "yaxis": {"tickprefix": "$"}, **_time_axis(bars)}
    table = {
        "columns": ["Time", *shown],
        "rows": [
            [when, *(format_usd(values[i]) for values in shown.values())]
            for i, when in enumerate(_labels(bars, zone))
        ],
    }
    return _figure(data, layout, f"Spend by provider. {finding}", table, is_empty=not total)


def latency(buckets: Sequence[Mapping[int, int]], bars: Bars, zone: ZoneInfo) -> Figure:
    """Percentiles of the latency of successful calls over time."""
    times = _times(bars, zone)
    data = []
    courses = []
    for name, share, colour in PERCENTILES:
        course = [_rounded(percentile_ms(one, share)) for one in buckets]
        courses.append(course)
        data.append(
            {
                "name": name,
                **times,
                "y": course,
                "type": "scatter",
                "mode": "lines+markers" if _is_sparse(course) else "lines",
                "connectgaps": False,
                "line": {"width": 1.6, "color": colour},
                "hovertemplate": "%{y:,.0f} ms",
            }
        )
    known = [value for value in courses[1] if value is not None]
    finding = "No successful requests."
    if known:
        low, high = milliseconds(min(known)), milliseconds(max(known))
        finding = f"p95 between {low} and {high}."
    ticks = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000]
    axis = {
        "type": "log",
        "rangemode": "normal",
        "tickvals": ticks,
        "ticktext": [milliseconds(t).replace(".00", "") for t in ticks],
    }
    table = {
        "columns": ["Time", *(name for name, _, _ in PERCENTILES)],
        "rows": [
            [when, *(milliseconds(course[i]) for course in courses)]
            for i, when in enumerate(_labels(bars, zone))
        ],
    }
    layout = {"yaxis": axis, **_time_axis(bars)}
    return _figure(data, layout, f"Latency percentiles. {finding}", table, is_empty=not known)


def errors(rows: Sequence[Sums], bars: Bars, zone: ZoneInfo) -> Figure:
    """Calls without an answer by their status; 429 apart from the other 4xx."""
    counts = {name: [0] * len(bars) for name, _ in _ERRORS}
    for row in rows:
        if row.status >= 400:
            name = "429" if row.status == 429 else "4xx" if row.status < 500 else "5xx"
            counts[name][row.bar] += row.calls
    data = [
        {
            "name": name,
            **_times(bars, zone),
            "y": counts[name],
            "type": "bar",
            "marker": {"color": colour},
            "hovertemplate": "%{y:,}",
        }
        for name, colour in _ERRORS
    ]
    calls = sum(row.calls for row in rows)
    failed = sum(map(sum, counts.values()))
    finding = "No errors."
    if failed:
        worst = max(counts, key=lambda name: sum(counts[name]))
        finding = f"{failed:,} of {counted(calls)}, {percent(failed / calls)}; most are {worst}."
    table = {
        "columns": ["Time", *counts],
        "rows": [
            [when, *(f"{values[i]:,}" for values in counts.values())]
            for i, when in enumerate(_labels(bars, zone))
        ],
    }
    layout = {"barmode": "stack", **_time_axis(bars)}
    return _figure(data, layout, f"Errors by status code. {finding}", table, is_empty=not failed)


def requests(
    rows: Sequence[Sums], bars: Bars, zone: ZoneInfo, *, before: Sequence[Tally] | None = None
) -> Figure:
    """Requests over time, answered and failed."""
    tallies = by_bar(rows, len(bars))
    parts = (
        ("Succeeded", [one.successes for one in tallies], "$c1"),
        ("Failed", [one.calls - one.successes for one in tallies], "$bad"),
    )
    data: list[dict[str, Any]] = [
        {
            "name": name,
            **_times(bars, zone),
            "y": values,
            "type": "bar",
            "marker": {"color": colour},
            "hovertemplate": "%{y:,}",
        }
        for name, values, colour in parts
    ]
    if before is not None:
        data.append(
            {
                "name": "Previous period",
                **_times(bars, zone),
                "y": [one.calls for one in before[: len(bars)]],
                "type": "scatter",
                "mode": "lines",
                "line": {"dash": "dot", "width": 1.5, "color": "$mute"},
                "hovertemplate": "%{y:,}",
            }
        )
    count = sum(one.calls for one in tallies)
    table = {
        "columns": ["Time", *(name for name, _, _ in parts)],
        "rows": [
            [when, *(f"{values[i]:,}" for _, values, _ in parts)]
            for i, when in enumerate(_labels(bars, zone))
        ],
    }
    layout = {"barmode": "stack", **_time_axis(bars)}
    return _figure(data, layout, f"Requests. {count:,} in all.", table, is_empty=not count)


def fallbacks(routes: Sequence[Route]) -> Figure:
    """Where calls fell back from and to, the most frequent on top."""
    shown = [(f"{r.fallback_from} → {r.provider or 'no answer'}", r.calls) for r in routes]
    rest = sum(calls for _, calls in shown[ROUTES_MAX:])
    shown = shown[:ROUTES_MAX] + ([(OTHER, rest)] if rest else [])
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [calls for _, calls in reversed(shown)],
            "y": [name for name, _ in reversed(shown)],
            "text": [f"{calls:,}" for _, calls in reversed(shown)],
            "marker": {"color": "$c1"},
            "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        }
    ]
    total = sum(r.calls for r in routes)
    finding = "No request fell back."
    if routes:
        finding = f"{counted(total)}; the most frequent route is {shown[0][0]}, {shown[0][1]:,}."
    table = {
        "columns": ["Route", "Requests"],
        "rows": [[name, f"{calls:,}"] for name, calls in shown],
    }
    layout = {
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {"rangemode": "tozero", "showgrid": True, "fixedrange": True},
        "yaxis": {"type": "category", "showgrid": False, "nticks": ROUTES_MAX + 1},
    }
    return _figure(data, layout, f"Fallback routes. {finding}", table, is_empty=not total)


def colours_of(names: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """A colour for each provider: its own where it has one that nobody else took."""
    found = {name: f"$c{_COLOURS.index(name) + 1}" for name in names if name in _COLOURS}
    free = [f"$c{i}" for i in range(1, SERIES_MAX + 1) if f"$c{i}" not in found.values()]
    for name in sorted(set(names) - set(found) - {OTHER, NOBODY}):
        found[name] = free.pop(0) if free else "$mute"
    return found | {name: "$mute" for name in names if name in (OTHER, NOBODY)}


def _largest(series: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The largest series, and all others as one."""
    ranked = sorted(series.items(), key=lambda item: (-sum(item[1]), item[0]))
    shown = dict(ranked[:SERIES_MAX])
    rest = [values for _, values in ranked[SERIES_MAX:]]
    if rest:
        shown[OTHER] = [sum(column) for column in zip(*rest, strict=True)]
    return shown


def _figure(
    data: list[dict[str, Any]],
    layout: dict[str, Any],
    label: str,
    table: dict[str, Any],
    *,
    is_empty: bool,
) -> Figure:
    return {"data": data, "layout": layout, "label": label, "table": table, "empty": is_empty}


def _times(bars: Bars, zone: ZoneInfo) -> dict[str, Any]:
    """Where bars stand: a start and a step where those on the wall are even, else each."""
    walls = [edge.astimezone(zone).replace(tzinfo=None) for edge in bars.edges[:-1]]
    steps = {b - a for a, b in pairwise(walls)}
    if len(steps) == 1:
        return {"x0": _wall(walls[0]), "dx": round(steps.pop().total_seconds() * 1000)}
    return {"x": [_wall(wall) for wall in walls]}


def _time_axis(bars: Bars) -> dict[str, Any]:
    return {"xaxis": {"type": "date"}, "hovermode": "x unified", "grain": bars.grain}


def _labels(bars: Bars, zone: ZoneInfo) -> list[str]:
    shape = "%a %-d %b %Y" if bars.grain == "day" else "%-d %b %Y, %H:%M"
    return [edge.astimezone(zone).strftime(shape) for edge in bars.edges[:-1]]


def _wall(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="minutes")


def _dollars(nano: int) -> float:
    """Dollars to a hundredth of a cent: a chart shows no more."""
    return round(nano / NANO_PER_USD, 4)


def _is_sparse(course: Sequence[int | None]) -> bool:
    known = [value is not None for value in course]
    return sum(known) <= FEW_POINTS or not any(one and after for one, after in pairwise(known))


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)
