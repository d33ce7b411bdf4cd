"""A filter of an address that cannot be read, told in the same words on every page. Pure.

Pages leave it out, say so, and link to the address without it; files and the API refuse (422).
"""

from __future__ import annotations

from dataclasses import dataclass

_LABELS = {"key": "API key", "range": "Time", "fallback_from": "Tried first", "q": "Search"}
_SHOWN_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Ignored:
    """A parameter with what it said, and what would be right."""

    param: str
    value: str
    message: str

    @property
    def label(self) -> str:
        """The field's name for people."""
        return _LABELS.get(self.param, self.param.replace("_", " ").capitalize())

    @property
    def shown(self) -> str:
        """The value, as much of it as a sentence bears."""
        value = self.value.replace("\x00", "\N{SYMBOL FOR NULL}")
        return value if len(value) <= _SHOWN_CHARS_MAX else f"{value[:_SHOWN_CHARS_MAX]}…"

    def __str__(self) -> str:
        return f"{self.label} \u201c{self.shown}\u201d cannot be applied. {self.message}"
