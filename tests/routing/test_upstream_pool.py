"""Kept connections: which are used again, which never, how many, and what stays behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from routing.upstream import Limits, Target, Upstream

from .provider_server import LOOPS, OK, Exchange, always, failure, provider, run_on

Run = Callable[[Coroutine[Any, Any, None]], None]

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_on(LOOPS[request.param], scenario)


async def call(upstream: Upstream, target: Target, **options: Any) -> bytes:
    response = await upstream.send(target, b"{}", **options)
    return await response.read(1_000_000)


def test_a_connection_is_used_again_and_the_youngest_first(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            await asyncio.gather(*(call(upstream, seen.target()) for _ in range(5)))
            assert seen.connections == 5
            for _ in range(20):
                assert await call(upstream, seen.target()) == b"ok"
            assert seen.connections == 5
            assert len({exchange.connection for exchange in seen.exchanges[5:]}) == 1
            await upstream.close()

    run(scenario())


def test_an_idle_connection_is_closed_after_its_time(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream(limits=Limits(keepalive_s=0.1))
        async with provider(always(OK)) as seen:
            await call(upstream, seen.target())
            await seen.until(lambda: len(seen.closed_at) == 1)
            await call(upstream, seen.target())
            assert seen.connections == 2
            await upstream.close()

    run(scenario())


def test_a_connection_that_the_provider_closed_is_not_used(run: Run) -> None:
    async def answer(exchange: Exchange) -> bool:
        await exchange.send(OK)
        return True

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            for _ in range(3):
                assert await call(upstream, seen.target()) == b"ok"
                await asyncio.sleep(0.02)
            assert (seen.connections, len(seen.exchanges)) == (3, 3)
            await upstream.close()

    run(scenario())


def test_a_connection_that_closes_is_forgotten_and_not_used(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            await asyncio.gather(*(call(upstream, seen.target()) for _ in range(2)))
            [pool] = upstream._pools.values()
            pool.free[-1].close()
            # The loop has not yet said that it is gone.
            assert await call(upstream, seen.target()) == b"ok"
            await asyncio.sleep(0.01)
            assert pool.taken_or_free == len(pool.free) == 1
            seen.exchanges[0].writer.close()
            seen.exchanges[1].writer.close()
            await asyncio.sleep(0.02)
            assert not pool.free
            assert not upstream._pools
            await upstream.close()

    run(scenario())


def test_a_connection_closed_as_it_opens_is_an_error_and_counted_once(run: Run) -> None:
    class Closing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async def scenario() -> None:
        server = await asyncio.get_running_loop().create_server(Closing, "127.0.0.1", 0)
        async with provider(always(OK)) as unused:
            target = unused.target(port=server.sockets[0].getsockname()[1])
        upstream = Upstream()
        for count in (1, 1, 20):
            calls = [failure(call(upstream, target)) for _ in range(count)]
            assert {error.kind for error in await asyncio.gather(*calls)} == {"reset"}
        await asyncio.sleep(0.01)
        assert not upstream._pools
        assert not upstream._connections
        server.close()
        await upstream.close()

    run(scenario())


@pytest.mark.parametrize(
    ("dying", "connections"), [((1,), 2), ((1, 2), 2)], ids=["heals", "dies twice"]
)
def test_a_stale_connection_is_replaced_once(
    run: Run, dying: tuple[int, ...], connections: int
) -> None:
    async def answer(exchange: Exchange) -> bool:
        # The first request is answered; what comes next on a dying connection is not.
        if exchange.connection in dying and (exchange.connection > 1 or exchange.number > 1):
            return True
        await exchange.send(OK)
        return False

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            await call(upstream, seen.target())
            if dying == (1,):
                assert await call(upstream, seen.target()) == b"ok"
            else:
                error = await failure(call(upstream, seen.target()))
                assert (error.kind, error.phase, error.sent) == ("reset", "first_byte", True)
            assert seen.connections == connections
            await upstream.close()

    run(scenario())


@pytest.mark.parametrize("how", ["fresh", "answered a byte", "worked on it"])
def test_a_request_that_may_have_been_worked_on_is_not_sent_again(
    run: Run, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.http1.STALE_S", 0.05)

    async def answer(exchange: Exchange) -> bool:
        if how != "fresh" and exchange.number == 1:
            await exchange.send(OK)
            return False
        if how == "answered a byte":
            await exchange.send(b"H")
        if how == "worked on it":
            await asyncio.sleep(0.1)
        return True

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            if how != "fresh":
                await call(upstream, seen.target())
            error = await failure(call(upstream, seen.target()))
            assert (error.kind, error.phase, error.sent) == ("reset", "first_byte", True)
            assert seen.connections == 1
            await upstream.close()

    run(scenario())


@pytest.mark.parametrize("surplus", [OK, b"HTTP/1.1 2", b"garbage", b"\r\nHTTP/1.1"])
@pytest.mark.parametrize("when", ["with the answer", "later"])
def test_an_answer_that_nobody_asked_for_reaches_nobody(
    run: Run, surplus: bytes, when: str
) -> None:
    async def answer(exchange: Exchange) -> None:
        reply = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % exchange.connection
        if when == "later":
            await exchange.send(reply)
            await asyncio.sleep(0.01)
            await exchange.send(surplus)
        else:
            await exchange.send(reply + surplus)

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            for number in (b"1", b"2", b"3"):
                assert await call(upstream, seen.target()) == number
                await asyncio.sleep(0.03)
            await upstream.close()

    run(scenario())


def test_connections_to_one_origin_are_bounded(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream(limits=Limits(connections_max=2))
        async with provider(always(HEAD + b"\r\n")) as seen:
            first, second = [await upstream.send(seen.target(), b"") for _ in range(2)]
            error = await failure(call(upstream, seen.target()))
            assert (error.kind, error.phase, error.sent) == ("busy", "connect", False)
            assert "2 connections" in str(error)
            first.abort()
            await asyncio.sleep(0.01)
            third = await upstream.send(seen.target(), b"")
            second.abort()
            third.abort()
            assert seen.connections == 3
            await upstream.close()

    run(scenario())


def test_nothing_is_left_behind(run: Run) -> None:
    class Fast(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(OK)  # type: ignore[attr-defined]

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Fast, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with provider(always(OK)) as unused:
            target = unused.target(port=port)
        upstream = Upstream()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10_000):
            response = await upstream.send(target, b"{}")
            assert await response.read(2) == b"ok"
        assert len(os.listdir("/proc/self/fd")) == before + 2
        bodies = await asyncio.gather(*(call(upstream, target) for _ in range(200)))
        assert bodies == [b"ok"] * 200
        assert len(asyncio.all_tasks()) == 1
        await upstream.close()
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) == before
        server.close()

    run(scenario())


def test_closing_ends_calls_that_still_run(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(lambda exchange: exchange.until_closed()) as seen:
            task = asyncio.create_task(failure(call(upstream, seen.target())))
            await seen.until(lambda: len(seen.exchanges) == 1)
            started_at = time.monotonic()
            await upstream.close()
            assert (await task).kind == "reset"
            await seen.until(lambda: len(seen.closed_at) == 1)
            assert time.monotonic() - started_at < 0.1

    run(scenario())
