"""The attempts of one call as bars on one time axis. Pure; lengths are per cent of the width.

The ledger knows when each attempt began (``at_ms``, from the call's arrival) and how long it took.
An attempt of an older row that does not say when began when the one before had ended. A stream's
own figure ends at its first content; its bar goes on to the end of the call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 100
# A bar that is shorter cannot be seen.
BAR_MIN = 0.5
TICKS_MAX = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt. What streamed has a ``rest`` behind its first content, which ``flows_at``."""

    x: float
    width: float
    flows_at: float = 0.0
    rest: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Bars in the order of the attempts, and the axis as (place, milliseconds)."""

    bars: Sequence[Bar] = ()
    ticks: Sequence[tuple[float, float]] = ()


def shape(attempts: Sequence[Mapping[str, Any]], latency_ms: int) -> Shape:
    """Where each attempt's bar lies when the whole width is the whole call."""
    spans = _spans(attempts, latency_ms)
    if not spans:
        return Shape()
    whole = max(latency_ms, max(end for _, end, _ in spans), 1)
    scale = WIDTH / whole
    bars = []
    for start, end, first_ms in spans:
        width = max(BAR_MIN, (end - start) * scale)
        x = min(start * scale, WIDTH - width)
        first = min(first_ms * scale, width) if first_ms else width
        bars.append(Bar(*(round(at, 2) for at in (x, width, x + first, width - first))))
    step = _step(whole)
    ticks = [(round(i * step * scale, 2), i * step) for i in range(int(whole / step) + 1)]
    return Shape(bars, ticks)


def _spans(
    attempts: Sequence[Mapping[str, Any]], latency_ms: int
) -> list[tuple[float, float, float]]:
    """When each attempt began and ended, and how long its first content took; milliseconds."""
    spans: list[tuple[float, float, float]] = []
    before = 0.0
    for number, attempt in enumerate(attempts, start=1):
        start = max(0.0, float(attempt.get("at_ms", before)))
        first_ms = float(attempt.get("first_token_ms", 0))
        end = start + max(0.0, float(attempt.get("ms", 0)))
        if first_ms and number == len(attempts):
            end = max(end, float(latency_ms))
        spans.append((start, end, first_ms))
        before = end
    return spans


def _step(whole: float) -> float:
    """The distance of the ticks: 1, 2 or 5 times a power of ten, at most five of them."""
    rough = whole / TICKS_MAX
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * m for m in (1, 2, 5) if power * m >= rough), power * 10)
