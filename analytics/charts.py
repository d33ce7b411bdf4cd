"""The Analytics page's figures as plotly.js takes them: plain dicts, no import of plotly. Pure.

A colour is a token such as ``$c3``: ``static/js/charts.js`` puts in what the theme says. Times are
the organization's own clock without an offset, because plotly knows no zones. Each figure carries a
sentence with its finding and the ``table`` of what it shows, for those who do not see it and for
hovers; its ``sheet`` is the same in exact values with offsets, for a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from analytics.core import bucket_ms
from analytics.overview import Tally, by_bar
from analytics.series import Route, Sums
from analytics.spans import Bars
from lib.figures import count, counted, duration, percent
from lib.money import NANO_PER_USD, dollars, format_column, format_usd

SERIES_MAX = 8
ROUTES_MAX = 8
# A line joins neighbors; so few points, or points without neighbors, show only as dots.
FEW_POINTS = 2
NOBODY = "no provider"
OTHER = "Other"
EARLIER = "Previous period"
TOTAL = "Total"
PERCENTILES = (("p50", 0.5, "$c1"), ("p95", 0.95, "$c2"), ("p99", 0.99, "$c3"))
# Providers that many have keep their colour on every page and in every organization.
_COLOURS = ("openai", "anthropic", "google", "mistral", "groq", "deepseek", "xai", "together")
# The steps of an axis of dollars, and how an amount on it is written: plotly's own way is 50\u00b5.
_USD_TICKS = [
    {"dtickrange": [None, 0.0099], "value": "$,.9~f"},
    {"dtickrange": [0.0099, 0.99], "value": "$,.2f"},
    {"dtickrange": [0.99, None], "value": "$,.0f"},
]
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
    courses: dict[str, Sequence[int]] = {**shown}
    if before is not None:
        earlier = courses[EARLIER] = [one.cost_nano for one in before[: len(bars)]]
        data.append(_earlier([_dollars(value) for value in earlier], times))
    total = sum(map(sum, costs.values()))
    finding = "Nothing was spent."
    if total:
        first, values = next(iter(shown.items()))
        share = percent(sum(values) / total)
        finding = f"{format_usd(total)} in all; {first} has the largest part, {share}."
    layout = {"barmode": "stack", "yaxis": {"tickformatstops": _USD_TICKS}, **_time_axis(bars)}
    tables = _tables(courses, bars, zone, say=format_column, write=dollars, adds_up=True)
    return _figure(data, layout, f"Spend by provider. {finding}", tables, is_empty=not total)


def latency(buckets: Sequence[Sequence[int | None]], bars: Bars, zone: ZoneInfo) -> Figure:
    """Latencies of successful calls over time; a course of buckets for each of PERCENTILES."""
    times = _times(bars, zone)
    data = []
    courses: dict[str, list[int | None]] = {}
    for (name, _, colour), found in zip(PERCENTILES, buckets, strict=True):
        course = [None if bucket is None else round(bucket_ms(bucket)) for bucket in found]
        courses[name] = course
        data.append(
            {
                "name": name,
                **times,
                "y": course,
                "type": "scatter",
                "mode": "lines+markers" if _is_sparse(course) else "lines",
                "connectgaps": False,
                "line": {"width": 1.6, "color": colour},
            }
        )
    known = [value for value in courses["p95"] if value is not None]
    finding = "No successful requests."
    if known:
        low, high = duration(min(known)), duration(max(known))
        finding = f"p95 between {low} and {high}."
    ticks = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000]
    axis = {
        "type": "log",
        "rangemode": "normal",
        "tickvals": ticks,
        "ticktext": [_round_duration(t) for t in ticks],
    }
    layout = {"yaxis": axis, **_time_axis(bars)}
    tables = _tables(courses, bars, zone, say=_each(duration))
    return _figure(data, layout, f"Latency percentiles. {finding}", tables, is_empty=not known)


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
        }
        for name, colour in _ERRORS
    ]
    calls = sum(row.calls for row in rows)
    failed = sum(map(sum, counts.values()))
    finding = "No errors."
    if failed:
        worst = max(counts, key=lambda name: sum(counts[name]))
        finding = f"{failed:,} of {counted(calls)}, {percent(failed / calls)}; most are {worst}."
    tables = _tables(counts, bars, zone, say=_each(count), adds_up=True)
    layout = {"barmode": "stack", **_time_axis(bars)}
    return _figure(data, layout, f"Errors by status code. {finding}", tables, is_empty=not failed)


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
        }
        for name, values, colour in parts
    ]
    courses = {name: values for name, values, _ in parts}
    if before is not None:
        earlier = courses[EARLIER] = [one.calls for one in before[: len(bars)]]
        data.append(_earlier(earlier, _times(bars, zone)))
    calls = sum(one.calls for one in tallies)
    tables = _tables(courses, bars, zone, say=_each(count), adds_up=True)
    layout = {"barmode": "stack", **_time_axis(bars)}
    label = f"Requests. {count(calls)} in all."
    return _figure(data, layout, label, tables, is_empty=not calls)


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
            "text": [count(calls) for _, calls in reversed(shown)],
            "textangle": 0,
            "textposition": "auto",
            "cliponaxis": False,
            "marker": {"color": "$c1"},
            "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        }
    ]
    total = sum(r.calls for r in routes)
    finding = "No request fell back."
    if routes:
        finding = f"{counted(total)}; the most frequent route is {shown[0][0]}, {shown[0][1]:,}."
    columns = ["Route", "Requests"]
    tables = {
        "table": {
            "columns": columns,
            "rows": [[name, count(calls)] for name, calls in shown],
            "total": [TOTAL, count(total)],
        },
        "sheet": {"columns": columns, "rows": shown},
    }
    layout = {
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {"rangemode": "tozero", "showgrid": True, "fixedrange": True},
        "yaxis": {"type": "category", "showgrid": False, "nticks": ROUTES_MAX + 1},
    }
    return _figure(data, layout, f"Fallback routes. {finding}", tables, is_empty=not total)


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
    tables: dict[str, Any],
    *,
    is_empty: bool,
) -> Figure:
    return {"data": data, "layout": layout, "label": label, **tables, "empty": is_empty}


def _earlier(values: Sequence[float], times: Mapping[str, Any]) -> dict[str, Any]:
    """The time before, as a dotted line under the same clock."""
    line = {"dash": "dot", "width": 1.5, "color": "$mute"}
    return {"name": EARLIER, **times, "y": values, "type": "scatter", "mode": "lines", "line": line}


def _tables(
    courses: Mapping[str, Sequence[int | None]],
    bars: Bars,
    zone: ZoneInfo,
    *,
    say: Callable[[Sequence[int | None]], list[str]],
    write: Callable[[Any], object] = lambda value: value,
    adds_up: bool = False,
) -> dict[str, Any]:
    """Every bar as a line, for people and for a file. Columns are called like their series.

    People also get the sums of lines and columns, where it ``adds_up``.
    """
    # The time before may have more bars or fewer, where the clocks changed.
    lines = [
        [course[bar] if bar < len(course) else None for course in courses.values()]
        for bar in range(len(bars))
    ]
    starts = [edge.astimezone(zone).isoformat() for edge in bars.edges[:-1]]
    return {
        "table": _said(courses, lines, _labels(bars, zone), say, adds_up=adds_up),
        "sheet": {
            "columns": ["time", *courses],
            "rows": [
                [start, *("" if value is None else write(value) for value in line)]
                for start, line in zip(starts, lines, strict=True)
            ],
        },
    }


def _said(
    names: Iterable[str],
    lines: Sequence[Sequence[int | None]],
    labels: Sequence[str],
    say: Callable[[Sequence[int | None]], list[str]],
    *,
    adds_up: bool,
) -> dict[str, Any]:
    """The table that people read; each column is said as one."""
    columns = dict(zip(names, zip(*lines, strict=True), strict=False))
    # The time before is no part of this one.
    parts = [column for name, column in columns.items() if name != EARLIER]
    if adds_up and len(parts) > 1:
        columns[TOTAL] = tuple(sum(filter(None, line)) for line in zip(*parts, strict=True))
    found: dict[str, Any] = {"columns": ["Time", *columns]}
    if adds_up:
        columns = {name: (*column, sum(filter(None, column))) for name, column in columns.items()}
    texts = [say(column) for column in columns.values()]
    rows = [
        list(line) for line in zip([*labels, TOTAL][: len(labels) + adds_up], *texts, strict=True)
    ]
    return found | ({"rows": rows[:-1], "total": rows[-1]} if adds_up else {"rows": rows})


def _each(say: Callable[[int | None], str]) -> Callable[[Sequence[int | None]], list[str]]:
    return lambda column: [say(value) for value in column]


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
    """Dollars as precise as a chart can draw them."""
    return float(f"{nano / NANO_PER_USD:.5g}")


def _round_duration(ms: int) -> str:
    """A round duration without its zeros: 2 s."""
    number, unit = duration(ms).split()
    return f"{float(number):g} {unit}"


def _is_sparse(course: Sequence[int | None]) -> bool:
    known = [value is not None for value in course]
    return sum(known) <= FEW_POINTS or not any(one and after for one, after in pairwise(known))
