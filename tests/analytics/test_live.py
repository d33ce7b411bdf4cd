"""The live tail of the list of requests: what it tells at first, after a break, and of the sums."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from analytics.ledger import Ledger
from tenancy import event_stream
from tests.analytics.rows import failed, row
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

Write = Callable[..., list[str]]
MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "POLL_S", 0.01)


@pytest.fixture
def write() -> Iterator[Write]:
    """Writes rows as the drainer does; gives their ids."""
    ledger = Ledger(settings.DATABASE_INGEST_URL)

    def _write(*rows: dict[str, Any]) -> list[str]:
        ledger.write(rows)
        return [r["id"] for r in rows]

    yield _write
    ledger.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def pieces(client: Client, drawn_ms: int, query: str = "", **headers: str) -> Iterator[str]:
    """What a tail says, poll by poll, to a page that was drawn then."""
    answer: Any = client.get(f"/requests/live?drawn={drawn_ms * 1000}{query}", headers=headers)
    stream = iter(answer.streaming_content)
    assert next(stream) == b": open\n\n"
    return (piece.decode() for piece in stream)


def test_who_was_under_way_when_the_page_was_drawn_is_told(
    as_alice: Client, write: Write, cast: Cast
) -> None:
    drawn = now_ms() - 2 * MINUTE_MS
    (shown,) = write(row(cast.acme.id, drawn - MINUTE_MS, chance=1))
    (under_way,) = write(row(cast.acme.id, drawn - MINUTE_MS, chance=2, latency_ms=90_000))
    told = next(pieces(as_alice, drawn))
    assert f'id="r-{under_way}"' in told
    assert shown not in told


def test_after_a_night_everything_missed_is_told(
    as_alice: Client, write: Write, cast: Cast
) -> None:
    drawn = now_ms() - 600 * MINUTE_MS
    write(row(cast.acme.id, drawn - MINUTE_MS))
    ids = write(*(row(cast.acme.id, drawn + i * 5 * MINUTE_MS + 1, chance=i) for i in range(110)))
    stream = pieces(as_alice, drawn)
    told = "".join(next(stream) for _ in range(3))
    assert told.count("event: row\n") == 110
    assert all(f'id="r-{id_}"' in told for id_ in ids)


def test_a_broken_stream_goes_on_where_it_stopped(
    as_alice: Client, write: Write, cast: Cast
) -> None:
    drawn = now_ms() - 30 * MINUTE_MS
    write(row(cast.acme.id, drawn + MINUTE_MS))
    (later,) = write(row(cast.acme.id, drawn + 20 * MINUTE_MS))
    since = str((drawn + 10 * MINUTE_MS) * 1000)
    told = next(pieces(as_alice, drawn, **{"Last-Event-ID": since}))
    assert told.count("event: row\n") == 1
    assert f'id="r-{later}"' in told


def test_a_stream_that_breaks_while_it_catches_up_tells_the_rest_next_time(
    as_alice: Client, write: Write, cast: Cast
) -> None:
    drawn = now_ms() - 600 * MINUTE_MS
    ids = write(*(row(cast.acme.id, drawn + i * 5 * MINUTE_MS + 1, chance=i) for i in range(70)))
    stream = pieces(as_alice, drawn)
    first = next(stream)
    assert first.count("event: row\n") == 50
    assert "id: " not in first
    assert f"\nid: {now_ms() // 10**6}" in next(stream), "all that was missed is told"
    # A browser that heard no id asks as before.
    again = pieces(as_alice, drawn)
    told = next(again) + next(again)
    assert all(f'id="r-{id_}"' in told for id_ in ids)


def test_what_takes_too_long_to_find_is_left_to_a_reload(
    as_alice: Client, write: Write, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")
        return []

    with monkeypatch.context() as patched:
        patched.setattr("analytics.views.READ_MS_MAX", 20)
        patched.setattr("analytics.views.call_selectors.arrivals", slow)
        stream = pieces(as_alice, now_ms() - 6000 * MINUTE_MS)
        assert next(stream).startswith("event: gap\nid: ")
    (later,) = write(row(cast.acme.id, now_ms()))
    assert f'id="r-{later}"' in next(stream)


def test_the_sums_come_with_the_rows_and_not_with_each(
    as_alice: Client, write: Write, cast: Cast
) -> None:
    write(row(cast.acme.id, now_ms() - MINUTE_MS))
    stream = pieces(as_alice, now_ms(), "&range=24h")
    told = next(stream)
    assert told.count("event: sums\n") == 1
    assert '<strong class="num">1</strong> request' in told
    write(failed(cast.acme.id, now_ms()))
    told = next(stream)
    assert (told.count("event: row\n"), told.count("event: sums\n")) == (1, 0)


@pytest.mark.parametrize("drawn", ["", "now", "-1", "-62135596800000000", "9" * 40, "\x00"])
def test_a_strange_time_is_now(as_alice: Client, drawn: str) -> None:
    answer: Any = as_alice.get("/requests/live", {"drawn": drawn})
    assert answer.status_code == 200
    assert next(iter(answer.streaming_content)) == b": open\n\n"
