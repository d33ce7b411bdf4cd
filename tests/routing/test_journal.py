"""The journal keeps what it took, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routing import journal as journal_file
from routing.drain import Drainer
from routing.journal import HEADER, Damaged, Journal, JournalFull, is_live, read_records

ROOT = Path(__file__).parents[2]
COUNT = 50


def payload(number: int) -> bytes:
    """Record ``number``, always of the same size."""
    return b'{"k":"o","id":"%02d"}' % number


SIZE = HEADER.size + len(payload(1))


def records_of(path: Path) -> list[bytes]:
    """The payloads in one segment, which must be whole."""
    data = path.read_bytes()
    found = list(read_records(data))
    assert not data or found[-1].end == len(data)
    return [record.payload for record in found]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path, "w")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a segment with fifty records."""
    opened = Journal(tmp_path_factory.mktemp("fifty"), "w")
    for number in range(1, COUNT + 1):
        opened.append(payload(number))
    opened.close()
    data = (opened.directory / "00000000.log").read_bytes()
    assert len(data) == COUNT * SIZE
    return data


def test_what_was_appended_is_read_back_in_order(journal: Journal) -> None:
    told = [b"", b"x", b"\x00" * 1000, payload(7)]
    for one in told:
        journal.append(one)
    data = (journal.directory / "00000000.log").read_bytes()
    found = list(read_records(data))
    assert [r.payload for r in found] == told
    assert [r.seq for r in found] == [1, 2, 3, 4]
    assert [r.payload for r in read_records(data, found[1].end)] == told[2:]


