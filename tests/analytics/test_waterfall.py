"""Attempts as bars: where they lie, and that they never leave the picture."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.waterfall import TICKS_MAX, Bar, shape


def test_each_attempt_begins_when_it_began() -> None:
    first = {"at_ms": 0, "ms": 500}
    second = {"at_ms": 700, "ms": 300}
    assert shape([first, second], 1000).bars == [Bar(0, 50, 50, 0), Bar(70, 30, 100, 0)]


def test_without_a_beginning_an_attempt_follows_the_one_before() -> None:
    assert shape([{"ms": 500}, {"ms": 500}], 1000).bars[1] == Bar(50, 50, 100, 0)


def test_a_stream_flows_from_its_first_content_to_the_end_of_the_call() -> None:
    failed, streamed = {"ms": 500}, {"at_ms": 500, "ms": 100, "first_token_ms": 100}
    assert shape([failed, streamed], 1000).bars[1] == Bar(50, 50, 60, 40)


def test_ticks_are_round_and_few() -> None:
    assert shape([{"ms": 2310}], 2310).ticks == [
        (0, 0),
        (pytest.approx(21.65), 500),
        (pytest.approx(43.29), 1000),
        (pytest.approx(64.94), 1500),
        (pytest.approx(86.58), 2000),
    ]


ATTEMPTS = st.lists(
    st.fixed_dictionaries(
        {"ms": st.integers(0, 600_000)},
        optional={
            "at_ms": st.integers(0, 600_000),
            "first_token_ms": st.integers(0, 600_000),
        },
    ),
    min_size=1,
    max_size=3,
)


@given(ATTEMPTS, st.integers(0, 600_000))
def test_no_bar_is_invisible_or_outside(attempts: list[Any], latency_ms: int) -> None:
    drawn = shape(attempts, latency_ms)
    assert len(drawn.bars) == len(attempts)
    for bar in drawn.bars:
        assert bar.width >= 0.5
        assert -0.01 <= bar.x <= bar.x + bar.width <= 100.02
        assert bar.x <= bar.flows_at <= bar.x + bar.width + 0.02
    assert 1 <= len(drawn.ticks) <= TICKS_MAX + 1
    assert all(0 <= x <= 100 for x, _ in drawn.ticks)
