"""Requests over a time as bars by the organization's clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from analytics.guide import SLOT, Slot

BARS_MAX = 62
HEIGHT = 56
_HOURS = (1, 2, 3, 6, 12)
_DAYS = (1, 2, 7, 14)
# A bar that has calls can be seen.
_PIXELS_MIN = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """The calls of one stretch; ``x`` and ``width`` per cent, ``height`` and ``failed`` pixels."""

    start: datetime
    end: datetime
    calls: int
    failures: int
    x: float
    width: float
    height: float
    failed: float

    @property
    def y(self) -> float:
        """Where the bar's upper end lies, from the top."""
        return round(HEIGHT - self.height, 1)

    @property
    def failed_y(self) -> float:
        """Where the failed part begins: it stands at the foot."""
        return round(HEIGHT - self.failed, 1)


def bars(slots: Sequence[Slot], start: datetime, until: datetime, *, zone: ZoneInfo) -> list[Bar]:
    """The slots gathered into at most sixty-two bars of equal length by the zone's clock."""
    edges = _edges(start, until, zone)
    calls, failures = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    at = 0
    for slot in slots:
        if not edges[0] - SLOT < slot.start < edges[-1]:
            continue
        while at + 1 < len(edges) - 1 and slot.start >= edges[at + 1]:
            at += 1
        calls[at] += slot.calls
        failures[at] += slot.failed
    most = max(calls, default=0)
    whole = (edges[-1] - edges[0]) / timedelta(seconds=1)
    made = []
    for i, (begin, end) in enumerate(pairwise(edges)):
        x = (begin - edges[0]) / timedelta(seconds=1) / whole * 100
        width = (end - begin) / timedelta(seconds=1) / whole * 100
        height, failed = _pixels(calls[i], most), _pixels(failures[i], most)
        made.append(
            Bar(begin, end, calls[i], failures[i], round(x, 3), round(width, 3), height, failed)
        )
    return made


def _pixels(count: int, most: int) -> float:
    return round(max(_PIXELS_MIN, count / most * HEIGHT), 1) if count else 0.0


def _edges(start: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """Where bars meet: whole hours or midnights of the zone, first and last cut to the time."""
    hours = (until - start) / timedelta(hours=1)
    for step in _HOURS:
        if hours / step <= BARS_MAX - 2:
            return _cut(_hour_marks(start, until, step, zone), start, until)
    days = hours / 24
    step = next((step for step in _DAYS if days / step <= BARS_MAX - 2), 28)
    return _cut(_day_marks(start, until, step, zone), start, until)


def _hour_marks(start: datetime, until: datetime, step: int, zone: ZoneInfo) -> list[datetime]:
    """Every ``step`` hours by the clock on the wall; where it is turned one bar is longer.

    In whole hours of UTC, which is how slots are counted.
    """
    day = start.astimezone(zone).date()
    marks: list[datetime] = []
    while not marks or marks[-1] < until:
        clock = (datetime.combine(day, time(hour), zone) for hour in range(0, 24, step))
        marks += [_whole_hour(mark) for mark in clock]
        day += timedelta(days=1)
    return sorted(set(marks))


def _day_marks(start: datetime, until: datetime, step: int, zone: ZoneInfo) -> list[datetime]:
    day = start.astimezone(zone).date()
    marks = []
    while (midnight := datetime.combine(day, time.min, zone).astimezone(UTC)) < until:
        marks.append(_whole_hour(midnight))
        day += timedelta(days=step)
    return marks


def _whole_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0)


def _cut(marks: Sequence[datetime], start: datetime, until: datetime) -> list[datetime]:
    return [start, *(mark for mark in marks if start < mark < until), until]
