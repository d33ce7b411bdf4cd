"""The answer of a provider as the gateway reads it, and the error that stands for none."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

Kind = Literal[
    "connect",
    "dns",
    "forbidden_address",
    "tls",
    "timeout",
    "reset",
    "protocol",
    "too_large",
    "busy",
]
Phase = Literal["connect", "first_byte", "body"]


class UpstreamError(Exception):
    """A call that brought no whole answer: what happened, when, and if it may have arrived.

    `sent` is False only if no byte of the request can have reached the provider. The message
    holds host names, never credentials or bodies.
    """

    def __init__(self, message: str, *, kind: Kind, phase: Phase, sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.phase = phase
        self.sent = sent


class Source(Protocol):
    """The connection that an answer comes by, as its reader needs it."""

    loop: asyncio.AbstractEventLoop

    def resume(self) -> None:
        """Let more of the body come."""

    def too_large(self) -> None:
        """Give the call up: its body is over the bound."""

    def fail(self, message: str, *, kind: Kind) -> None:
        """Give the call up for another reason."""


class Response:
    """The answer of a provider: its head is here, its body comes in pieces.

    Read it to its end or `abort` it, or its connection stays taken until a timeout. One task
    reads. Of a header that is there twice the last one counts.
    """

    __slots__ = (
        "_waiter",
        "complete",
        "connection",
        "error",
        "headers",
        "is_whole",
        "parts",
        "size",
        "size_max",
        "status",
    )

    def __init__(self, size_max: int) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self.connection: Source | None = None
        self.error: UpstreamError | None = None
        self.parts: list[bytes] = []
        self.size = 0
        self.size_max = size_max
        self._waiter: asyncio.Future[None] | None = None
        self.is_whole = False

    async def head(self) -> None:
        """Wait until `status` and `headers` are there. Raises UpstreamError."""
        if self.connection is not None:
            await self._wait(self.connection)
        if self.status == 0 and self.error is not None:
            raise self.error

    async def read(self, bytes_max: int) -> bytes:
        """Return the rest of the body whole; above `bytes_max` UpstreamError "too_large"."""
        connection = self.connection
        self.size_max = bytes_max
        if connection is not None:
            self.is_whole = True
            if self.size > bytes_max or self._length() > bytes_max:
                connection.too_large()
            else:
                connection.resume()
                await self._wait(connection)
        if self.error is not None:
            raise self.error
        if self.size > bytes_max:
            raise self.too_large()
        return self._take()

    async def chunk(self) -> bytes:
        """Return all that has come since the last call; b"" at the end.

        Raises UpstreamError "reset" or "timeout" when the body was cut, after what had come.
        """
        if not self.parts and self.connection is not None:
            await self._wait(self.connection)
        if self.parts:
            body = self._take()
            if self.connection is not None:
                self.connection.resume()
            return body
        if self.error is not None:
            raise self.error
        return b""

    def abort(self) -> None:
        """Close the connection at once; the provider sees that nobody waits any more."""
        if self.connection is not None:
            self.connection.fail("The call was given up here", kind="reset")

    async def _wait(self, connection: Source) -> None:
        self._waiter = waiter = connection.loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def wake(self) -> None:
        """Let the reading task go on."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _take(self) -> bytes:
        parts = self.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        return body

    def _length(self) -> int:
        length = self.headers.get(b"content-length")
        return int(length) if length is not None and not self.complete else 0

    def too_large(self) -> UpstreamError:
        """Return the error for a body above `size_max`."""
        return UpstreamError(
            f"The answer is larger than {self.size_max:,} bytes",
            kind="too_large",
            phase="body",
            sent=True,
        )
