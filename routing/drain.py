"""Moves the journal into the ledger: at least once in, exactly once in effect.

1. Every writer's directory is followed from its first segment; whole records are gathered.
2. A batch becomes rows and rollups in one transaction; only then does reading count as done.
3. A segment goes when all its calls are in the ledger and a later one is being written.
4. A writer that ended is read to its end; calls that it admitted and never finished are written
   at their estimate and marked, then its directory goes.
5. A record that the ledger refuses is found by halving and set aside; it never blocks the rest.

Reading again what was already written changes nothing, so nothing else has to be remembered.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg

from analytics.core import INTERRUPTED
from analytics.ledger import Ledger
from routing.journal import (
    HEADER,
    LOCK_NAME,
    RECORD_BYTES_MAX,
    SUFFIX,
    Damaged,
    Read,
    is_live,
    read_records,
)

log = logging.getLogger(__name__)

READ_BYTES_MAX = 4 * 2**20
ROWS_MAX = 2_000
BODY_BYTES_MAX = 16 * 2**20
IDLE_S = 0.1
RETRY_S = 1.0
STOP_WITHIN_S = 20.0
# Data, integrity and size: what Postgres says when a row is wrong, and not the server.
_ROWS_FAULT = ("22", "23", "54")


class DrainerRuns(Exception):
    """Another drainer works on this journal."""


@dataclass(slots=True)
class Entry:
    """One row to be written, and the record that it came from; a call's or that of its bodies."""

    row: dict[str, Any]
    record: bytes
    writer: str
    is_bodies: bool = False


@dataclass(slots=True)
class Writer:
    """How far one writer's directory was read."""

    directory: Path
    segment: int = 0
    offset: int = 0
    seq: int = 0
    admitted: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    ended: bool = False


