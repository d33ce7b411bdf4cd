"""Server-sent events: what their bytes and headers are, and when they end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client

from analytics.ledger import Ledger
from tenancy import event_stream
from tenancy.event_stream import Event
from tenancy.models import Membership
from tenancy.scope import tenant_scope
from tests.analytics.rows import row
from tests.conftest import Cast, signed_in
from tests.e2e.pages_server import served


def told(answer: Any) -> Iterator[str]:
    """The events of a stream; comments are for the connection alone."""
    pieces = (piece.decode() for piece in answer.streaming_content)
    return (piece for piece in pieces if not piece.startswith(":"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "POLL_S", 0.01)


def test_no_line_of_the_data_begins_a_field_of_its_own() -> None:
    event = Event("row", "<tr>\nid: 7\r\nevent: done</tr>", "9")
    assert event.encode() == (
        b"event: row\nid: 9\ndata: <tr>\ndata: id: 7\ndata: event: done</tr>\n\n"
    )


def test_headers_keep_every_buffer_away(as_alice: Client) -> None:
    answer: Any = as_alice.get("/requests/live", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Type"].startswith("text/event-stream")
    assert answer["Content-Encoding"] == "identity"
    assert answer["X-Accel-Buffering"] == "no"
    assert answer["Cache-Control"] == "no-store"


def test_a_row_comes_once_and_of_the_filters_alone(as_alice: Client, cast: Cast) -> None:
    stream = told(as_alice.get("/requests/live?provider=sandbox"))
    now_ms = time.time_ns() // 1_000_000
    made = row(cast.acme.id, now_ms, chance=1)
    other = row(cast.acme.id, now_ms, chance=2, provider="openai")
    theirs = row(cast.rival.id, now_ms, chance=3)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([made, other, theirs])
    piece = next(stream)
    assert piece.count("event: row\n") == 1
    assert f'id="r-{made["id"]}"' in piece
    # One that began before it and ended after it is told all the same.
    late = row(cast.acme.id, now_ms - 60_000, chance=4)
    ledger.write([late])
    ledger.close()
    assert f'id="r-{late["id"]}"' in next(stream)


def test_silence_is_broken_and_the_stream_ends(
    as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "COMMENT_S", 0.02)
    monkeypatch.setattr(event_stream, "STREAM_S", 0.3)
    answer: Any = as_alice.get("/requests/live")
    pieces = list(answer.streaming_content)
    assert b": still here\n\n" in pieces
    # Without an event loop only a write tells that the reader left, so each look writes.
    assert all(pieces)
    assert pieces[-1] == b"event: done\ndata: \n\n"


@pytest.mark.parametrize("page", ["/requests/live", "/get-started/events"])
@pytest.mark.parametrize("how", ["signed out", "no member"])
def test_who_may_no_longer_read_hears_no_more(
    as_bob: Client, cast: Cast, how: str, page: str
) -> None:
    answer: Any = as_bob.get(page)
    stream = iter(answer.streaming_content)
    assert next(stream) == b": open\n\n"
    if how == "signed out":
        as_bob.logout()
    else:
        with tenant_scope(cast.acme.id):
            Membership.objects.filter(user=cast.bob).delete()
    assert list(islice(stream, 1)) == [b"event: done\ndata: \n\n"]


def test_the_line_that_waits_ends_with_its_first_request(as_alice: Client, cast: Cast) -> None:
    stream = told(as_alice.get("/get-started/events"))
    assert "Waiting for your first request" in next(stream)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([row(cast.acme.id, time.time_ns() // 1_000_000)])
    ledger.close()
    (last,) = stream
    assert "data-arrived" in last
    assert last.endswith("event: done\ndata: \n\n")


def test_without_an_event_loop_it_ends_when_its_reader_leaves(committed: Cast) -> None:
    session = signed_in(committed.alice).cookies[settings.SESSION_COOKIE_NAME].value
    asked = f"GET /requests/live HTTP/1.0\r\nCookie: {settings.SESSION_COOKIE_NAME}={session}\r\n"
    with served() as address:
        with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), 10) as reader:
            reader.sendall(f"{asked}\r\n".encode())
            came = b""
            while b": open" not in came:
                piece = reader.recv(4096)
                assert piece, came
                came += piece
            assert committed.alice.id in event_stream._open
        give_up = time.monotonic() + 10
        while committed.alice.id in event_stream._open and time.monotonic() < give_up:
            time.sleep(0.01)
        assert committed.alice.id not in event_stream._open


def test_one_person_has_a_handful_of_streams(
    as_alice: Client, as_bob: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STREAMS_PER_USER_MAX", 2)
    with event_stream.seat(cast.alice.id):
        running: Any = as_alice.get("/requests/live")
        assert next(iter(running.streaming_content)) == b": open\n\n"
        assert as_alice.get("/requests/live").status_code == 204
        assert as_bob.get("/requests/live").status_code == 200
    assert as_alice.get("/requests/live").status_code == 200
