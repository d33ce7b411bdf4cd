"""What people type into the preferences page."""

from __future__ import annotations

import re

import pytest

from preferences.forms import FIELDS, Invalid, Providers, read_providers


@pytest.mark.parametrize(
    ("name", "typed", "stored"),
    [
        ("max-cost", "0.05", 50_000_000),
        ("max-cost", " $204.50 ", 204_500_000_000),
        ("max-cost", "", None),
        ("cost-threshold", "400", 400_000_000_000),
        ("cost-threshold", "", None),
        ("max-latency", "2,000 ms", 2000),
        ("max-latency", "20", 20),
        ("max-latency", " ", None),
        ("priority", "cost", "cost"),
        ("priority", "", None),
    ],
)
def test_values_are_read_as_people_write_them(name: str, typed: str, stored: object) -> None:
    assert FIELDS[name].parse(typed) == stored


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("max-cost", "five"),
        # Where the comma is the decimal sign, these are small amounts.
        ("max-cost", "0,05"),
        ("max-cost", "1,5"),
        ("max-cost", "0,001"),
        ("max-cost", "1.204,50"),
        ("cost-threshold", "0,0001"),
        ("max-latency", "1,5"),
        ("max-cost", "NaN"),
        ("max-cost", "1e999999999"),
        ("max-cost", "1,000"),
        ("max-cost", "1e3"),
        ("max-cost", "."),
        ("cost-threshold", "1,000"),
        ("cost-threshold", "1e3"),
        ("max-latency", "1.5"),
        ("max-latency", "-1"),
        ("max-latency", "٣"),
        ("max-latency", "9" * 5000),
    ],
)
def test_what_is_no_value_is_refused_with_an_example(name: str, typed: str) -> None:
    with pytest.raises(Invalid, match="such as"):
        FIELDS[name].parse(typed)


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("max-cost", "1000.01", "at most $1,000."),
        ("max-cost", "9" * 20, "at most $1,000."),
        ("cost-threshold", "999999999", "at most $1,000,000."),
        ("max-cost", "0.0000000001", "more than nine decimals"),
    ],
)
def test_what_is_too_much_names_the_limit(name: str, typed: str, said: str) -> None:
    with pytest.raises(Invalid, match=re.escape(said)):
        FIELDS[name].parse(typed)


@pytest.mark.parametrize("value", [1, 50_000_000, 999_500_000_000, None])
def test_a_shown_amount_reads_back(value: int | None) -> None:
    field = FIELDS["max-cost"]
    assert field.parse(field.show(value)) == value


def test_a_provider_is_in_one_list_only() -> None:
    chosen = Providers(preferred=("a", "b"), blocked=("c",))
    assert chosen.put("a", "blocked") == Providers(("b",), ("c", "a"))
    assert chosen.put("c", "preferred") == Providers(("a", "b", "c"), ())
    assert chosen.put("a", "") == Providers(("b",), ("c",))
    with pytest.raises(Invalid):
        chosen.put("a", "elsewhere")


def test_lists_of_providers_read_back() -> None:
    for chosen in (Providers(), Providers(("a",), ()), Providers(("a", "b"), ("c",))):
        assert read_providers(chosen.text()) == chosen
    for text in ("", "a,b", "a|a"):
        with pytest.raises(Invalid):
            read_providers(text)
