"""The lines that a call's cost adds up from, as the pages and the API both tell them."""

from __future__ import annotations

from collections.abc import Sequence

from analytics.models import Call
from catalog.pricing import FEMTO_PER_NANO, Line, cost, read_price
from catalog.usage import Usage
from lib.money import NANO_PER_USD

_FEMTO_PER_USD = NANO_PER_USD * FEMTO_PER_NANO


def cost_lines(call: Call) -> Sequence[Line]:
    """What was used with its part of the cost; nothing where the call has no price or no usage."""
    if call.price is None or not call.usage:
        return ()
    return cost(Usage(**call.usage), read_price(call.price)).lines


def exact_dollars(femto_usd: int) -> str:
    """Dollars with every digit: lines add up to the cost, which alone is rounded, once."""
    whole, rest = divmod(femto_usd, _FEMTO_PER_USD)
    return f"{whole}.{rest:015d}".rstrip("0").rstrip(".")
