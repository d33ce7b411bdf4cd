"""The append-only file that a call is written to before and after it is made.

1. Each process start makes a directory of its own, so ``(writer, seq)`` never repeats, and holds a
   lock on it: an unlocked directory belongs to a process that ended.
2. A record is a length, a CRC-32, its number and JSON, written whole by one ``write(2)``: once it
   returned, killing the process loses nothing.
3. A thread flushes to disk every 20 ms, so losing power loses at most that.
4. When a segment is full the next one starts; the drainer removes segments whose calls are all
   in the ledger.
5. A record that cannot be written stops admission: a call that is not written down is not made.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES_MAX = 8 * 2**20
RECORD_BYTES_MAX = 2 * 2**20
SYNC_EVERY_S = 0.02
RESERVE_BYTES = 64 * 2**20
OWED_MAX = 10_000
LOCK_NAME = "lock"
SUFFIX = ".log"
HEADER = struct.Struct("<IIQ")
_SEQUENCE = struct.Struct("<Q")


class JournalFull(Exception):
    """The journal cannot take another record; nothing was written."""


class Journal:
    """The journal of one process."""

    def __init__(self, root: Path, writer: str) -> None:
        """Opens a new directory ``root/writer``; raises OSError when that cannot be done."""
        self.directory = root / writer
        self.directory.mkdir(parents=True, mode=0o700)
        # Locked before it has its name: a drainer that saw it unlocked would clear it away.
        unnamed = self.directory / f"{LOCK_NAME}.new"
        self._lock = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._segment = 0
        self._size = 0
        self._file = self._open(0)
        unnamed.rename(self.directory / LOCK_NAME)
        self._dirty: list[int] = []
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._syncer = threading.Thread(target=self._sync_loop, name="journal-sync", daemon=True)
        self._needs_sync = False
        self._failure = ""
        self._owed: deque[bytes] = deque(maxlen=OWED_MAX)
        self.records = 0
        self._syncer.start()

    def append(self, payload: bytes) -> None:
        """Writes one record; raises ``JournalFull`` when the disk does not take it."""
        while self._owed:
            self._write(self._owed[0])
            self._owed.popleft()
        self._write(payload)

    def append_later(self, payload: bytes) -> None:
        """Writes one record now or, when the disk does not take it, before the next one.

        For what already happened: it cannot be refused any more.
        """
        try:
            self.append(payload)
        except JournalFull:
            self._owed.append(payload)

    def append_if_possible(self, payload: bytes) -> bool:
        """Writes one record if the disk takes it now; for what the books do not need."""
        try:
            self.append(payload)
        except JournalFull:
            return False
        return True

    def _write(self, payload: bytes) -> None:
        if len(payload) > RECORD_BYTES_MAX:
            raise JournalFull(f"a record of {len(payload):,} bytes")
        if self._failure:
            raise JournalFull(self._failure)
        seq = self.records + 1
        checksum = zlib.crc32(payload, zlib.crc32(_SEQUENCE.pack(seq)))
        record = HEADER.pack(len(payload), checksum, seq) + payload
        try:
            written = os.write(self._file, record)
        except OSError as why:
            raise JournalFull(why.strerror) from None
        if written != len(record):
            # A torn record would hide what follows it: cut it off again.
            os.ftruncate(self._file, self._size)
            raise JournalFull("the disk took only a part of the record")
        self._size += written
        self.records = seq
        self._needs_sync = True
        if self._size >= SEGMENT_BYTES_MAX:
            self._roll()

    def is_writable(self) -> bool:
        """Whether records are taken, and the disk has space beyond the reserve."""
        if self._failure:
            return False
        stat = os.statvfs(self.directory)
        return stat.f_bavail * stat.f_frsize > RESERVE_BYTES

    def _open(self, segment: int) -> int:
        path = self.directory / f"{segment:08d}{SUFFIX}"
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)

    def _roll(self) -> None:
        """The next segment; where it cannot be made, the full one grows until it can."""
        try:
            opened = self._open(self._segment + 1)
        except OSError:
            return
        full, self._file = self._file, opened
        self._segment += 1
        self._size = 0
        with self._writing:
            self._dirty.append(full)

    def _sync_loop(self) -> None:
        while not self._stop.wait(SYNC_EVERY_S):
            try:
                self._sync()
            except OSError as why:
                # What the disk did not take may be lost already; nothing more is admitted.
                self._failure = why.strerror or "the disk failed"
                return

    def _sync(self) -> None:
        with self._writing:
            full, self._dirty = self._dirty, []
        for descriptor in full:
            os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)
            os.close(descriptor)
        if self._needs_sync:
            self._needs_sync = False
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)

    def close(self) -> None:
        """Flushes and unlocks; the drainer may then finish the directory."""
        with suppress(JournalFull):
            while self._owed:
                self._write(self._owed[0])
                self._owed.popleft()
        self._stop.set()
        self._syncer.join()
        # The number of a closed file may be another's soon; a late record must not go there.
        self._failure = self._failure or "the journal is closed"
        try:
            self._sync()
        finally:
            os.close(self._file)
            os.close(self._lock)


@dataclass(frozen=True, slots=True)
class Read:
    """One record, its number in its writer's sequence from 1, and the offset behind it."""

    seq: int
    payload: bytes
    end: int


class Damaged(Exception):
    """The bytes at ``offset`` are not a record; whole ones may follow."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"damaged at byte {offset}")
        self.offset = offset


def read_records(data: bytes, start: int = 0) -> Iterator[Read]:
    """The whole records in ``data`` from ``start`` on.

    Ends quietly at a record that is cut off by the end, which may still be being written.
    Raises ``Damaged`` where a checksum or length is wrong.
    """
    at = start
    while at + HEADER.size <= len(data):
        length, checksum, seq = HEADER.unpack_from(data, at)
        if length > RECORD_BYTES_MAX:
            raise Damaged(at)
        end = at + HEADER.size + length
        if end > len(data):
            return
        payload = data[at + HEADER.size : end]
        if zlib.crc32(payload, zlib.crc32(_SEQUENCE.pack(seq))) != checksum:
            raise Damaged(at)
        yield Read(seq, payload, end)
        at = end


def is_live(directory: Path) -> bool:
    """Whether the process that writes ``directory`` still runs."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
