"""What a time on the pages of calls cannot show, in words. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from analytics.filters import CUSTOM, Filters


def lacks(filters: Filters, *, now: datetime, zone: ZoneInfo, kept_days: int) -> list[str]:
    """Of a time that begins before what is kept, or was to end after today."""
    found = []
    kept_since = now - timedelta(days=kept_days)
    if filters.start and filters.start < kept_since - timedelta(days=1):
        day = kept_since.astimezone(zone)
        found.append(
            f"Single requests are kept for {kept_days} days here, since {day.day} {day:%B %Y}:"
            " those from before are deleted. Totals under Analytics stay."
        )
    if filters.range == CUSTOM and filters.until and _ends_after(filters, now, zone):
        found.append("The end lies ahead; there is nothing after now.")
    return found


def _ends_after(filters: Filters, now: datetime, zone: ZoneInfo) -> bool:
    """Whether the end, as it was typed, is after today."""
    day = filters.given[1][:10]
    return day > now.astimezone(zone).date().isoformat()
