"""The fields of the preferences page: what a person types, what is stored, what is shown again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lib.money import dollars, nano_typed, without_thousands
from preferences.services import COST_NANO_MAX, THRESHOLD_NANO_MAX

DIGITS_MAX = 12


class Invalid(ValueError):
    """A text that is no value of its field; the message says what to enter instead."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column that is edited as one text; empty means that this level leaves it open.

    ``parse`` raises ``Invalid``; what values may be stored is for ``services`` to say. ``show``
    gives the text that ``parse`` reads back.
    """

    name: str
    column: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str]


def _cost(text: str) -> int | None:
    return _amount(text, example="0.05", most_nano=COST_NANO_MAX)


def _threshold(text: str) -> int | None:
    return _amount(text, example="400", most_nano=THRESHOLD_NANO_MAX)


def _amount(text: str, *, example: str, most_nano: int) -> int | None:
    try:
        return nano_typed(text, example=example, most_nano=most_nano)
    except ValueError as why:
        raise Invalid(str(why)) from None


def _latency(text: str) -> int | None:
    plain = text.strip().lower().removesuffix("ms").strip()
    if not plain:
        return None
    try:
        plain = without_thousands(plain)
    except ValueError:
        raise Invalid("Enter whole milliseconds, such as 2000.") from None
    # A bound on the digits, because Python refuses very long numbers with an error of its own.
    if not (plain.isascii() and plain.isdigit() and len(plain) <= DIGITS_MAX):
        raise Invalid("Enter whole milliseconds, such as 2000.")
    return int(plain)


def _priority(text: str) -> str | None:
    return text or None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _dollars(nano: int | None) -> str:
    return "" if nano is None else dollars(nano)


FIELDS = {
    field.name: field
    for field in (
        Field("priority", "default_priority", _priority, _text),
        Field("max-cost", "max_cost_per_request_nano", _cost, _dollars),
        Field("max-latency", "max_latency_ms", _latency, _text),
        Field("cost-threshold", "cost_alert_threshold_nano", _threshold, _dollars),
    )
}


@dataclass(frozen=True, slots=True)
class Providers:
    """The two lists of providers, by slug; a provider is in at most one of them."""

    preferred: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    def text(self) -> str:
        """Both lists as one text, which ``read_providers`` reads back."""
        return ",".join(self.preferred) + "|" + ",".join(self.blocked)

    def put(self, slug: str, where: str) -> Providers:
        """With ``slug`` in the list ``where`` ("preferred", "blocked", or "" for neither) alone."""
        preferred = [p for p in self.preferred if p != slug]
        blocked = [p for p in self.blocked if p != slug]
        if where == "preferred":
            preferred.append(slug)
        elif where == "blocked":
            blocked.append(slug)
        elif where:
            raise Invalid("Providers are preferred or blocked.")
        return Providers(tuple(preferred), tuple(blocked))


def read_providers(text: str) -> Providers:
    """The lists that ``Providers.text`` wrote; raises ``Invalid``."""
    preferred, bar, blocked = text.partition("|")
    found = Providers(_slugs(preferred), _slugs(blocked))
    if not bar or set(found.preferred) & set(found.blocked):
        raise Invalid("A provider is preferred or blocked, not both.")
    return found


def _slugs(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(slug for slug in text.split(",") if slug))
