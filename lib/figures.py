"""Numbers for people, the same on every page: counts, shares, durations.

Amounts of money are in ``lib.money``. A number that nobody knows is a dash.
"""

from __future__ import annotations

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def count(number: int | None) -> str:
    """A count with its thousands apart: ``1,204``."""
    return DASH if number is None else f"{number:,}"


def counted(calls: int) -> str:
    """So many requests, in words."""
    return f"{calls:,} request{'' if calls == 1 else 's'}"


def short(number: int) -> str:
    """A large count: ``12.4k``, ``3.1M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def percent(share: float | None) -> str:
    """A share, given from 0 to 1: ``98.94%``. Only all is 100%, and only nothing is 0%."""
    if share is None:
        return DASH
    if 0 < share < 0.00005:
        return "<0.01%"
    if 0.99995 <= share < 1:
        return "99.99%"
    return f"{share * 100:.2f}%" if 0 < share < 1 else f"{share * 100:.0f}%"


def duration(ms: float | None) -> str:
    """A time that something took: ``0.12 ms``, ``412 ms``, ``1.24 s``, ``12.4 s``, ``124 s``."""
    if ms is None:
        return DASH
    if ms < 999.5:
        return f"{ms:.2g} ms" if ms < 9.95 else f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:,.0f} s"
