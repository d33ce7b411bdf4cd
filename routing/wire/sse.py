"""Server-sent events as bytes: where one ends, what it says, and the event of a broken stream."""

from __future__ import annotations

import msgspec

from lib.errors import RouterError
from routing.wire.base import UpstreamFailure

EVENT_BYTES_MAX = 4 * 1024 * 1024
DONE_EVENT = b"data: [DONE]\n\n"

_NEWLINE = 10
_RETURN = 13


def event_end(data: bytes | bytearray, start: int) -> int:
    """Index past the blank line that ends the event at ``start``; -1 while there is none."""
    size = len(data)
    at = data.find(b"\n", start)
    while at >= 0:
        after = at + 1
        if after < size and data[after] == _NEWLINE:
            return after + 1
        if after + 1 < size and data[after] == _RETURN and data[after + 1] == _NEWLINE:
            return after + 2
        at = data.find(b"\n", after)
    return -1


def last_event_end(data: bytes | bytearray, start: int = 0) -> int:
    """Index past the last blank line that begins at or after ``start``; -1 if there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    plain = data.rfind(b"\n\n", start)
    carriage = data.rfind(b"\n\r\n", start)
    if plain < 0 and carriage < 0:
        return -1
    return max(plain + 2, carriage + 3 if carriage >= 0 else 0)


def last_event_start(data: bytes, start: int, end: int) -> int:
    """Index where the event that ends at ``end`` begins, not before ``start``."""
    at = data.rfind(b"\n", start, end - 2)
    while at > start:
        before = data[at - 1]
        if before == _NEWLINE or (before == _RETURN and data[at - 2] == _NEWLINE):
            return at + 1
        at = data.rfind(b"\n", start, at)
    return start


def payload(event: bytes) -> bytes:
    """The data of one event, its lines joined; empty for comments and bare event names."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2:
        return event[6:].rstrip(b"\r\n")
    lines = []
    for line in event.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line.startswith(b"data: ") else line[5:])
    return b"\n".join(lines)


def error_event(error: UpstreamFailure | RouterError) -> bytes:
    """The event that ends a stream which broke after its first content; no [DONE] follows it."""
    body = {
        "message": error.message,
        "type": error.type,
        "param": error.param if isinstance(error, RouterError) else None,
        "code": error.code,
    }
    return b"data: " + msgspec.json.encode({"error": body}) + b"\n\n"
