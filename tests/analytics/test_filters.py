"""Filters of an address: what they mean, and that they come back as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.filters import Filters, previous, read_filters
from analytics.notes import lacks

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
KEY = "0193a000-0000-7000-8000-000000000001"


def read(query: str, zone: ZoneInfo = BERLIN, default: str = "", now: datetime = NOW) -> Filters:
    return read_filters(parse_qs(query), now=now, zone=zone, default=default)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("query", "zone", "start", "until"),
    [
        ("range=24h", BERLIN, utc(2026, 11, 20, 10, 30), utc(2026, 11, 21, 10, 30)),
        ("range=today", BERLIN, utc(2026, 11, 20, 23), utc(2026, 11, 21, 10, 30)),
        ("range=7d", KOLKATA, utc(2026, 11, 14, 18, 30), utc(2026, 11, 21, 10, 30)),
        # The clocks went back on 25 October: the first midnight was at 22:00 UTC.
        ("range=30d", BERLIN, utc(2026, 10, 22, 22), utc(2026, 11, 21, 10, 30)),
        ("from=2026-10-25&to=2026-10-25", BERLIN, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        ("from=2026-11-01T18:00", BERLIN, utc(2026, 11, 1, 17), utc(2026, 11, 21, 10, 30)),
        ("to=2026-11-01T18:00%2B05:30", BERLIN, None, utc(2026, 11, 1, 12, 30)),
        ("", BERLIN, None, None),
    ],
)
def test_a_range_has_its_ends_in_the_organizations_zone(
    query: str, zone: ZoneInfo, start: datetime | None, until: datetime | None
) -> None:
    found = read(query, zone)
    assert (found.start, found.until) == (start, until)
    assert found.ignored == ()


def test_all_of_it_comes_back_as_it_was() -> None:
    query = (
        f"range=14d&grain=hour&compare=prev&provider=openai&provider=groq&model=gpt-5&key={KEY}"
        "&status=5xx&fallback_from=anthropic&tag.team=legal&tag.a%26b=%F0%9F%99%82"
    )
    found = read(query)
    assert found.providers == ("openai", "groq")
    assert found.key == UUID(KEY)
    assert found.status_codes == (500, 599)
    assert found.tags == (("team", "legal"), ("a&b", "🙂"))
    assert read(found.query()) == found


def test_a_default_range_holds_only_where_none_is_named() -> None:
    assert read("", default="7d").range == "7d"
    assert read("range=24h", default="7d").range == "24h"
    assert read("from=2026-11-01", default="7d").range == "custom"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("range=3y", "range"),
        ("from=yesterday", "from"),
        ("from=2026-11-22", "from"),
        ("range=custom", "range"),
        ("from=1990-01-01", "from"),
        ("from=9999-12-31T23:59:59Z", "from"),
        ("to=0001-01-01", "to"),
        ("status=sad", "status"),
        ("status=99999", "status"),
        ("key=7", "key"),
        ("model=%00", "model"),
        ("grain=second", "grain"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_named(query: str, param: str) -> None:
    found = read(query)
    assert [one.param for one in found.ignored] == [param]
    assert found.but(ignored=(), given=("", "")) == Filters()


def test_an_end_before_its_beginning_leaves_the_beginning() -> None:
    found = read("from=2026-11-02&to=2026-11-01", default="7d")
    assert [(one.param, one.value) for one in found.ignored] == [("to", "2026-11-01")]
    assert (found.start, found.until) == (utc(2026, 11, 1, 23), utc(2026, 11, 21, 10, 30))
    assert found.pairs() == [("from", "2026-11-02")]


def test_nothing_is_looked_at_past_today() -> None:
    found = read("from=2026-11-20&to=2027-05-01")
    assert (found.until, found.ignored) == (utc(2026, 11, 21, 23), ())
    (said,) = lacks(found, now=NOW, zone=BERLIN, kept_days=400)
    assert said == "The end lies ahead; there is nothing after now."
    assert lacks(read("from=2026-11-20&to=2026-11-21"), now=NOW, zone=BERLIN, kept_days=400) == []


def test_a_time_before_what_is_kept_says_so() -> None:
    (said,) = lacks(read("range=30d"), now=NOW, zone=BERLIN, kept_days=7)
    assert said.startswith("Single requests are kept for 7 days here, since 14 November 2026:")


def test_the_time_before_is_as_long_by_the_clock_on_the_wall() -> None:
    # Monday 26 October to now, with the clocks' change on the day before.
    before = previous(read("from=2026-10-26&to=2026-10-26"), zone=BERLIN)
    assert (before.start, before.until) == (utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))
    before = previous(read("range=7d"), zone=BERLIN)
    assert (before.start, before.until) == (utc(2026, 11, 7, 23), utc(2026, 11, 14, 10, 30))
    assert read(before.query()) == before


@given(
    st.dictionaries(
        st.sampled_from(
            ["range", "from", "to", "provider", "status", "key", "grain", "tag.x", "y"]
        ),
        st.lists(st.text(max_size=30), min_size=1, max_size=3),
    ),
    st.sampled_from([BERLIN, KOLKATA, ZoneInfo("America/Los_Angeles")]),
    st.integers(0, 40_000),
)
def test_no_query_breaks_it(query: dict[str, list[str]], zone: ZoneInfo, hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    found = read_filters(query, now=now, zone=zone)
    again = read(found.query(), zone, now=now)
    assert again == found.but(ignored=())


@pytest.mark.parametrize(
    ("q", "tags", "rest"),
    [
        ("team%3Dsupport", (("team", "support"),), ""),
        ("team%3Da%3Db+c", (("team", "a=b c"),), ""),
        ("support", (), "support"),
        ("bGVnYWw%3D", (), "bGVnYWw="),
        ("bGVnYQ%3D%3D", (), "bGVnYQ=="),
        ("%3Dsupport", (), "=support"),
    ],
)
def test_a_search_that_names_a_tag_looks_for_it(
    q: str, tags: tuple[tuple[str, str], ...], rest: str
) -> None:
    found = read(f"q={q}")
    assert (found.tags, found.q) == (tags, rest)
    assert read(f"tag.region=eu&q={q}").tags == (("region", "eu"), *tags)
