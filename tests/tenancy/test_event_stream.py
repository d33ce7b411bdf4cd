"""Server-sent events: what their bytes and headers are, and when they end."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from analytics.ledger import Ledger
from tenancy import event_stream
from tenancy.event_stream import Event
from tenancy.models import Membership
from tests.analytics.rows import row
from tests.conftest import Cast

pytestmark = pytest.mark.django_db


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
    stream = iter(as_alice.get("/requests/live?provider=sandbox").streaming_content)
    assert next(stream) == b": open\n\n"
    now_ms = time.time_ns() // 1_000_000
    made = row(cast.acme.id, now_ms, chance=1)
    other = row(cast.acme.id, now_ms, chance=2, provider="openai")
    theirs = row(cast.rival.id, now_ms, chance=3)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([made, other, theirs])
    piece = next(stream).decode()
    assert piece.count("event: row\n") == 1
    assert f'id="r-{made["id"]}"' in piece
    # One that began before it and ended after it is told all the same.
    late = row(cast.acme.id, now_ms - 60_000, chance=4)
    ledger.write([late])
    ledger.close()
    assert f'id="r-{late["id"]}"' in next(stream).decode()


def test_silence_is_broken_and_the_stream_ends(
    as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "COMMENT_S", 0.02)
    monkeypatch.setattr(event_stream, "STREAM_S", 0.3)
    pieces = list(as_alice.get("/requests/live").streaming_content)
    assert b": still here\n\n" in pieces
    assert pieces[-1] == b"event: done\ndata: \n\n"


@pytest.mark.parametrize("how", ["signed out", "no member"])
def test_who_may_no_longer_read_hears_no_more(as_bob: Client, cast: Cast, how: str) -> None:
    stream = iter(as_bob.get("/requests/live").streaming_content)
    next(stream)
    if how == "signed out":
        as_bob.logout()
    else:
        from tenancy.scope import tenant_scope

        with tenant_scope(cast.acme.id):
            Membership.objects.filter(user=cast.bob).delete()
    assert list(islice(stream, 1)) == [b"event: done\ndata: \n\n"]


def test_one_person_has_a_handful_of_streams(
    as_alice: Client, as_bob: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STREAMS_PER_USER_MAX", 2)
    with event_stream.seat(cast.alice.id):
        running = as_alice.get("/requests/live")
        assert next(iter(running.streaming_content)) == b": open\n\n"
        assert as_alice.get("/requests/live").status_code == 204
        assert as_bob.get("/requests/live").status_code == 200
    assert as_alice.get("/requests/live").status_code == 200
