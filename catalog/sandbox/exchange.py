"""One HTTP request and its answer over ASGI, aware of a client that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from catalog.sandbox.errors import RequestError
from catalog.sandbox.reply import BODY_BYTES_MAX

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A client that leaves during a shorter pause is noticed after it; watching costs two tasks.
_WATCHED_PAUSE_S = 0.25


class Exchange:
    """What came in, and the ways to answer. Leaving the body unfinished closes the connection."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, sleep: Sleep, identity: str
    ) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.identity = identity
        self.request_id = f"req_{identity}"
        self.request_id_header = b"x-request-id"
        self._receive = receive
        self._send = send
        self._sleep = sleep
        self._gone: asyncio.Task[None] | None = None

    async def body(self) -> bytes:
        """The whole body. Raises RequestError 413 when it is too long."""
        parts: list[bytes] = []
        length = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RequestError(400, "The body ended early.")
            part: bytes = message.get("body", b"")
            parts.append(part)
            length += len(part)
            if length > BODY_BYTES_MAX:
                message_text = f"The body is longer than {BODY_BYTES_MAX} bytes."
                raise RequestError(413, message_text, code="request_too_large")
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def respond(
        self,
        status: int,
        body: bytes,
        *,
        content_type: bytes = b"application/json",
        headers: Headers | None = None,
    ) -> None:
        """Send a whole answer."""
        await self.start(status, content_type, headers, length=len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def start(
        self,
        status: int,
        content_type: bytes,
        headers: Headers | None = None,
        *,
        length: int | None = None,
    ) -> None:
        """Send status and headers; without a length the body is chunked."""
        request_id = self.request_id.encode()
        sent = [(b"content-type", content_type), (self.request_id_header, request_id)]
        if length is None:
            sent.append((b"cache-control", b"no-cache"))
        else:
            sent.append((b"content-length", b"%d" % length))
        if status == 413:
            sent.append((b"connection", b"close"))  # the rest of the body is not read
        sent += headers or ()
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, part: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """End a chunked body."""
        await self._send({"type": "http.response.body", "body": b""})

    def watch(self) -> asyncio.Task[None]:
        """The task that ends when the client goes away; call it once the body has been read."""
        if self._gone is None:
            self._gone = asyncio.create_task(self._disconnected())
        return self._gone

    @property
    def is_gone(self) -> bool:
        """Whether a watched client has gone away."""
        return self._gone is not None and self._gone.done()

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client does."""
        if seconds < _WATCHED_PAUSE_S:
            if seconds > 0:
                await self._sleep(seconds)
            return
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({sleeping, self.watch()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    def close(self) -> None:
        """Stop watching."""
        if self._gone is not None:
            self._gone.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