def test_a_file_cut_anywhere_gives_every_whole_record(fifty: bytes) -> None:
    for cut in range(len(fifty) + 1):
        found = list(read_records(fifty[:cut]))
        assert [r.payload for r in found] == [payload(n + 1) for n in range(cut // SIZE)]


def test_one_wrong_bit_anywhere_is_never_misread(fifty: bytes) -> None:
    whole = [payload(n + 1) for n in range(COUNT)]
    for at in range(len(fifty)):
        damaged = bytearray(fifty)
        damaged[at] ^= 1 << at % 8
        found: list[bytes] = []
        offset = at // SIZE * SIZE
        try:
            for record in read_records(bytes(damaged)):
                found.append(record.payload)
        except Damaged as why:
            offset = why.offset
        assert (found, offset) == (whole[: at // SIZE], at // SIZE * SIZE)


class Collector:
    """A ledger that keeps rows in memory."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def write(self, rows: list[dict[str, Any]], bodies: list[dict[str, Any]]) -> int:
        self.rows += [row["id"] for row in rows]
        return len(rows)

    def close(self) -> None:
        pass


@pytest.fixture
def drained(tmp_path: Path) -> Iterator[Any]:
    """A function from the bytes of a segment to the ids that the drainer finds in it."""
    collector = Collector()
    drainer = Drainer(tmp_path, collector, sleep=time.sleep)  # type: ignore[arg-type]
    numbers = iter(range(10**6))

    def drain(data: bytes) -> tuple[list[int], int, int]:
        collector.rows.clear()
        damages, gaps = drainer.damages, drainer.gaps
        directory = tmp_path / f"{next(numbers):06d}"
        directory.mkdir()
        (directory / "00000000.log").write_bytes(data)
        (directory / "lock").touch()
        while drainer.step():
            pass
        assert not directory.exists()
        found = [int(id) for id in collector.rows]
        return found, drainer.damages - damages, drainer.gaps - gaps

    yield drain
    drainer.close()


def test_the_drainer_takes_every_whole_record_of_a_cut_file(fifty: bytes, drained: Any) -> None:
    for cut in range(len(fifty) + 1):
        found, damages, _ = drained(fifty[:cut])
        assert found == list(range(1, cut // SIZE + 1))
        assert damages == (1 if cut % SIZE else 0)


def test_the_drainer_takes_every_record_around_a_wrong_bit(fifty: bytes, drained: Any) -> None:
    for at in range(len(fifty)):
        damaged = bytearray(fifty)
        damaged[at] ^= 1 << at % 8
        hit = at // SIZE + 1
        found, damages, gaps = drained(bytes(damaged))
        assert found == [n for n in range(1, COUNT + 1) if n != hit], f"byte {at}"
        assert damages == 1
        assert gaps == (0 if hit == COUNT else 1)


def test_damage_at_the_end_of_a_piece_costs_no_record(
    fifty: bytes, drained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for piece in range(2 * SIZE, 3 * SIZE):
        monkeypatch.setattr("routing.drain.READ_BYTES_MAX", piece)
        for module in ("drain", "journal"):
            monkeypatch.setattr(f"routing.{module}.RECORD_BYTES_MAX", SIZE)
        damaged = bytearray(fifty)
        damaged[SIZE + 3 : SIZE + 5] = b"\xff\xff"
        found, _, _ = drained(bytes(damaged))
        assert found == [1, *range(3, COUNT + 1)], f"pieces of {piece}"


def test_killing_the_process_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from routing.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), 'w')\n"
        "for n in range(200): journal.append(b'%03d' % n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, timeout=30)
    assert done.returncode == -9
    assert records_of(tmp_path / "w" / "00000000.log") == [b"%03d" % n for n in range(200)]
    assert not is_live(tmp_path / "w")


@pytest.mark.parametrize("limit", [*range(900, 900 + 36, 5)])
def test_a_full_disk_takes_whole_records_or_none(tmp_path: Path, limit: int) -> None:
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from routing.journal import Journal, JournalFull\n"
        "journal = Journal(Path(sys.argv[1]), 'w')\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))\n"
        "taken = 0\n"
        "try:\n"
        "    while taken < 100: journal.append(b'%019d' % taken); taken += 1\n"
        "except JournalFull: print('full', taken)\n"
        "try: journal.append(b'%019d' % 99)\n"
        "except JournalFull: print('still full')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "journal.append(b'%019d' % taken); journal.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path, str(limit)],
        cwd=ROOT,
        timeout=30,
        capture_output=True,
        text=True,
    )
    fit = limit // 35
    assert (done.stdout, done.stderr) == (f"full {fit}\nstill full\n", "")
    told = records_of(tmp_path / "w" / "00000000.log")
    assert told == [b"%019d" % n for n in range(fit + 1)]


def test_a_segment_rolls_when_it_is_full(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES_MAX", 3 * SIZE)
    for number in range(8):
        journal.append(payload(number))
    segments = sorted(journal.directory.glob("*.log"))
    assert [p.name for p in segments] == ["00000000.log", "00000001.log", "00000002.log"]
    told = [one for path in segments for one in records_of(path)]
    assert told == [payload(n) for n in range(8)]


def test_a_segment_that_cannot_roll_goes_on_and_stays_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES_MAX", 3 * SIZE)
    in_the_way = journal.directory / "00000001.log"
    in_the_way.mkdir()
    for number in range(5):
        journal.append(payload(number))
    assert len(records_of(journal.directory / "00000000.log")) == 5
    # A torn write must cut off itself alone.
    monkeypatch.setattr(journal_file, "os", _Torn())
    with pytest.raises(JournalFull):
        journal.append(payload(5))
    monkeypatch.undo()
    assert len(records_of(journal.directory / "00000000.log")) == 5
    in_the_way.rmdir()
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES_MAX", 3 * SIZE)
    journal.append(payload(6))
    journal.append(payload(7))
    assert records_of(journal.directory / "00000000.log")[-1] == payload(6)
    assert records_of(in_the_way) == [payload(7)]


class _Torn:
    """``os`` on a disk with room for ten bytes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, file: int, data: bytes) -> int:
        return os.write(file, data[:10])


def test_a_disk_that_does_not_flush_stops_the_journal(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        journal.append(payload(1))
        deadline = time.monotonic() + 5
        while journal._syncer.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        with pytest.raises(JournalFull, match="Input/output error"):
            journal.append(payload(2))


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    closed = Journal(tmp_path, "w")
    closed.append(payload(1))
    closed.close()
    with (tmp_path / "other").open("wb") as other, pytest.raises(JournalFull):
        closed.append(payload(2))
    assert other.closed
    assert not (tmp_path / "other").read_bytes()
    assert records_of(closed.directory / "00000000.log") == [payload(1)]


def test_a_record_that_no_reader_would_take_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalFull):
        journal.append(b"x" * (journal_file.RECORD_BYTES_MAX + 1))
    journal.append(payload(1))
    assert records_of(journal.directory / "00000000.log") == [payload(1)]


def test_a_writer_is_live_until_it_closes(tmp_path: Path) -> None:
    opened = Journal(tmp_path, "w")
    assert is_live(opened.directory)
    opened.close()
    assert not is_live(opened.directory)
    assert not is_live(tmp_path / "nobody")


def test_a_directory_gets_its_lock_under_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = journal_file.fcntl.flock

    def flock(file: int, how: int) -> None:
        seen.append((tmp_path / "w" / "lock").exists())
        real(file, how)

    monkeypatch.setattr(journal_file.fcntl, "flock", flock)
    Journal(tmp_path, "w").close()
    assert seen == [False]
    assert (tmp_path / "w" / "lock").exists()


def test_a_writers_name_is_never_used_twice(journal: Journal) -> None:
    with pytest.raises(FileExistsError):
        Journal(journal.directory.parent, "w")
