"""The fixed-reply upstream where nginx is not at hand: python -m bench.fixed_server PORT…"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

from bench import replies

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
_served = 0


def _frames() -> list[bytes]:
    """The server-sent events, each as one chunk of HTTP, and the chunk that ends them."""
    told = [f"data: {event}\n\n".encode() for event in replies.events()]
    return [b"%x\r\n%s\r\n" % (len(event), event) for event in told] + [b"0\r\n\r\n"]


class _Connection(asyncio.Protocol):
    """Answers each request of one connection; only its length is looked at."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._unread = b""
        self._pacing: asyncio.Task[None] | None = None
        mime = replies.MIME[kind].encode()
        if kind == "json":
            body = replies.completion().encode()
            self._whole = _OK % mime + b"content-length: %d\r\n\r\n%s" % (len(body), body)
        self._head = _OK % mime + b"transfer-encoding: chunked\r\n\r\n"
        self._chunks = _frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _why: Exception | None) -> None:
        if self._pacing is not None:
            self._pacing.cancel()

    def data_received(self, data: bytes) -> None:
        global _served
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._unread, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._unread) < size:
                return
            self._unread = self._unread[size:]
            _served += 1
            self._answer()

    def _answer(self) -> None:
        if self._kind == "json":
            self._transport.write(self._whole)
        elif self._kind == "stream":
            self._transport.write(self._head)
            for chunk in self._chunks:
                self._transport.write(chunk)
        else:
            self._pacing = asyncio.ensure_future(self._pace())

    async def _pace(self) -> None:
        self._transport.write(self._head)
        *chunks, end = self._chunks
        for chunk in chunks[:-1]:
            self._transport.write(chunk)
            await asyncio.sleep(replies.PACE_S)
        self._transport.write(chunks[-1] + end)


class _Count(asyncio.Protocol):
    """Tells how many requests were answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        body = str(_served).encode()
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer = cast("asyncio.Transport", transport)
        writer.write(head + body)
        writer.close()


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for kind, port in zip(replies.KINDS, ports, strict=False):
        await loop.create_server(
            lambda kind=kind: _Connection(kind), "127.0.0.1", port, backlog=4096
        )
    await loop.create_server(_Count, "127.0.0.1", ports[-1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve([int(word) for word in sys.argv[1:]]))
