"""One Redis connection that all callers of a process share.

Commands issued in one turn of the event loop leave in one write, so that at load a round trip
costs next to nothing. A reply that does not come in time counts as Redis being down: the
connection is dropped, and until it is found again on the side, callers are told at once rather
than made to wait.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

CONNECT_TIMEOUT_S = 1.0
REPLY_TIMEOUT_S = 0.25
RETRY_AFTER_S = 0.25
WAITING_MAX = 20_000


class RedisDown(Exception):
    """Redis did not answer; the caller goes on without it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is and how to sign in."""

    host: str
    port: int
    username: str | None
    password: str | None
    database: int
    tls: bool

    @classmethod
    def from_url(cls, url: str) -> Address:
        """Reads redis:// and rediss:// addresses."""
        to = urlsplit(url)
        return cls(
            host=to.hostname or "127.0.0.1",
            port=to.port or 6379,
            username=unquote(to.username) if to.username else None,
            password=unquote(to.password) if to.password else None,
            database=int(to.path.strip("/") or 0),
            tls=to.scheme == "rediss",
        )


class RedisPipe:
    """A pipelined connection; ``send`` returns a future of the reply."""

    def __init__(self, url: str) -> None:
        self._address = Address.from_url(url)
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._down_until = 0.0
        self._is_down = False
        self._loop = asyncio.get_running_loop()
        self.trips = 0

    async def send(self, *command: bytes | str | int) -> Any:
        """The reply to one command.

        Raises ``RedisDown`` when there is no connection or no reply in time, and
        ``hiredis.ReplyError`` when Redis refuses the command.
        """
        connection = self._connection
        if connection is None or connection.lost:
            connection = await self._connect()
        self.trips += 1
        return await connection.send(command)

    async def _connect(self) -> _Connection:
        if self._connection is not None and self._connection.silent:
            self._is_down = True
            self._down_until = self._loop.time() + RETRY_AFTER_S
            self._connection = None
        if self._connecting is None:
            if self._loop.time() < self._down_until:
                raise RedisDown
            self._connecting = self._loop.create_task(self._open())
        if not self._is_down:
            # One caller's cancellation must not cancel the connection that others wait for.
            await asyncio.wait((self._connecting,), timeout=REPLY_TIMEOUT_S)
        connection = self._connection
        if connection is None or connection.lost:
            self._is_down = True
            raise RedisDown
        return connection

    async def _open(self) -> None:
        to = self._address
        connection = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self._loop),
                    to.host,
                    to.port,
                    ssl=ssl.create_default_context() if to.tls else None,
                )
                if to.password:
                    await connection.send(("AUTH", to.username or "default", to.password))
                # Also with database 0: what takes connections and never answers is down.
                await connection.send(("SELECT", to.database))
                self._connection = connection
                self._is_down = False
        except (OSError, TimeoutError, RedisDown, hiredis.ReplyError):
            self._connection = None
            self._is_down = True
            self._down_until = self._loop.time() + RETRY_AFTER_S
        finally:
            self._connecting = None
            if connection is not None and connection is not self._connection:
                connection.drop()

    def close(self) -> None:
        """Drops the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.drop()
            self._connection = None


class _Connection(asyncio.Protocol):
    """Pairs replies with commands in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False
        self.silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._watch = self._loop.call_later(REPLY_TIMEOUT_S / 2, self._check)

    def send(self, command: tuple[bytes | str | int, ...]) -> asyncio.Future[Any]:
        """Queues a command; the turn's commands leave together."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost or len(self._waiting) >= WAITING_MAX:
            future.set_exception(RedisDown())
            return future
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(cast(Any, command)))
        self._waiting.append((self._loop.time(), future))
        return future

    def _flush(self) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            _, future = self._waiting.popleft()
            if future.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def _check(self) -> None:
        """One timer for all replies, instead of one each."""
        if self._waiting and self._loop.time() - self._waiting[0][0] > REPLY_TIMEOUT_S:
            self.silent = True
            self.drop()
        elif not self.lost:
            self._watch = self._loop.call_later(REPLY_TIMEOUT_S / 2, self._check)

    def drop(self) -> None:
        """Ends the connection and tells everyone who waits."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(RedisDown())
