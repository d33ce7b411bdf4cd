"""A provider over real sockets whose behaviour a test scripts, and loops to meet it on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop

from routing.upstream import Target, UpstreamError

LOOPBACK = (ip_network("127.0.0.0/8"),)
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Exchange:
    """One request as the provider got it, and the socket to answer on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int
    number: int
    head: bytes
    body: bytes

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():  # uvloop raises a RuntimeError then
            raise ConnectionError("closed")
        self.writer.write(data)
        await self.writer.drain()

    async def send_slowly(self, *pieces: bytes) -> None:
        """Send pieces so that each arrives as a read of its own."""
        for piece in pieces:
            await self.send(piece)
            await asyncio.sleep(0.002)

    async def until_closed(self) -> None:
        """Return when the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass


@dataclass
class Provider:
    """What the provider saw."""

    port: int = 0
    connections: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    closed_at: list[float] = field(default_factory=list)

    def target(self, **changes: Any) -> Target:
        values: dict[str, Any] = {
            "scheme": "http",
            "host": "127.0.0.1",
            "port": self.port,
            "path": "/v1/chat/completions",
            "headers": ((b"authorization", b"Bearer secret"),),
            "allowed_networks": LOOPBACK,
        }
        return Target(**(values | changes))

    async def until(self, fact: Callable[[], bool], *, timeout_s: float = 2.0) -> None:
        """Wait for something that the provider will see."""
        async with asyncio.timeout(timeout_s):
            while not fact():  # noqa: ASYNC110 - what the far end of a socket saw
                await asyncio.sleep(0.002)


Answer = Callable[[Exchange], Awaitable[bool | None]]


def always(reply: bytes) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(reply)

    return answer


async def failure(call: Awaitable[Any]) -> UpstreamError:
    """Return the error with which a call fails."""
    with pytest.raises(UpstreamError) as caught:
        await call
    assert "secret" not in str(caught.value)
    return caught.value


@contextlib.asynccontextmanager
async def provider(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """Serve on loopback; an answer that returns True closes its connection."""
    seen = Provider()
    serving: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving[task] = writer
        seen.connections += 1
        connection, number = seen.connections, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                number += 1
                exchange = Exchange(reader, writer, connection, number, head, b"")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                if b"x-unread" not in head:
                    exchange.body = await reader.readexactly(int(length or 0))
                seen.exchanges.append(exchange)
                if await answer(exchange):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            seen.closed_at.append(time.monotonic())
            del serving[task]
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**20)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for writer in serving.values():
            writer.transport.abort()
        await asyncio.gather(*serving)
        await asyncio.sleep(0.01)


def run_on(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]
) -> None:
    """Run a scenario; whatever the loop would have logged fails the test."""
    noise: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        await scenario
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        gc.collect()

    # What is older than the scenario need not be searched for its garbage: that is most of a test.
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(watched())
        gc.collect()
    finally:
        gc.unfreeze()
    assert not noise, noise
