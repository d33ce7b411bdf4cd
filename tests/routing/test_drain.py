"""From the journal into the real ledger: exactly once in effect, whatever is killed or away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest

from analytics.ledger import Ledger
from routing import journal as journal_file
from routing.drain import Drainer, DrainerRuns
from routing.journal import Journal
from tests.routing.ledger_calls import CANDIDATE, COST, URL, Calls, outcome

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not URL, reason="DATABASE_INGEST_URL is not set")


def no_sleep(seconds: float) -> None:
    """For drainers that must not wait."""
    raise AssertionError("the drainer waits")


@pytest.fixture
def calls() -> Iterator[Calls]:
    made = Calls()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal", uuid4().hex)
    yield opened
    opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Drainer]]:
    """Starts drainers on the journal and stops those that still run."""
    started: list[Drainer] = []

    def make(url: str = URL, sleep: Callable[[float], None] = no_sleep) -> Drainer:
        started.append(Drainer(tmp_path / "journal", Ledger(url), sleep=sleep))
        return started[-1]

    yield make
    for one in started:
        stop(one)


_stopped: list[Drainer] = []


def stop(drainer: Drainer) -> None:
    """Stops a drainer, if it still runs."""
    if drainer not in _stopped:
        _stopped.append(drainer)
        drainer.close()


def drain(drainer: Drainer) -> None:
    """Drains until nothing is left to read."""
    while drainer.step():
        pass


def test_calls_become_rows_and_rollups(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    calls.make(journal, 7)
    drainer = start()
    drain(drainer)
    assert calls.rows() == [(7, 7 * COST)]
    assert calls.rollups() == (7, 7 * COST, 70)
    assert calls.timed() == 7
    assert (drainer.written, drainer.gaps, drainer.damages) == (7, 0, 0)
    calls.make(journal, 3)
    drain(drainer)
    assert calls.rollups() == (10, 10 * COST, 100)


def test_a_row_says_all_that_is_known_of_its_call(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    record = calls.record(metadata={"team": "legal"}, stream=True, first_token_ms=12)
    record.attempts.append({"provider": "d1", "model": "m", "ms": 40, "status": 200})
    journal.append(record.admission(CANDIDATE))
    journal.append(outcome(record))
    drain(start())
    columns = "id, provider, model_used, status, success, stream, first_token_ms, latency_ms"
    assert calls.rows(columns) == [(UUID(record.id), "d1", "m", 200, True, True, 12, 40)]
    ((usage, price, decision, metadata),) = calls.rows("usage, price, decision, metadata")
    assert usage == {"input_tokens": 10, "output_tokens": 5}
    assert price == {"input": 7}
    assert decision["candidates"][0]["provider"] == "d1"
    assert decision["attempts"] == record.attempts
    assert metadata == {"team": "legal"}


def test_being_killed_after_the_commit_counts_nothing_twice(
    calls: Calls,
    journal: Journal,
    start: Callable[..., Drainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class KilledError(BaseException):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    calls.make(journal, 20)
    first = start()
    with monkeypatch.context() as patched:
        patched.setattr(Drainer, "_tidy", kill)
        with pytest.raises(KilledError):
            first.step()
    assert calls.rollups() == (20, 20 * COST, 200)
    stop(first)
    second = start()
    drain(second)
    assert second.written == 0
    assert calls.quarantined(journal.directory.name) == []
    assert calls.rows() == [(20, 20 * COST)]
    assert calls.rollups() == (20, 20 * COST, 200)
    assert calls.timed() == 20


def test_the_same_call_twice_in_one_batch_counts_once(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    record = calls.record()
    for latency_ms in (40, 40, 4_000):
        journal.append(outcome(record, latency_ms))
    drain(start())
    assert calls.rollups() == (1, COST, 10)
    assert calls.timed() == 1


def test_two_drainers_never_share_a_journal(tmp_path: Path, start: Callable[..., Drainer]) -> None:
    first = start()
    with pytest.raises(DrainerRuns):
        start()
    program = (
        "import sys; from pathlib import Path; from routing.drain import Drainer, DrainerRuns\n"
        "try: Drainer(Path(sys.argv[1]), None, sleep=None)\n"
        "except DrainerRuns: print('runs')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "journal"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("runs\n", "")
    stop(first)
    stop(start())


def test_a_call_that_a_dead_writer_left_is_settled_at_its_estimate(
    calls: Calls, tmp_path: Path, start: Callable[..., Drainer]
) -> None:
    journal = Journal(tmp_path / "journal", uuid4().hex)
    calls.make(journal, 2)
    left = calls.record(metadata={"team": "legal"})
    journal.append(left.admission(CANDIDATE))
    drainer = start()
    drain(drainer)
    assert calls.rows() == [(2, 2 * COST)]  # its writer lives: it may still finish
    journal.close()
    drain(drainer)
    columns = "success, status, error_code, cost_nano, cost_estimated, provider, metadata"
    rows = {row[-1]: row[:-1] for row in calls.rows(columns + ", id")}
    assert len(rows) == 3
    assert rows[UUID(left.id)] == (
        False,
        500,
        "interrupted",
        777,
        True,
        "d1",
        {"team": "legal"},
    )
    assert calls.rollups() == (3, 2 * COST + 777, 20)
    assert not journal.directory.exists()
    drain(drainer)
    assert calls.rollups()[0] == 3


def test_a_record_that_the_ledger_refuses_is_set_aside_and_the_others_written(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    calls.make(journal, 5)
    poison = [
        b"no json at all",
        b'["k"]',
        b'{"k":"o","id":"x"}',
        _changed(calls, status=10**6),
        _changed(calls, organization_id="nobody"),
        _changed(calls, created_ms=10**17),
        _changed(calls, latency_ms=None),
        _changed(calls, error_code=None),
        _changed(calls, input_tokens=2**63),
    ]
    for one in poison:
        journal.append(one)
        calls.make(journal, 3)
    drainer = start()
    drain(drainer)
    assert calls.rows() == [(32, 32 * COST)]
    assert calls.rollups() == (32, 32 * COST, 320)
    assert sorted(calls.quarantined(journal.directory.name)) == sorted(poison)
    stop(drainer)
    drain(start())
    assert sorted(calls.quarantined(journal.directory.name)) == sorted(poison)
    assert calls.rows() == [(32, 32 * COST)]


def _changed(calls: Calls, **fields: Any) -> bytes:
    return orjson.dumps(orjson.loads(outcome(calls.record())) | fields)


@pytest.mark.parametrize("text", ["a\x00b", "\\u0000", "\\\\u0000", "\\", '"\x00\\u0000"'])
def test_no_text_of_a_client_makes_a_row_that_is_refused(
    calls: Calls, journal: Journal, start: Callable[..., Drainer], text: str
) -> None:
    calls.make(journal, metadata={text: text}, model_requested=text)
    drain(start())
    assert calls.quarantined(journal.directory.name) == []
    kept = text.replace("\x00", "")
    assert calls.rows("metadata, model_requested") == [({kept: kept}, kept)]


def test_segments_roll_and_go_once_their_calls_are_in_the_ledger(
    calls: Calls,
    journal: Journal,
    start: Callable[..., Drainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES_MAX", 5_000)
    calls.make(journal, 10)
    held = calls.record()
    journal.append(held.admission(CANDIDATE))
    names = sorted(p.name for p in journal.directory.glob("*.log"))
    assert len(names) >= 3
    drainer = start()
    drain(drainer)
    calls.make(journal, 10)
    drain(drainer)
    # The segment with the admission stays until the call is settled.
    left = sorted(p.name for p in journal.directory.glob("*.log"))
    assert left[0] == names[-1]
    journal.append(outcome(held))
    calls.make(journal, 3)
    drain(drainer)
    assert len(list(journal.directory.glob("*.log"))) == 1
    assert calls.rows() == [(24, 24 * COST)]
    assert drainer.gaps == 0


def test_segments_are_read_on_past_a_missing_one_and_the_gap_is_told(
    calls: Calls,
    journal: Journal,
    start: Callable[..., Drainer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES_MAX", 3_000)
    calls.make(journal, 12)
    segments = sorted(journal.directory.glob("*.log"))
    lost = segments[1].read_bytes().count(b'"k":"o"')
    segments[1].unlink()
    drainer = start()
    drain(drainer)
    assert calls.rows() == [(12 - lost, (12 - lost) * COST)]
    assert drainer.gaps == 1
    assert "are missing" in caplog.text


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_with_postgres_away_nothing_is_lost(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    calls.make(journal, 30)
    away = f"postgresql://er_ingest:i@127.0.0.1:{_free_port()}/er"
    waits: list[float] = []

    def come_back(seconds: float) -> None:
        waits.append(seconds)
        assert calls.rows() == [(0, 0)]
        if len(waits) == 3:
            drainer._ledger._url = URL

    drainer = start(away, come_back)
    drain(drainer)
    assert waits == [1.0, 1.0, 1.0]
    assert calls.rollups() == (30, 30 * COST, 300)


def test_being_stopped_with_postgres_away_leaves_all_to_the_next_start(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    calls.make(journal, 30)
    drainer = start(f"postgresql://er_ingest:i@127.0.0.1:{_free_port()}/er")
    drainer.stopping = True
    drainer.run()
    stop(drainer)
    assert calls.rows() == [(0, 0)]
    drain(start())
    assert calls.rollups() == (30, 30 * COST, 300)


def test_a_connection_that_breaks_in_between_is_replaced(
    calls: Calls, journal: Journal, start: Callable[..., Drainer]
) -> None:
    waits: list[float] = []
    drainer = start(URL, waits.append)
    calls.make(journal, 5)
    drain(drainer)
    connection = drainer._ledger._connection
    assert connection is not None
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    calls.make(journal, 5)
    drain(drainer)
    assert len(waits) <= 1
    assert calls.rollups() == (10, 10 * COST, 100)
    assert calls.quarantined(journal.directory.name) == []


def test_what_only_the_database_is_at_fault_for_is_tried_again(
    calls: Calls,
    journal: Journal,
    start: Callable[..., Drainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = [psycopg.errors.DeadlockDetected(), psycopg.InterfaceError("closed")]
    write = Ledger.write

    def fail(ledger: Ledger, rows: Any, bodies: Any) -> int:
        if faults:
            raise faults.pop()
        return write(ledger, rows, bodies)

    monkeypatch.setattr(Ledger, "write", fail)
    calls.make(journal, 3)
    waits: list[float] = []
    drain(start(URL, waits.append))
    assert len(waits) == 2
    assert calls.rows() == [(3, 3 * COST)]
    assert calls.quarantined(journal.directory.name) == []
