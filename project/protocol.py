"""HTTP/1.1 of the web process: uvicorn's protocol, with a short way for calls of the gateway.

1. A call whose body came whole with its head goes straight to the gateway: no ASGI messages, no
   task that waits for the client to leave, one write for a whole answer.
2. Everything else goes uvicorn's way, also a call whose body is still on its way.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from routing.door import CALLS, Door
from routing.incoming import Reply

log = logging.getLogger(__name__)

# What a browser's EventSource asks for.
_NEWS = (b"accept", b"text/event-stream")
# A head that is longer is refused; one piece from the network counts from its second on.
HEAD_BYTES_MAX = 64 * 1024
_LAST_CHUNK = b"0\r\n\r\n"
_BUG = Reply(500, [(b"content-type", b"text/plain")], b"Internal Server Error")


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # The call whose head has come; its body is in _parts until it is whole.
        self._operation = ""
        self._parts: list[bytes] = []
        self._stays_open = True
        self._in_head = False
        self._head_bytes = 0
        self._known_door: Door | None = None
        self._rested_at = self.loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the one timer that ends the connection when it idles."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Also cancels the call that nobody waits for any more."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A call that came whole is under way when this returns; a longer one goes on by ASGI."""
        head = self.headers if self._in_head else None
        super().data_received(data)
        if self._in_head and self.headers is head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")
                return
        if self._operation and not self.transport.is_closing():
            self._operation = ""
            self._to_uvicorn()
            if self._parts:
                super().on_body(b"".join(self._parts))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Forgets the request before."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._operation = ""
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header; what follows a body is none, and would pass for what a proxy added."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Chooses the way of this request."""
        self._in_head = False
        operation = CALLS.get(self.url)
        parser = self.parser
        if (
            operation is None
            or parser.get_method() != b"POST"
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.expect_100_continue
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or self._door() is None
        ):
            self._to_uvicorn()
            return
        self._operation = operation
        self._parts = []
        self._stays_open = parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Keeps a piece of the body."""
        if self._operation:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Starts the call."""
        operation = self._operation
        if not operation:
            super().on_message_complete()
            return
        self._operation = ""
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        call = _Call(self, keep_alive=self._stays_open)
        self.cycle = call  # type: ignore[assignment]
        call.task = task = self.loop.create_task(call.run(operation, self.headers, body))
        # What uvicorn waits for, and after its grace cancels, before the process ends.
        self.tasks.add(task)

    # What a call needs.

    def _door(self) -> Door | None:
        if self._known_door is None and (runtime := getattr(self.app, "runtime", None)):
            self._known_door = runtime.door
        return self._known_door

    def on_response_complete(self) -> None:
        """The connection rests, or goes on with a request that was sent ahead."""
        self.server_state.total_requests += 1
        self._rested_at = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        """The process stops: calls and downloads may finish, a page that waits for news may not."""
        cycle = self.cycle
        if isinstance(cycle, RequestResponseCycle) and not cycle.response_complete:
            scope = cycle.scope
            if _NEWS in scope["headers"] and not scope["path"].startswith("/v1/"):
                # Its view hears that the browser left, and the browser comes back by itself.
                self.transport.close()
                return
        super().shutdown()

    def _to_uvicorn(self) -> None:
        """Hands the request whose head has come to the ASGI application."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()

    def _check_idle(self) -> None:
        """Closes a connection that rested too long; one timer a connection, not one a request."""
        left_s = self.timeout_keep_alive
        if self.cycle is None or self.cycle.response_complete:
            left_s -= self.loop.time() - self._rested_at  # type: ignore[assignment]
        if left_s <= 0:
            self._idle_timer = None
            self.transport.close()
            return
        self._idle_timer = self.loop.call_later(left_s, self._check_idle)


class _Call:
    """One call on the short way; to uvicorn's protocol it is a request cycle like any other."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete", "task")

    def __init__(self, protocol: GatewayProtocol, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None

    @property
    def message_event(self) -> _Call:
        """What uvicorn sets when something happened to the connection."""
        return self

    def set(self) -> None:
        """Cancels the call when its client has left."""
        if self.disconnected and not self.response_complete and self.task is not None:
            self.task.cancel()

    async def run(self, operation: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Makes the call and sends its answer."""
        protocol = self._protocol
        door = protocol._door()
        assert door is not None
        client = protocol.client[0] if protocol.client else ""
        door.open_calls += 1
        try:
            reply = await door.call(operation, headers, body, client)
            if reply.stream is None:
                self._send(reply)
            else:
                await self._stream(reply)
        except asyncio.CancelledError:
            # The client left: nobody is there to answer.
            if not self.disconnected:
                raise
        except Exception:
            log.exception("an answer could not be sent")
            self.keep_alive = False
            self._finish()
        finally:
            door.open_calls -= 1
            if self.task is not None:
                protocol.tasks.discard(self.task)

    def _send(self, reply: Reply) -> None:
        if self.disconnected:
            return
        try:
            head = self._head(reply, b"content-length: %d\r\n\r\n" % len(reply.body))
        except ValueError:
            log.exception("an answer's headers cannot be sent")
            self.keep_alive = False
            reply = _BUG
            head = self._head(reply, b"content-length: %d\r\n\r\n" % len(reply.body))
        self._protocol.transport.write(head + reply.body)
        self._finish()

    async def _stream(self, reply: Reply) -> None:
        protocol = self._protocol
        transport, flow = protocol.transport, protocol.flow
        assert reply.stream is not None
        async with aclosing(reply.stream) as stream:
            head = self._head(reply, b"transfer-encoding: chunked\r\n\r\n")
            async for piece in stream:
                if flow.write_paused:
                    await flow.drain()
                if self.disconnected:
                    return
                if piece:
                    transport.write(b"%b%x\r\n%b\r\n" % (head, len(piece), piece))
                    head = b""
        transport.write(head + _LAST_CHUNK)
        self._finish()

    def _head(self, reply: Reply, last: bytes) -> bytes:
        """The answer's head; raises ValueError when a header would break out of its line."""
        lines = [b"%b: %b\r\n" % header for header in reply.headers]
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        count = len(lines)
        if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
            raise ValueError("a header holds a line break or a NUL")
        return STATUS_LINE[reply.status] + head + last

    def _finish(self) -> None:
        self.response_complete = True
        protocol = self._protocol
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