class Drainer:
    """Follows the journal under ``root``; one per machine."""

    def __init__(self, root: Path, ledger: Ledger, *, sleep: Callable[[float], object]) -> None:
        """Raises ``DrainerRuns`` when the journal is being drained already."""
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._ledger = ledger
        self._sleep = sleep
        self._writers: dict[str, Writer] = {}
        self._lock = os.open(root / "drainer.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DrainerRuns(f"Another drainer works on {root}.") from None
        self.written = 0
        self.gaps = 0
        self.damages = 0
        self.stopping = False

    def run(self) -> None:
        """Drains until ``stopping``, and then until nothing is left to read.

        Beside writers that go on, the end never comes: after a while the next drainer reads on.
        """
        stop_by = None
        while True:
            stopping = self.stopping
            if stopping and stop_by is None:
                stop_by = time.monotonic() + STOP_WITHIN_S
            moved = self.step()
            if stop_by is not None and (not moved or time.monotonic() > stop_by):
                return
            if not moved:
                self._sleep(IDLE_S)

    def close(self) -> None:
        """Unlocks the journal."""
        self._ledger.close()
        os.close(self._lock)

    def step(self) -> int:
        """Reads and writes one batch; how many records were read."""
        entries: list[Entry] = []
        read = 0
        for writer in self._known_writers():
            if _is_full(entries):
                break
            read += self._read(writer, entries)
        if entries and not self._write(entries):
            return 0
        for writer in list(self._writers.values()):
            self._tidy(writer)
        return read

    def _known_writers(self) -> list[Writer]:
        for entry in sorted(self._root.iterdir()):
            if entry.name not in self._writers and (entry / LOCK_NAME).exists():
                self._writers[entry.name] = Writer(entry)
        return list(self._writers.values())

    def _read(self, writer: Writer, entries: list[Entry]) -> int:
        """Gathers what a writer wrote since; notes whether it has ended."""
        # Asked before reading: whatever a writer wrote that had ended by now is in the file.
        live = is_live(writer.directory)
        records = 0
        while not _is_full(entries):
            path = _segment(writer, writer.segment)
            # Asked before reading, for the same reason.
            later = _later_segment(writer)
            try:
                data = _tail(path, writer.offset)
            except FileNotFoundError:
                data = b""
            is_whole = (later is not None or not live) and len(data) < READ_BYTES_MAX
            for record in self._whole_records(writer, data, path, is_whole=is_whole):
                records += 1
                self._take(writer, record, entries)
            if len(data) == READ_BYTES_MAX:
                continue
            if later is None:
                break
            writer.segment, writer.offset = later, 0
        if not live and not _is_full(entries):
            writer.ended = True
            entries += [_interrupted(writer, admitted) for _, admitted in writer.admitted.values()]
            writer.admitted.clear()
        return records

    def _whole_records(
        self, writer: Writer, data: bytes, path: Path, *, is_whole: bool
    ) -> list[Read]:
        """The records in ``data``, past damaged bytes too; moves the writer's offset behind them.

        ``is_whole``: nothing will follow, so a record that is cut off is damage.
        """
        found: list[Read] = []
        at = 0
        while True:
            try:
                for record in read_records(data, at):
                    found.append(record)
                    at = record.end
                if at == len(data) or not is_whole:
                    break
                broken = at
            except Damaged as damage:
                broken = damage.offset
            self.damages += 1
            log.error("%s: damaged at byte %d", path, writer.offset + broken)
            at = _next_record(data, broken + 1)
            if at < 0:
                at = len(data)
                if at == READ_BYTES_MAX or not is_whole:
                    # A record may begin here and end in the next piece.
                    at = max(broken + 1, at - RECORD_BYTES_MAX - HEADER.size)
                break
        writer.offset += at
        return found

    def _take(self, writer: Writer, record: Read, entries: list[Entry]) -> None:
        knows_last = writer.seq or writer.segment == 0
        if knows_last and record.seq != writer.seq + 1:
            self.gaps += 1
            log.error(
                "journal %s: records %d to %d are missing",
                writer.directory.name,
                writer.seq + 1,
                record.seq - 1,
            )
        writer.seq = record.seq
        try:
            row = orjson.loads(record.payload)
            kind, id = row["k"], row["id"]
        except (ValueError, KeyError, TypeError):
            # The ledger refuses what has no columns, and so it is set aside.
            entries.append(Entry({}, record.payload, writer.directory.name))
            return
        if kind == "a":
            writer.admitted[id] = (writer.segment, row)
        elif kind == "b":
            entries.append(Entry(row, record.payload, writer.directory.name, is_bodies=True))
        else:
            writer.admitted.pop(id, None)
            entries.append(Entry(row, record.payload, writer.directory.name))

    def _write(self, entries: Sequence[Entry]) -> bool:
        """Writes a batch, waiting for the database as long as it takes; False when told to stop."""
        while True:
            try:
                self._write_or_halve(entries)
            except psycopg.Error as why:
                log.warning("The ledger cannot be written: %s", str(why).strip().splitlines()[:1])
                self._ledger.close()
                if self.stopping:
                    self._writers.clear()
                    return False
                self._sleep(RETRY_S)
            else:
                return True

    def _write_or_halve(self, entries: Sequence[Entry]) -> None:
        try:
            self.written += self._ledger.write(
                [entry.row for entry in entries if not entry.is_bodies],
                [entry.row for entry in entries if entry.is_bodies],
            )
        except _REFUSED as why:
            if not _is_rows_fault(why):
                raise
            if len(entries) == 1:
                log.error("A journal record is refused: %s", type(why).__name__)  # noqa: TRY400
                self._ledger.quarantine(entries[0].writer, entries[0].record, repr(why))
                return
            half = len(entries) // 2
            self._write_or_halve(entries[:half])
            self._write_or_halve(entries[half:])

    def _tidy(self, writer: Writer) -> None:
        """Removes what is wholly in the ledger."""
        if writer.ended:
            shutil.rmtree(writer.directory, ignore_errors=True)
            self._writers.pop(writer.directory.name, None)
            return
        needed = min((s for s, _ in writer.admitted.values()), default=writer.segment)
        # From the first on, so that being killed in between leaves no hole.
        for path in sorted(writer.directory.glob(f"*{SUFFIX}")):
            if int(path.stem) < min(needed, writer.segment):
                path.unlink(missing_ok=True)


def _is_full(entries: Sequence[Entry]) -> bool:
    """Whether this is a batch: by its rows, or by the bytes of stored bodies in it."""
    if len(entries) >= ROWS_MAX:
        return True
    return sum(len(entry.record) for entry in entries if entry.is_bodies) >= BODY_BYTES_MAX


def _segment(writer: Writer, number: int) -> Path:
    return writer.directory / f"{number:08d}{SUFFIX}"


def _later_segment(writer: Writer) -> int | None:
    numbers = (int(p.stem) for p in writer.directory.glob(f"*{SUFFIX}"))
    return min((n for n in numbers if n > writer.segment), default=None)


def _tail(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(READ_BYTES_MAX)


_REFUSED = (psycopg.Error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)


def _is_rows_fault(why: Exception) -> bool:
    """Whether a row is at fault; else the database is, and what is written waits for it."""
    if not isinstance(why, psycopg.Error):
        return True
    if why.sqlstate is None:
        return not isinstance(why, psycopg.OperationalError | psycopg.InterfaceError)
    return why.sqlstate[:2] in _ROWS_FAULT


def _next_record(data: bytes, start: int) -> int:
    """Where the next whole record begins after damage; -1 when there is none."""
    for at in range(start, len(data) - HEADER.size + 1):
        try:
            if next(read_records(data, at), None) is not None:
                return at
        except Damaged:
            continue
    return -1


def _interrupted(writer: Writer, admitted: dict[str, Any]) -> Entry:
    """A call whose process ended before its outcome: written at its estimate, and marked so."""
    row = {
        **admitted,
        "priority": "",
        "success": False,
        "status": 500,
        "error_code": INTERRUPTED,
        "latency_ms": 0,
        "first_token_ms": None,
        "overhead_us": None,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "usage": {},
        "cost_nano": admitted["estimate_nano"],
        "cost_estimated": True,
        "fallback_used": False,
        "attempts": 1,
        "decision": {"interrupted": True},
    }
    return Entry(row, orjson.dumps(admitted), writer.directory.name)
