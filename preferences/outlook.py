"""Which model a priority leads to now, by the same scores as routing's, on the traffic there is.

What routing knows of this very moment, the health of a provider, is not asked: the page says what
usually holds, from the price list and the rollups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from analytics.core import percentile_ms
from analytics.selectors import latencies, typical_tokens
from catalog.models import Deployment, Provider
from catalog.prices import price_of
from catalog.pricing import Price, cost_nano, upper_bound_nano
from catalog.selectors import deployments
from catalog.usage import Usage
from lib.money import format_usd
from preferences.core import Offer, Preferences, Priority, scores

TRAFFIC_DAYS = 7
LATENCY_HOURS = 24
_PER = 1_000


@dataclass(frozen=True, slots=True)
class Outlook:
    """The deployment that comes first, and what a thousand requests like the last would cost.

    ``longest_nano`` is the most that one without max_tokens could cost where it could cost least,
    at ``longest_model``: what a maximum cost is held against.
    """

    model: str
    provider: str
    per_thousand_nano: int | None
    longest_nano: int | None = None
    longest_model: str = ""

    def __str__(self) -> str:
        said = f"Today that is {self.model} at {self.provider}"
        if self.per_thousand_nano is None:
            return f"{said}."
        cost = format_usd(self.per_thousand_nano)
        return f"{said}, {cost} per 1k requests like those of the last {TRAFFIC_DAYS} days."


def outlook(
    organization_id: UUID, wanted: Preferences, vendors: Iterable[Provider], *, now: datetime
) -> Outlook | None:
    """What comes first for a chat that leaves the model open; None when nothing may answer.

    ``vendors`` are the organization's active providers with their live credentials. Three queries.
    """
    known = {v.id: v for v in vendors if v.credentials.all()}
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = [
        d
        for d in deployments(organization_id)
        if d.operation == "chat"
        and d.provider_id in known
        and _allowed(known[d.provider_id], wanted)
    ]
    tokens = typical_tokens(organization_id, hour - timedelta(days=TRAFFIC_DAYS))
    measured = latencies(organization_id, hour - timedelta(hours=LATENCY_HOURS))
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1]) if tokens else _USUAL
    offers = []
    bounds = []
    for one in found:
        price = price_of(one, known[one.provider_id], at=now)
        if price is not None:
            bounds.append((_longest_nano(usage, one, price), one.model))
        p50 = percentile_ms(measured.get((known[one.provider_id].slug, one.model), {}), 0.5)
        offers.append(
            Offer(
                estimate_nano=None if price is None else cost_nano(usage, price),
                expected_ms=None if p50 is None else round(p50),
                quality=one.quality,
            )
        )
    first = _first(found, offers, known, wanted, has_traffic=tokens is not None)
    if first is None or not bounds:
        return first
    longest, model = min(bounds)
    return replace(first, longest_nano=longest, longest_model=model)


def _longest_nano(usage: Usage, deployment: Deployment, price: Price) -> int:
    """What a call of usual input could cost at most that says nothing of its answer's length."""
    tokens = usage.input_tokens
    return upper_bound_nano(tokens, deployment.max_output_tokens, 1, price, text_only=True)


# As the router expects of a call of which it knows nothing.
_USUAL = Usage(input_tokens=1_000, output_tokens=211)


def _allowed(vendor: Provider, wanted: Preferences) -> bool:
    if vendor.slug in wanted.blocked_providers:
        return False
    return vendor.is_local or wanted.priority is not Priority.PRIVACY


def _first(
    found: Sequence[Deployment],
    offers: Sequence[Offer],
    known: dict[UUID, Provider],
    wanted: Preferences,
    *,
    has_traffic: bool,
) -> Outlook | None:
    if not found:
        return None
    judged = scores(wanted.priority or Priority.BALANCED, offers)

    def order(place: int) -> tuple[bool, float, float, int]:
        offer, slug = offers[place], known[found[place].provider_id].slug
        return (
            bool(wanted.preferred_providers) and slug not in wanted.preferred_providers,
            -judged[place],
            float("inf") if offer.estimate_nano is None else offer.estimate_nano,
            -offer.quality,
        )

    best = min(range(len(found)), key=order)
    estimate = offers[best].estimate_nano
    return Outlook(
        model=found[best].model,
        provider=known[found[best].provider_id].name,
        per_thousand_nano=None if estimate is None or not has_traffic else estimate * _PER,
    )
