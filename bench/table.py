"""Rounds of loads made into one table; figures are medians over the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.client import Load
from bench.load import Phase

BEHIND = 0.97
HEADS = (
    "phase",
    "target",
    "calls/s",
    "CPU µs/call",
    "p50 ms",
    "p99 ms",
    "added p50 ms",
    "added p99 ms",
    "RSS MiB",
    "gateway core busy",
    "other core busy",
    "foreign cores",
    "errors",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one target, and what the machine did meanwhile."""

    phase: Phase
    target: str
    load: Load
    cpu_us: float | None
    rss_mib: float
    gateway_busy: float
    others_busy: float
    foreign: float


def markdown(rounds: Sequence[Measured], phases: Iterable[Phase], targets: Sequence[str]) -> str:
    """The table, a row per phase and target."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    for phase in phases:
        base = [m.load for m in rounds if m.phase == phase and m.target == "direct"]
        for target in targets:
            found = [m for m in rounds if m.phase == phase and m.target == target]
            if found:
                lines.append("| " + " | ".join(_row(found, base)) + " |")
    return "\n".join(lines)


def _row(found: Sequence[Measured], base: Sequence[Load]) -> list[str]:
    phase, target = found[0].phase, found[0].target
    rates = [m.load.answered / m.load.seconds for m in found]
    rate = statistics.median(rates)
    behind = phase.is_open and rate < phase.size * BEHIND
    spread = f" ({min(rates):,.0f}-{max(rates):,.0f})" if len(rates) > 1 else ""
    loads = [m.load for m in found]
    return [
        phase.name,
        target,
        f"{rate:,.0f}{spread}{' behind' if behind else ''}",
        _number(_median(m.cpu_us for m in found), 0),
        _ms(_median(one.p50_us for one in loads)),
        _ms(_median(one.p99_us for one in loads)),
        *_added(loads, base, is_direct=target == "direct"),
        _number(found[-1].rss_mib, 0),
        f"{statistics.median(m.gateway_busy for m in found):.0%}",
        f"{statistics.median(m.others_busy for m in found):.0%}",
        f"{statistics.median(m.foreign for m in found):.2f}",
        _errors(loads),
    ]


def _added(loads: Sequence[Load], base: Sequence[Load], *, is_direct: bool) -> tuple[str, str]:
    """Percentiles less those of the upstream alone in the same round."""
    if is_direct or not base:
        return "-", "-"
    pairs = list(zip(loads, base, strict=False))
    p50 = [a.p50_us - b.p50_us for a, b in pairs if a.p50_us is not None and b.p50_us is not None]
    p99 = [a.p99_us - b.p99_us for a, b in pairs if a.p99_us is not None and b.p99_us is not None]
    return _ms(_median(p50)), _ms(_median(p99))


def _errors(loads: Sequence[Load]) -> str:
    told: dict[str, int] = {}
    for one in loads:
        for why, count in one.errors.items():
            told[why] = told.get(why, 0) + count
    return ", ".join(f"{count:,} {why}" for why, count in told.items()) or "0"


def _median(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ms(value_us: float | None) -> str:
    return "-" if value_us is None else f"{value_us / 1000:.2f}"
