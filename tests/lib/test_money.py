"""Amounts are exact on the way in and never look like nothing on the way out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.figures import DASH
from lib.money import dollars, format_column, format_usd, nano_from_usd, usd_from_nano

AMOUNTS = st.integers(-9_000_000 * 10**9, 9_000_000 * 10**9)


@given(AMOUNTS)
def test_amounts_survive_the_round_trip(nano: int) -> None:
    assert nano_from_usd(usd_from_nano(nano)) == nano
    assert nano_from_usd(dollars(nano)) == nano


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        ("0", 0),
        ("12.50", 12_500_000_000),
        (" 3 ", 3_000_000_000),
        ("0.000000001", 1),
        ("0.1000000000000", 100_000_000),
        ("-1.5", -1_500_000_000),
        ("9000000", 9_000_000_000_000_000),
        ("1e-9", 1),
        (Decimal("0E+9999"), 0),
        (Decimal("2.5E3"), 2_500_000_000_000),
    ],
)
def test_amounts_are_read_exactly(usd: str | Decimal, nano: int) -> None:
    assert nano_from_usd(usd) == nano


@pytest.mark.parametrize(
    ("usd", "word"),
    [
        (0.1, "text"),
        (5, "text"),
        (True, "text"),
        (None, "text"),
        ("0.0000000001", "nine decimals"),
        (Decimal("1E-9999"), "nine decimals"),
        ("9000000.000000001", "too much"),
        ("1e999999", "too much"),
        ("-9000001", "too much"),
        ("NaN", "not an amount"),
        ("Infinity", "not an amount"),
        (Decimal("sNaN"), "not an amount"),
        ("", "not an amount"),
        ("$5", "not an amount"),
        ("1,204.50", "not an amount"),
        ("1_000", "not an amount"),
        ("\u0665", "not an amount"),
        ("9" * 65, "not an amount"),
    ],
)
def test_what_is_not_exact_is_refused(usd: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        nano_from_usd(usd)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nano", "shown", "exact"),
    [
        (0, "$0.00", "$0.00"),
        (1, "<$0.000001", "$0.000000001"),
        (999, "<$0.000001", "$0.000000999"),
        (1_000, "$0.000001", "$0.000001"),
        (412_345, "$0.00041", "$0.000412345"),
        (4_100_000, "$0.0041", "$0.0041"),
        (99_999_999, "$0.10", "$0.099999999"),
        (504_000_000, "$0.50", "$0.504"),
        (996_000_000, "$1.00", "$0.996"),
        (1_204_500_000_000, "$1,204.50", "$1,204.50"),
        (1_005_000_000, "$1.01", "$1.005"),
        (-2_500_000_000, "-$2.50", "-$2.50"),
    ],
)
def test_amounts_are_shown_to_people(nano: int, shown: str, exact: str) -> None:
    assert format_usd(nano) == shown
    assert format_usd(nano, exact=True) == exact


@given(AMOUNTS)
def test_no_amount_but_zero_reads_as_nothing(nano: int) -> None:
    assert (format_usd(nano).strip("-") == "$0.00") == (nano == 0)


def test_headers_take_plain_decimals() -> None:
    assert [dollars(n) for n in (0, 412_000, 12_500_000_000, -1)] == [
        "0",
        "0.000412",
        "12.5",
        "-0.000000001",
    ]


def test_a_column_has_one_precision() -> None:
    amounts = [220_000_000, 77_000_000, 63_000, 0, None]
    assert format_column(amounts) == ["$0.2200", "$0.0770", "$0.0001", "$0.0000", DASH]
    assert format_column([1_204_500_000_000, 77_000_000, 63_000]) == [
        "$1,204.50",
        "$0.08",
        "<$0.01",
    ]
    assert format_column([0]) == ["$0.00"]


@given(AMOUNTS)
def test_what_stands_alone_in_a_column_reads_as_itself(nano: int) -> None:
    (shown,) = format_column([nano])
    assert ("<" in shown or float(shown.replace("$", "").replace(",", "")) != 0) == (nano != 0)
