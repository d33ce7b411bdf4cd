"""Which stretches of time to read for a page of calls, from counts of the rollups. Pure.

Rollups know how many calls that pass the filters came in each slot. A page of fifty is therefore
found by reading a few slots, be it the third key's only three calls of a month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SLOT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """How many calls came in the time from ``start`` on, and how many of these failed."""

    start: datetime
    calls: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A time from its start to just before its end."""

    start: datetime
    end: datetime


def spans(
    slots: Sequence[Slot],
    *,
    wanted: int,
    before: datetime | None = None,
    after: datetime | None = None,
) -> list[Span]:
    """The stretches in which the newest ``wanted`` calls lie, neighbours joined, newest first.

    ``slots`` ascend. With ``before`` the newest until that moment, with ``after`` the oldest from
    that moment on. The slot of either moment itself holds calls on both sides, so it is read and
    not counted.
    """
    ordered = slots if after is not None else slots[::-1]
    chosen: list[Slot] = []
    sure = 0
    for slot in ordered:
        if before is not None and slot.start > before:
            continue
        if after is not None and slot.start + SLOT <= after:
            continue
        chosen.append(slot)
        edge = before if before is not None else after
        if edge is None or not slot.start <= edge < slot.start + SLOT:
            sure += slot.calls
        if sure >= wanted:
            break
    return _joined(sorted((slot.start for slot in chosen), reverse=True))


def _joined(starts: Sequence[datetime]) -> list[Span]:
    joined: list[Span] = []
    for start in starts:
        if joined and joined[-1].start == start + SLOT:
            joined[-1] = Span(start, joined[-1].end)
        else:
            joined.append(Span(start, start + SLOT))
    return joined
