"""Which hours are read for a page: enough of them, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analytics.guide import SLOT, Slot, Span, spans

START = datetime(2026, 11, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def test_neighbouring_hours_are_one_stretch() -> None:
    slots = [Slot(at(0), 5), Slot(at(1), 5), Slot(at(7), 5)]
    assert spans(slots, wanted=15) == [Span(at(7), at(8)), Span(at(0), at(2))]


def test_only_as_many_hours_as_the_page_needs() -> None:
    slots = [Slot(at(i), 30) for i in range(10)]
    assert spans(slots, wanted=51) == [Span(at(8), at(10))]


def test_the_hour_of_the_place_is_read_and_not_counted() -> None:
    slots = [Slot(at(i), 60) for i in range(10)]
    assert spans(slots, wanted=51, before=at(5.5)) == [Span(at(4), at(6))]
    assert spans(slots, wanted=51, after=at(5.5)) == [Span(at(5), at(7))]


def test_nothing_is_read_where_nothing_is() -> None:
    assert spans([], wanted=51) == []


@given(
    st.dictionaries(st.integers(0, 60), st.integers(1, 40), max_size=30),
    st.integers(1, 60),
    st.integers(0, 60 * 60),
    st.sampled_from(["newest", "before", "after"]),
)
def test_the_stretches_hold_the_page(
    counts: dict[int, int], wanted: int, minute: int, way: str
) -> None:
    """Each hour's calls lie evenly in it; those of the page must all be in what is read."""
    slots = [Slot(at(hour), counts[hour]) for hour in sorted(counts)]
    place = at(minute / 60)
    moments = [slot.start + SLOT * i / slot.calls for slot in slots for i in range(slot.calls)]
    if way == "newest":
        page = moments[::-1][:wanted]
        found = spans(slots, wanted=wanted)
    elif way == "before":
        page = [m for m in moments if m < place][::-1][:wanted]
        found = spans(slots, wanted=wanted, before=place)
    else:
        page = [m for m in moments if m > place][:wanted]
        found = spans(slots, wanted=wanted, after=place)
    assert all(any(span.start <= m < span.end for span in found) for m in page)
    assert found == sorted(found, key=lambda span: span.start, reverse=True)
