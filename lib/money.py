"""Money as integer nano-USD: read from people, shown to people, never a float."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

NANO_PER_USD = 10**9
# Budgets are counted in doubles at one place (Redis), exact up to 2**53 nano-USD = $9,007,199.
USD_MAX = 9_000_000
_TEXT_CHARS_MAX = 64
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_TYPED = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_WHOLE_DIGITS_MAX = 9
_SHOWN_NANO_MIN = 1_000
_COLUMN_DECIMALS_MAX = 6


def without_thousands(text: str) -> str:
    """A number as people type it, without the commas between its thousands.

    Raises ValueError for a comma anywhere else: ``0,05`` means a twentieth where the comma is the
    decimal sign, and must never be read as five.
    """
    if "," in text and not _THOUSANDS.fullmatch(text):
        raise ValueError(f'"{text}": write decimals with a point, such as 0.05.')
    return text.replace(",", "")


def nano_from_usd(usd: str | Decimal) -> int:
    """Exact nano-USD of an amount in dollars such as ``"12.50"``.

    Raises ValueError, with what to do, for floats, NaN, more than nine decimals, and amounts
    beyond nine million dollars.
    """
    value = _decimal(usd)
    if not value.is_finite():
        raise ValueError(f"{usd} is not an amount. Write dollars as a number, such as 12.50.")
    if not value:
        return 0
    # Bounds before arithmetic: 1e999999 must not be expanded.
    if value.adjusted() >= 7 or abs(value) > USD_MAX:
        raise ValueError(f"{usd} is too much. The largest amount is ${USD_MAX:,}.")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    nano = int("".join(map(str, digits)))
    shift = exponent + 9
    if shift >= 0:
        nano *= 10**shift
    else:
        nano, rest = divmod(nano, 10**-shift) if -shift <= len(digits) else (0, 1)
        if rest:
            raise ValueError(
                f"{usd} has more than nine decimals. Round it to $0.000000001, the smallest amount."
            )
    return -nano if sign else nano


def nano_typed(text: str, *, example: str, most_nano: int = USD_MAX * NANO_PER_USD) -> int | None:
    """Nano-USD of what a person typed into a form, with or without ``$``; None for nothing.

    Raises ValueError with what to enter: for every comma, because ``1,000`` is a thousand to some
    and one to others, for exponents, and for more than ``most_nano``.
    """
    plain = text.strip().removeprefix("$").strip()
    if not plain:
        return None
    if len(plain) > _TEXT_CHARS_MAX or not _TYPED.fullmatch(plain):
        raise ValueError(
            f"Enter dollars as digits with a decimal point and no commas, such as {example}."
        )
    whole = plain.partition(".")[0].lstrip("0")
    if len(whole) > _WHOLE_DIGITS_MAX or Decimal(plain) * NANO_PER_USD > most_nano:
        raise ValueError(f"Enter at most ${most_nano // NANO_PER_USD:,}.")
    return nano_from_usd(plain)


def _decimal(usd: object) -> Decimal:
    if isinstance(usd, Decimal):
        return usd
    if not isinstance(usd, str):
        kind = type(usd).__name__
        raise ValueError(  # noqa: TRY004 - callers map one kind of refusal to a message
            f"{usd!r} is a {kind}, which may not be exact. Pass dollars as text, such as '12.50'."
        )
    text = usd.strip()
    plain = text.isascii() and "_" not in text and len(text) <= _TEXT_CHARS_MAX
    try:
        if plain:
            return Decimal(text)
    except InvalidOperation:
        pass
    raise ValueError(
        f'"{text[:_TEXT_CHARS_MAX]}" is not an amount. Write dollars as digits with a point and '
        "without other signs, such as 1204.50."
    )


def usd_from_nano(nano: int) -> Decimal:
    """Exact dollars of an amount in nano-USD."""
    return Decimal(f"{nano}e-9")


def dollars(nano: int) -> str:
    """Exact dollars as plain text without sign or exponent, for headers: ``"0.000412"``."""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else str(whole)
    return f"-{text}" if nano < 0 else text


def two_places(text: str) -> str:
    """The text of ``dollars`` as a price reads: ``0.6`` as ``0.60``, ``1204`` as ``1,204.00``."""
    whole, _, rest = text.partition(".")
    return f"{int(whole):,}.{rest.ljust(2, '0')}" if text else ""


def format_usd(nano: int, *, exact: bool = False) -> str:
    """Dollars for people: ``$1,204.50``, ``$0.0041``, ``<$0.000001``.

    From one dollar on to the cent; below, two significant digits, so that no amount but zero reads
    as $0.00. ``exact`` shows every digit. Halves round away from zero.
    """
    sign = "-" if nano < 0 else ""
    amount = abs(nano)
    if exact:
        decimals = 9
    elif amount >= NANO_PER_USD or not amount:
        decimals = 2
    elif amount < _SHOWN_NANO_MIN:
        return f"{sign}<$0.000001"
    else:
        # 0.0041 has three places before its second significant digit ends: 9 - 7 digits + 2.
        decimals = max(2, 11 - len(str(amount)))
    unit = 10 ** (9 - decimals)
    whole, rest = divmod((amount + unit // 2) // unit, 10**decimals)
    places = f"{rest:0{decimals}d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{places}"


def format_column(amounts: Sequence[int | None]) -> list[str]:
    """Dollars below each other, with as many decimals in each: ``$0.2200``, ``$0.0770``.

    To the cent where the largest is a dollar or more, else four digits of it. What would read as
    zero is ``<$0.01``; None is a dash.
    """
    largest = max((abs(amount) for amount in amounts if amount), default=NANO_PER_USD)
    decimals = 2
    if largest < NANO_PER_USD:
        decimals = max(2, min(_COLUMN_DECIMALS_MAX, 13 - len(str(largest))))
    return ["\N{EN DASH}" if amount is None else _fixed(amount, decimals) for amount in amounts]


def _fixed(nano: int, decimals: int) -> str:
    sign, unit = "-" if nano < 0 else "", 10 ** (9 - decimals)
    rounded = (abs(nano) + unit // 2) // unit
    below = "<" if nano and not rounded else ""
    whole, rest = divmod(rounded or bool(nano), 10**decimals)
    return f"{sign}{below}${whole:,}.{rest:0{decimals}d}"
