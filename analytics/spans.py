"""How a time is cut into the bars of a chart, by the organization's clock. Pure.

Days end at midnight on the wall, be they 23 or 25 hours long; hours begin with the zone's hours,
which in India is half an hour after those of UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from analytics.filters import QUARTER, Filters, midnight

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BARS_MAX = 800
# Up to which length of time a grain is taken unasked, and up to which it may be asked for.
_HOURLY_UNASKED = 16 * DAY
_QUARTERLY_UNASKED = 6 * HOUR
_LONGEST = {"15m": 4 * DAY, "hour": 31 * DAY, "day": BARS_MAX * DAY}


@dataclass(frozen=True, slots=True)
class Bars:
    """Ascending edges in UTC, one more than there are bars; a bar begins at its edge."""

    grain: str
    edges: tuple[datetime, ...]

    @property
    def start(self) -> datetime:
        """The first moment."""
        return self.edges[0]

    @property
    def until(self) -> datetime:
        """The first moment after the last bar."""
        return self.edges[-1]

    def __len__(self) -> int:
        return len(self.edges) - 1


def grain_of(filters: Filters) -> str:
    """15m, hour or day: as asked for if the time is not too long for it, else what suits it."""
    assert filters.start is not None
    assert filters.until is not None
    length = filters.until - filters.start
    if length <= _LONGEST.get(filters.grain, timedelta()):
        return filters.grain
    if length <= _QUARTERLY_UNASKED:
        return "15m"
    return "hour" if length <= _HOURLY_UNASKED else "day"


def bars(start: datetime, until: datetime, grain: str, zone: ZoneInfo) -> Bars:
    """The bars from ``start`` until ``until``; the first and the last may be cut short."""
    if grain == "day":
        edges = _midnights(start, until, zone)
    else:
        step = QUARTER if grain == "15m" else HOUR
        offset = start.astimezone(zone).utcoffset() or timedelta()
        first = start - (start + offset - datetime(1970, 1, 1, tzinfo=UTC)) % step
        count = -((first - until) // step)
        edges = [first + i * step for i in range(1, count)]
    return Bars(grain, (start, *(edge for edge in edges if start < edge < until), until))


def _midnights(start: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    day: date = start.astimezone(zone).date()
    found = []
    while (at := midnight(day, zone)) < until:
        found.append(at)
        day += DAY
    return found


def split_hours(edges: Sequence[datetime]) -> list[datetime]:
    """The hours of UTC that an edge lies inside of, ascending."""
    return sorted({hour for edge in edges if (hour := floor_hour(edge)) != edge})


def floor_hour(at: datetime) -> datetime:
    """The hour of UTC that a moment in UTC lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


def floor_quarter(at: datetime) -> datetime:
    """The quarter of an hour that a moment lies in."""
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
