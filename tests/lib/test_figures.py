"""The same number reads the same everywhere."""

from __future__ import annotations

import pytest

from lib.figures import DASH, count, counted, duration, percent, short


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, DASH),
        (0, "0 ms"),
        (0.12, "0.12 ms"),
        (8, "8 ms"),
        (9.97, "10 ms"),
        (412, "412 ms"),
        (999.6, "1.00 s"),
        (2310, "2.31 s"),
        (9996, "10.0 s"),
        (12_345, "12.3 s"),
        (99_960, "100 s"),
        (3_600_000, "3,600 s"),
    ],
)
def test_durations_keep_three_digits(ms: float | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, DASH),
        (0, "0%"),
        (0.000001, "<0.01%"),
        (0.5, "50.00%"),
        (0.98941, "98.94%"),
        (0.999999, "99.99%"),
        (1, "100%"),
    ],
)
def test_only_all_is_a_hundred_per_cent(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_counts_have_their_thousands_apart() -> None:
    assert [count(n) for n in (None, 0, 1204)] == [DASH, "0", "1,204"]
    assert [counted(n) for n in (0, 1, 1200)] == ["0 requests", "1 request", "1,200 requests"]
    assert [short(n) for n in (999, 12_400, 3_100_000)] == ["999", "12.4k", "3.1M"]
