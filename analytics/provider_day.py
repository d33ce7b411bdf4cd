"""What each provider did in the last 24 hours, in the numbers and over the time of Analytics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics import series
from analytics.comparison import fallback_share, lost_by
from analytics.filters import read_filters
from analytics.overview import Tally, by_provider
from analytics.spans import Bars

RANGE = "24h"


@dataclass(frozen=True, slots=True)
class ProviderDay:
    """What one provider was asked; shares are from 0 to 1.

    ``calls`` ended there, ``success`` of them with an answer. ``fell_back`` of those that were
    tried there first went on to another provider, and are ``calls`` of that one.
    """

    calls: int
    success: float | None
    fell_back: float | None


def provider_days(organization_id: UUID, now: datetime) -> Mapping[str, ProviderDay]:
    """Each provider that was asked, by slug; two queries."""
    filters = read_filters({"range": [RANGE]}, now=now, zone=ZoneInfo("UTC"))
    assert filters.start is not None
    assert filters.until is not None
    whole = Bars("all", (filters.start, filters.until))
    (rows,) = series.sums(organization_id, filters, [whole])
    lost = lost_by(series.routes(organization_id, filters))
    tallies = by_provider(rows)
    return {
        slug: ProviderDay(tally.calls, tally.success_rate, fallback_share(tally, lost.get(slug, 0)))
        for slug in {*tallies, *lost} - {""}
        for tally in [tallies.get(slug, Tally())]
    }
