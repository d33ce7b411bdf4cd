"""How preferences of several levels become one: a lower level tightens, never loosens. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """What comes first when several deployments could answer."""

    BALANCED = "balanced"
    SPEED = "speed"
    COST = "cost"
    QUALITY = "quality"
    PRIVACY = "privacy"


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


def _smaller(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _both(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b
