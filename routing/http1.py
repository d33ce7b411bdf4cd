"""One keep-alive HTTP/1.1 connection to a provider and the response that is read from it.

1. `Connection.start` writes a request and ties the connection to its `Response`.
2. Bytes that arrive go through httptools; the head wakes `Response.head`, the body is kept in
   the response until it is read. More than `buffered_bytes_max` unread pauses the socket.
3. A whole body gives the connection back to its home, anything odd closes it: a connection
   that said one byte too much is never used for a second call.
4. Time runs out by `Connection.deadline`, which the home compares with its clock now and then,
   because a timer for each call costs more than the call's parsing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from routing.response import Kind, Phase, Response, UpstreamError

# The home looks at its clock this often, so a deadline is met at most two of these late.
SWEEP_S = 0.1
# A kept connection that was closed already says so within a round trip. One that dies later
# died over the request, which the provider may have worked on: not ours to send again.
STALE_S = 1.0
# Up to here one joined write is cheaper than handing the kernel two pieces.
JOINED_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one provider may take from this process."""

    connections_max: int = 1_000  # for each origin, busy and idle together
    keepalive_s: float = 60.0
    head_bytes_max: int = 65_536
    headers_max: int = 200
    buffered_bytes_max: int = 262_144  # unread body of one response before the socket is paused
    stalled_s: float = 300.0  # a reader that leaves its buffer full for this long has gone
    resolved_s: float = 30.0
    unresolved_s: float = 5.0


class Home(Protocol):
    """Who owns connections: tells the time and takes them back."""

    now: float

    def rest(self, connection: Connection) -> None:
        """Keep a connection that is free again."""

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""


