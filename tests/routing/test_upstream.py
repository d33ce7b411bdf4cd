"""What a call sends, and bodies in every framing."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from routing.upstream import Response, Target, Upstream

from .provider_server import LOOPS, OK, Exchange, always, provider, run_on

Run = Callable[[Coroutine[Any, Any, None]], None]

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_on(LOOPS[request.param], scenario)


async def call(upstream: Upstream, target: Target, **options: Any) -> bytes:
    response = await upstream.send(target, b"{}", **options)
    return await response.read(1_000_000)


async def pieces(response: Response) -> bytes:
    body = b""
    while piece := await response.chunk():
        body += piece
    return body


def test_the_request_is_what_the_target_says(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            response = await upstream.send(
                seen.target(), b'{"a":1}', extra_headers=b"x-request-id: 7\r\n"
            )
            assert (response.status, response.headers) == (200, {b"content-length": b"2"})
            assert await response.read(2) == b"ok"
            assert response.complete
            await call(upstream, seen.target(path="/v1/models?a=b"), method=b"GET")
            big = os.urandom(3_000_000)
            await (await upstream.send(seen.target(), big)).read(2)
            await upstream.close()
        first, second, third = seen.exchanges
        assert first.body == b'{"a":1}'
        assert first.head == (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
            b"accept-encoding: identity\r\nuser-agent: enterprise-router\r\n"
            b"authorization: Bearer secret\r\nx-request-id: 7\r\ncontent-length: 7\r\n\r\n"
        ) % (seen.port,)
        assert second.head.startswith(b"GET /v1/models?a=b HTTP/1.1\r\n")
        assert third.body == big

    run(scenario())


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "ftp"},
        {"host": "a b"},
        {"host": "a\r\nx: y"},
        {"host": "user@a"},
        {"port": 0},
        {"path": "v1"},
        {"path": "/a b"},
        {"path": "/a\r\nx: y"},
        {"headers": ((b"x", b"a\r\ny: b"),)},
        {"headers": ((b"x y", b"a"),)},
        {"headers": ((b"Transfer-Encoding", b"chunked"),)},
    ],
)
def test_a_target_that_would_forge_a_request_is_refused(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "scheme": "https",
        "host": "api.test",
        "port": 443,
        "path": "/v1",
        "headers": ((b"authorization", b"Bearer secret"),),
    }
    target = Target(**values)
    assert "secret" not in repr(target)
    assert target.head.startswith(b" /v1 HTTP/1.1\r\nhost: api.test\r\n")
    with pytest.raises(ValueError, match=r"."):
        Target(**(values | changes))


@pytest.mark.parametrize("extra", [b"x: y", b"x: y\r\n\r\nGET /", b"x: y\r\n\r\n"])
def test_extra_headers_are_whole_lines(run: Run, extra: bytes) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            with pytest.raises(ValueError, match="whole lines"):
                await upstream.send(seen.target(), b"", extra_headers=extra)
        assert seen.connections == 0

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (HEAD + b"content-length: 5\r\n\r\nhello", 200, b"hello"),
        (HEAD + b"content-length: 0\r\n\r\n", 200, b""),
        (CHUNKED + b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nx-trailer: 1\r\n\r\n", 200, b"hello!"),
        (CHUNKED.replace(b"chunked", b"Chunked") + b"1\r\na\r\n0\r\n\r\n", 200, b"a"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK, 200, b"ok"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            302,
            b"",
        ),
        (b"HTTP/1.1 529 Busy\r\nRetry-After: 3\r\ncontent-length: 1\r\n\r\nx", 529, b"x"),
    ],
)
def test_bodies_are_whole_wherever_the_bytes_are_split(
    run: Run, reply: bytes, status: int, body: bytes
) -> None:
    async def answer(exchange: Exchange) -> None:
        # The last request gets every byte on its own.
        at = exchange.number
        if at < len(reply):
            await exchange.send_slowly(reply[:at], reply[at:])
        else:
            await exchange.send_slowly(*(reply[i : i + 1] for i in range(len(reply))))

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            for number in range(len(reply)):
                response = await upstream.send(seen.target(), b"{}")
                got = await (pieces(response) if number % 2 else response.read(100))
                assert (response.status, got, response.complete) == (status, body, True)
                assert b"link" not in response.headers
            if status == 529:
                assert response.headers[b"retry-after"] == b"3"
            assert seen.connections == 1
            await upstream.close()

    run(scenario())


@pytest.mark.parametrize("reply", [HEAD + b"\r\nhello", b"HTTP/1.0 200 OK\r\n\r\nhello"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_body_may_last_until_the_connection_ends(run: Run, reply: bytes, is_whole: bool) -> None:
    async def answer(exchange: Exchange) -> bool:
        await exchange.send_slowly(reply[:-3], reply[-3:])
        return True

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            for _ in range(2):
                response = await upstream.send(seen.target(), b"{}")
                assert await (response.read(5) if is_whole else pieces(response)) == b"hello"
                assert response.complete
            assert seen.connections == 2
            await upstream.close()

    run(scenario())


def test_an_answer_before_the_request_was_read_costs_the_connection(run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await exchange.until_closed()

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(answer) as seen:
            for _ in range(2):
                response = await upstream.send(
                    seen.target(), bytes(30_000_000), extra_headers=b"x-unread: 1\r\n"
                )
                assert response.status == 413
                assert await response.read(10) == b""
            assert seen.connections == 2
            await upstream.close()

    run(scenario())
