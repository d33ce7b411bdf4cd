"""Providers that break the protocol, stall or send too much, and callers that give up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from routing.upstream import Limits, Upstream

from .provider_server import LOOPS, OK, Exchange, always, failure, provider, run_on

Run = Callable[[Coroutine[Any, Any, None]], None]

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
LONG = HEAD + b"content-length: 100\r\n\r\n"


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_on(LOOPS[request.param], scenario)


async def hang(exchange: Exchange) -> None:
    await exchange.until_closed()


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nabc",
        HEAD + b"x" * 70_000 + b": 1\r\n\r\n",
        HEAD + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
        HEAD + b"".join(b"x-%d: 1\r\n" % i for i in range(201)) + b"content-length: 0\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        HEAD + b"content-length: -2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    ],
    ids=lambda reply: repr(reply[:40]),
)
@pytest.mark.parametrize("is_split", [False, True])
def test_a_head_that_is_not_one_is_a_protocol_error(run: Run, reply: bytes, is_split: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        if is_split:
            await exchange.send_slowly(reply[:10], reply[10:60_000], reply[60_000:])
        else:
            await exchange.send(reply)
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            error = await failure(upstream.send(seen.target(), b"{}"))
            assert (error.kind, error.phase, error.sent) == ("protocol", "first_byte", True)
            await seen.until(lambda: len(seen.closed_at) == 1)

    run(scenario())


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\n",
        b"2\r\nokx",
        b"2\r\nok\r\n0\r\nx-trailer: " + b"y" * 2_000_000,
        b"2\r\nok\r\n2;" + b"e" * 2_000_000,
    ],
    ids=["size", "end", "trailers", "extension"],
)
def test_a_body_that_breaks_its_framing_is_a_protocol_error(run: Run, rest: bytes) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send_slowly(CHUNKED + b"1\r\na\r\n", rest)
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}")
            error = await failure(response.read(1_000))
            assert (error.kind, error.phase) == ("protocol", "body")
            assert not response.complete
            await seen.until(lambda: len(seen.closed_at) == 1)

    run(scenario())


@pytest.mark.parametrize(
    "reply", [LONG + b"some", CHUNKED + b"4\r\nsome\r\n", CHUNKED + b"9\r\nsome"]
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_cut_body_is_never_taken_for_a_whole_one(run: Run, reply: bytes, is_whole: bool) -> None:
    async def answer(exchange: Exchange) -> bool:
        await exchange.send(reply)
        return True

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}")
            if not is_whole:
                assert await response.chunk() == b"some"
            error = await failure(response.read(1_000) if is_whole else response.chunk())
            assert (error.kind, error.phase, error.sent) == ("reset", "body", True)
            assert not response.complete

    run(scenario())


@pytest.mark.parametrize(
    "drip", [b"", b"HTTP/1.1 200 OK\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]
)
def test_the_first_byte_has_a_deadline_that_a_drip_does_not_move(run: Run, drip: bytes) -> None:
    async def answer(exchange: Exchange) -> None:
        for at in range(len(drip)):
            await exchange.send(drip[at : at + 1])
            await asyncio.sleep(0.02)
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            started_at = time.monotonic()
            error = await failure(upstream.send(seen.target(), b"{}", first_byte_timeout_s=0.2))
            assert (error.kind, error.phase, error.sent) == ("timeout", "first_byte", True)
            assert 0.19 < time.monotonic() - started_at < 0.6
            await seen.until(lambda: len(seen.closed_at) == 1)

    run(scenario())


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_body_may_be_slow_but_not_stand_still(run: Run, is_whole: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(LONG)
        for _ in range(8):
            await asyncio.sleep(0.1)
            await exchange.send(b"x")
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}", idle_timeout_s=0.3)
            started_at = time.monotonic()
            if not is_whole:
                for _ in range(8):
                    assert await response.chunk() == b"x"
            error = await failure(response.read(1_000) if is_whole else response.chunk())
            assert (error.kind, error.phase) == ("timeout", "body")
            assert 1.0 < time.monotonic() - started_at < 1.6

    run(scenario())


@pytest.mark.parametrize(
    "reply",
    [
        LONG,
        LONG + b"x" * 100,
        CHUNKED + b"20\r\n" + b"x" * 32 + b"\r\n0\r\n\r\n",
        HEAD + b"\r\n" + b"x" * 32,
    ],
    ids=["announced", "whole", "chunked", "until the end"],
)
@pytest.mark.parametrize("is_split", [True, False])
def test_a_body_above_the_bound_is_refused(run: Run, reply: bytes, is_split: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        middle = reply.index(b"\r\n\r\n") + 10 if is_split else len(reply)
        await exchange.send_slowly(reply[:middle], reply[middle:])
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}")
            error = await failure(response.read(31))
            assert (error.kind, error.phase) == ("too_large", "body")
            assert "31 bytes" in str(error)
            await upstream.close()

    run(scenario())


@pytest.mark.parametrize("moment", ["dialling", "head", "read", "chunk"])
def test_a_cancelled_call_closes_its_connection_at_once(
    run: Run, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(exchange: Exchange) -> None:
        if moment != "head":
            await exchange.send(LONG)
        await exchange.until_closed()

    async def scenario() -> None:
        asked = asyncio.Event()

        async def resolve(host: str, port: int) -> list[str]:
            asked.set()
            await asyncio.sleep(0.3 if moment == "dialling" else 0)
            return ["127.0.0.1"]

        upstream = Upstream(resolve=resolve)

        async def work(response_came: asyncio.Event) -> None:
            response = await upstream.send(seen.target(), b"{}")
            response_came.set()
            await (response.read(1_000) if moment == "read" else response.chunk())

        async with provider(answer) as seen:
            came = asyncio.Event()
            task = asyncio.create_task(work(came))
            await asked.wait()
            if moment == "head":
                await seen.until(lambda: len(seen.exchanges) == 1)
            elif moment != "dialling":
                await came.wait()
            await asyncio.sleep(0.01)
            cancelled_at = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if moment == "dialling":
                assert seen.connections == 0
                await asyncio.sleep(0.35)
            else:
                await seen.until(lambda: len(seen.closed_at) == 1)
                assert seen.closed_at[0] - cancelled_at < 0.1
            # Nothing is counted as taken any more.
            assert not upstream._pools
            assert not upstream._connections
            await upstream.close()

    run(scenario())


def test_cancelling_many_at_any_moment_leaves_nothing(run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send_slowly(LONG, b"x" * 50, b"x" * 50)

    async def scenario() -> None:
        upstream = Upstream()

        async def work() -> None:
            response = await upstream.send(seen.target(), b"{}")
            assert len(await response.read(100)) == 100

        async with provider(answer) as seen:
            for turn in range(40):
                tasks = [asyncio.create_task(work()) for _ in range(8)]
                await asyncio.sleep(turn * 0.0003)
                for task in tasks[::2]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert results[1::2] == [None] * 4
            await asyncio.sleep(0.02)
            [pool] = upstream._pools.values()
            assert pool.taken_or_free == len(pool.free) == len(upstream._connections) <= 8
            await upstream.close()

    run(scenario())


def test_an_aborted_answer_closes_the_connection_and_says_so(run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(LONG + b"x")
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}")
            reading = asyncio.create_task(failure(response.read(1_000)))
            await asyncio.sleep(0)
            aborted_at = time.monotonic()
            response.abort()
            response.abort()
            assert (await reading).kind == "reset"
            await seen.until(lambda: len(seen.closed_at) == 1)
            assert seen.closed_at[0] - aborted_at < 0.1

    run(scenario())


def test_aborting_a_whole_answer_does_no_harm(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            first = await upstream.send(seen.target(), b"{}")
            assert first.complete
            second = await upstream.send(seen.target(), b"{}")
            first.abort()
            assert await second.read(2) == await first.read(2) == b"ok"
            assert seen.connections == 1
            await upstream.close()

    run(scenario())


def test_a_slow_reader_slows_the_provider_and_not_the_memory(run: Run) -> None:
    size = 100_000_000
    written = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal written
        written = 0
        await exchange.send(HEAD + b"content-length: %d\r\n\r\n" % size)
        piece = bytes(1_000_000)
        while written < size:
            await exchange.send(piece)
            written += len(piece)

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}", idle_timeout_s=0.2)
            await asyncio.sleep(0.6)
            # What the kernel's buffers take is not ours; a reader's pause is not the provider's.
            assert written < 30_000_000
            assert response.size < 600_000
            total = longest = 0
            while piece := await response.chunk():
                total += len(piece)
                longest = max(longest, len(piece))
                await asyncio.sleep(0)
            assert (total, response.complete) == (size, True)
            assert longest < 600_000
            assert len(await (await upstream.send(seen.target(), b"{}")).read(size)) == size
            assert seen.connections == 1
            await upstream.close()

    run(scenario())


def test_a_reader_that_never_comes_back_is_given_up(run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(HEAD + b"content-length: 30000000\r\n\r\n")
        await exchange.send(bytes(30_000_000))

    async def scenario() -> None:
        upstream = Upstream(limits=Limits(stalled_s=0.2))
        async with provider(answer) as seen:
            response = await upstream.send(seen.target(), b"{}")
            await seen.until(lambda: len(seen.closed_at) == 1)
            assert len(await response.chunk()) < 600_000
            error = await failure(response.chunk())
            assert (error.kind, error.phase) == ("timeout", "body")

    run(scenario())