class Connection(asyncio.Protocol):
    """One socket to one origin, with at most one call on it."""

    __slots__ = (
        "_bare",
        "_buffered_bytes_max",
        "_call",
        "_done",
        "_fields",
        "_head_bytes_max",
        "_headers_max",
        "_home",
        "_idle_timeout_s",
        "_interim",
        "_keep_alive",
        "_parser",
        "_paused",
        "_stalled_s",
        "_started_at",
        "_surplus",
        "_transport",
        "_until_eof",
        "deadline",
        "is_used",
        "loop",
        "name",
        "on_header",
        "origin",
    )

    def __init__(self, *, home: Home, limits: Limits, origin: str, name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.origin = origin
        self.name = name
        self.deadline = float("inf")
        self.is_used = False
        self._home = home
        self._head_bytes_max = limits.head_bytes_max
        self._headers_max = limits.headers_max
        self._buffered_bytes_max = limits.buffered_bytes_max
        self._stalled_s = limits.stalled_s
        self._idle_timeout_s = 0.0
        self._started_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._call: Response | None = None
        self._done = self._keep_alive = self._surplus = self._until_eof = False
        self._interim = self._paused = False
        self._bare = 0
        self._fields: dict[bytes, bytes] = {}
        # httptools calls this for each header; a method of the dict needs no Python frame.
        self.on_header = self._fields.__setitem__
        self._parser = httptools.HttpResponseParser(self)

    def start(
        self,
        head: bytes,
        body: bytes,
        *,
        first_byte_timeout_s: float,
        idle_timeout_s: float,
    ) -> Response:
        """Send a request on this free connection and return its response, still empty."""
        assert self._call is None
        assert self._transport is not None
        self._call = call = Response(self._buffered_bytes_max)
        call.connection = self
        self._idle_timeout_s = idle_timeout_s + SWEEP_S
        self._done = self._surplus = self._until_eof = False
        self._bare = 0
        self._started_at = now = self.loop.time()
        self.deadline = now + first_byte_timeout_s
        if len(body) <= JOINED_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return call

    @property
    def is_open(self) -> bool:
        """Whether a request may still be sent here, as far as this side knows."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def was_stale(self) -> bool:
        """Whether the call that just failed found the connection closed, unanswered."""
        return not self._bare and self.loop.time() - self._started_at < STALE_S

    def resume(self) -> None:
        """Read on from a socket that was paused because nobody read."""
        if self._paused and self.is_open and self._transport is not None:
            self._paused = False
            self.deadline = self.loop.time() + self._idle_timeout_s
            self._transport.resume_reading()

    def expire(self) -> None:
        """The deadline has passed: a free connection is closed, a call on it fails."""
        if self._call is None:
            self.close()
        elif self._paused:
            self.fail("Nobody read the answer", kind="timeout")
        else:
            what = "nothing came" if self._call.status == 0 else "the answer stood still"
            self.fail(f"{self.name} timed out: {what}", kind="timeout")

    def too_large(self) -> None:
        """Give up an answer which is longer than its reader allows."""
        if self._call is not None:
            self._finish(self._call.too_large())
        self.close()

    def fail(self, message: str, *, kind: Kind) -> None:
        """End the call, if there is one, with an error, and close the connection."""
        call = self._call
        if call is not None:
            phase: Phase = "first_byte" if call.status == 0 else "body"
            self._finish(UpstreamError(message, kind=kind, phase=phase, sent=True))
        self.close()

    def close(self) -> None:
        """Close the socket at once, without waiting for what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; the clock of the call starts again."""
        call = self._call
        if call is None:
            # Nobody asked: the bytes would be taken for the answer of the next call.
            self.close()
            return
        size = call.size
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._done:
                self.fail(f"{self.name} sent no HTTP/1.1 answer within bounds", kind="protocol")
                return
            self._surplus = True
        if self._done:
            self._complete(call)
            return
        if call.status:
            # A head that drips in byte by byte does not win time.
            self.deadline = self._home.now + self._idle_timeout_s
        if call.size == size:
            # No body in it: a head, trailers or chunk extensions, which the parser collects.
            if self._bare > self._head_bytes_max:
                self.fail(f"{self.name} sent too long a head", kind="protocol")
            return
        self._bare = 0
        if call.size > call.size_max:
            if call.is_whole:
                self.too_large()
                return
            self._pause()
        if not call.is_whole:
            call.wake()

    def eof_received(self) -> None:
        """Let the transport close itself; what that means is decided in `connection_lost`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call: well if its body lasts until the end of the connection."""
        self._transport = None
        call = self._call
        if call is not None:
            if self._until_eof and exc is None:
                call.complete = True
                self._finish(None)
            else:
                self.fail(f"{self.name} closed the connection", kind="reset")
        # The parser holds methods of this object: without the cycle no collector is needed.
        del self._parser
        self._home.lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Notice a second answer to one request."""
        if self._done:
            self._surplus = True

    def on_headers_complete(self) -> None:
        """Hand the head over, unless it is one of the 1xx that announce another."""
        fields = self._fields
        if self._surplus:
            fields.clear()
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            fields.clear()
            return
        if len(fields) > self._headers_max or (
            self._bare > self._head_bytes_max
            and sum(map(len, fields)) + sum(map(len, fields.values())) > self._head_bytes_max
        ):
            raise httptools.HttpParserError("head over the limit")
        call = self._call
        assert call is not None
        call.headers = headers = {name.lower(): value for name, value in fields.items()}
        fields.clear()
        call.status = status
        self._until_eof = b"content-length" not in headers and not headers.get(
            b"transfer-encoding", b""
        ).lower().endswith(b"chunked")
        call.wake()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        call = self._call
        if call is not None and not self._surplus:
            call.parts.append(body)
            call.size += len(body)

    def on_message_complete(self) -> None:
        """Note the end; the rest of the same read may still hold surplus bytes."""
        self._fields.clear()  # trailers
        if self._interim:
            self._interim = False
        else:
            self._done = True
            # Only here: the parser forgets what it answers from when this returns.
            self._keep_alive = self._parser.should_keep_alive()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            self.deadline = self._home.now + self._stalled_s

    def _complete(self, call: Response) -> None:
        transport = self._transport
        if call.is_whole and call.size > call.size_max:
            self.too_large()
            return
        call.complete = True
        reusable = (
            not self._surplus
            and self._keep_alive
            and transport is not None
            and not transport.is_closing()
            # Answered before all was sent: the rest would be read as the next request.
            and not transport.get_write_buffer_size()
        )
        if reusable:
            self.resume()
            self.is_used = True
            self._home.rest(self)
        else:
            self.close()
        self._finish(None)

    def _finish(self, error: UpstreamError | None) -> None:
        call = self._call
        assert call is not None
        self._call = None
        call.connection = None
        call.error = error
        call.wake()
