"""What preferences mean: how several levels become one, and what each priority weighs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """What comes first when several deployments could answer."""

    BALANCED = "balanced"
    SPEED = "speed"
    COST = "cost"
    QUALITY = "quality"
    PRIVACY = "privacy"


# How much cost, speed and quality weigh under each priority.
WEIGHTS = {
    Priority.COST: (1.0, 0.0, 0.0),
    Priority.SPEED: (0.0, 1.0, 0.0),
    Priority.QUALITY: (0.0, 0.0, 1.0),
    Priority.BALANCED: (0.4, 0.3, 0.3),
    Priority.PRIVACY: (0.4, 0.3, 0.3),
}
LATENCY_MS_MIN = 50
LATENCY_MS_MAX = 600_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """One level's wishes; None and empty leave the level above as it is.

    ``allowed_providers`` is None when any provider may answer.
    """

    priority: Priority | None = None
    max_cost_nano: int | None = None
    max_latency_ms: int | None = None
    preferred_providers: tuple[str, ...] = ()
    blocked_providers: frozenset[str] = frozenset()
    allowed_providers: frozenset[str] | None = None


DEFAULT = Preferences(priority=Priority.BALANCED)


def tighten(above: Preferences, below: Preferences) -> Preferences:
    """The wishes of two levels together.

    Limits take the smaller value, blocked providers add up, allowed providers intersect.
    Preference is a choice, not a limit: the lower level's priority and preferred providers win.
    Privacy is a promise: once asked for above, no lower level takes it back.
    """
    priority = below.priority or above.priority
    if above.priority is Priority.PRIVACY:
        priority = Priority.PRIVACY
    blocked = above.blocked_providers | below.blocked_providers
    preferred = below.preferred_providers or above.preferred_providers
    return Preferences(
        priority=priority,
        max_cost_nano=_smaller(above.max_cost_nano, below.max_cost_nano),
        max_latency_ms=_smaller(above.max_latency_ms, below.max_latency_ms),
        preferred_providers=tuple(p for p in preferred if p not in blocked),
        blocked_providers=blocked,
        allowed_providers=_both(above.allowed_providers, below.allowed_providers),
    )


def effective(levels: Iterable[Preferences]) -> Preferences:
    """Organization ← user ← key ← request, in that order, over the product's default."""
    result = DEFAULT
    for level in levels:
        result = tighten(result, level)
    return result


@dataclass(frozen=True, slots=True)
class Offer:
    """What one deployment would do for a call; None where it is not known.

    ``quality`` is 0 to 100.
    """

    estimate_nano: int | None
    expected_ms: int | None
    quality: int


def scores(priority: Priority, offers: Sequence[Offer]) -> list[float]:
    """How good each offer is under a priority, relative to the best of them; 1 is the most."""
    cost, speed, quality = WEIGHTS[priority]
    cheapest = min((o.estimate_nano for o in offers if o.estimate_nano), default=0)
    fastest = min((o.expected_ms for o in offers if o.expected_ms), default=0)
    best = max((o.quality for o in offers), default=0) or 1
    return [
        cost * _relative(cheapest, offer.estimate_nano)
        # What was never measured counts as fast, so that it gets measured.
        + speed * (1.0 if offer.expected_ms is None else _relative(fastest, offer.expected_ms))
        + quality * offer.quality / best
        for offer in offers
    ]


def _relative(best: int, value: int | None) -> float:
    """1 for the best, towards 0 for the worse; 0 where there is no figure, 1 where it is free."""
    if value is None:
        return 0.0
    return 1.0 if value <= 0 else min(1.0, best / value)


def _smaller(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _both(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b
