"""The comparison on the Analytics page: a line for each provider, and one for all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analytics.core import percentile_ms
from analytics.filters import Filters
from analytics.overview import Tally, merged, total
from analytics.series import Route
from lib.figures import DASH, count, duration, percent
from lib.money import format_column

HIDDEN = (
    "Not known beside a filter by provider, model, status or fallback: it leaves out requests"
    " that were tried here first and ended elsewhere."
)
NOWHERE = "No provider was tried first, or all that were tried failed."


@dataclass(frozen=True, slots=True)
class Line:
    """One line in texts for people; ``name`` is empty for calls that nobody answered.

    ``why`` says what ``fallback`` is a share of, or why it is a dash.
    """

    name: str
    calls: str
    success: str
    p50: str
    p95: str
    p99: str
    fallback: str
    why: str
    per_1k: str
    cost: str


def tells_fallbacks(filters: Filters) -> bool:
    """Whether all calls that were tried somewhere first are among those that pass.

    A filter by how a call ended leaves out what went on to another provider and ended there.
    """
    return not (filters.providers or filters.model or filters.status or filters.fallback_from)


def compare(
    tallies: Mapping[str, Tally],
    latencies: Mapping[str, Mapping[int, int]],
    routes: Sequence[Route] | None,
) -> tuple[list[Line], Line]:
    """The dearest first, of a provider that lost every call too, and the line of them all.

    ``routes`` are None where it is not known what went away from a provider.
    """
    lost = lost_by(routes or ())
    every = {name: tallies.get(name, Tally()) for name in {*tallies, *lost}}
    # What nobody answered stands below those who did.
    ranked = sorted(every.items(), key=lambda item: (not item[0], -item[1].cost_nano, item[0]))
    names, added = [name for name, _ in ranked], total(every.values())
    sums = [*(tally for _, tally in ranked), added]
    fell = [
        *(_fell_back(name, tally, routes, lost.get(name, 0)) for name, tally in ranked),
        (percent(added.fallback_rate), _of(added.fallbacks, added.calls, "requests")),
    ]
    timed = [*(latencies.get(name, {}) for name in names), merged(latencies.values())]
    dear = format_column([one.nano_per_1k for one in sums])
    costs = format_column([one.cost_nano for one in sums])
    lines = [
        Line(
            name=name,
            calls=count(tally.calls),
            success=percent(tally.success_rate),
            p50=duration(percentile_ms(buckets, 0.5)),
            p95=duration(percentile_ms(buckets, 0.95)),
            p99=duration(percentile_ms(buckets, 0.99)),
            fallback=share,
            why=why,
            per_1k=per_1k,
            cost=cost,
        )
        for name, tally, buckets, (share, why), per_1k, cost in zip(
            [*names, "Total"], sums, timed, fell, dear, costs, strict=True
        )
    ]
    return lines[:-1], lines[-1]


def lost_by(routes: Iterable[Route]) -> dict[str, int]:
    """How many calls were tried at each provider first and went on to another."""
    lost: dict[str, int] = {}
    for route in routes:
        lost[route.fallback_from] = lost.get(route.fallback_from, 0) + route.calls
    return lost


def fallback_share(tally: Tally, lost: int) -> float | None:
    """Of the calls that were tried at a provider first, the share that went on to another."""
    first = tried_first(tally, lost)
    return lost / first if first > 0 else None


def tried_first(tally: Tally, lost: int) -> int:
    """How many calls were tried at a provider first: ended there at once, or lost to another."""
    return tally.calls - tally.fallbacks + lost


def _fell_back(
    name: str, tally: Tally, routes: Sequence[Route] | None, lost: int
) -> tuple[str, str]:
    if not name:
        return DASH, NOWHERE
    if routes is None:
        return DASH, HIDDEN
    first = tried_first(tally, lost)
    return percent(fallback_share(tally, lost)), _of(lost, first, "that were tried here first")


def _of(part: int, whole: int, of_what: str) -> str:
    return f"{part:,} of {whole:,} {of_what}"
