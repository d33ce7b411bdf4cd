"""The web process's HTTP: a call that came whole and one that comes in pieces, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from project.protocol import GatewayProtocol
from routing.incoming import Reply
from tests.routing.gateway_house import CHAT, COST_FIRST, House, firm, house, sandbox

__all__ = ["firm", "house", "sandbox"]
HELLO: dict[str, Any] = {
    "model": "sandbox-fast",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 20,
}
WAIT_S = 10.0


class Served:
    """The door behind a real socket; ``by_asgi`` counts what took the longer way."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.by_asgi = self.left = 0
        self.port = 0
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.by_asgi += 1
        if scope["path"].startswith("/v1/"):
            await self.runtime.door(scope, receive, send)
            return
        # A page that never ends by itself.
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"news", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left += 1


@asynccontextmanager
async def serve(runtime: Any, keep_alive_s: float = 60) -> AsyncIterator[Served]:
    app = Served(runtime)
    config = Config(
        app, lifespan="off", ws="none", access_log=False, log_config=None, proxy_headers=False
    )
    config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]
    state = ServerState()
    app.connections, app.tasks = state.connections, state.tasks
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: GatewayProtocol(config, state, {}), "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]
    try:
        yield app
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0.01)


@pytest.fixture
async def served(house: House) -> AsyncIterator[Served]:
    async with serve(house.runtime) as app:
        yield app


def request(house: House, body: Any = None, path: str = CHAT, **headers: str) -> bytes:
    """A POST as a client writes it."""
    raw = body if isinstance(body, bytes) else orjson.dumps(HELLO if body is None else body)
    named = {"content-length": str(len(raw)), **house.firm.auth, **COST_FIRST, **headers}
    lines = [f"POST {path} HTTP/1.1", "host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


class Client:
    """One connection, read answer by answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        for n, piece in enumerate(pieces):
            if n:
                await asyncio.sleep(0.02)
            self.writer.write(piece)
            await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(WAIT_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        async with asyncio.timeout(WAIT_S):
            if "content-length" in headers:
                return (
                    status,
                    headers,
                    await self.reader.readexactly(int(headers["content-length"])),
                )
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return status, headers, body

    async def is_closed(self) -> bool:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read(1) == b""


@asynccontextmanager
async def connected(app: Served) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_call_that_came_whole_never_meets_asgi(house: House, served: Served) -> None:
    async with connected(served) as client:
        for _ in range(3):
            await client.send(request(house))
            status, headers, body = await client.answer()
            assert status == 200
            assert headers["x-router-call-id"] == house.last["id"]
            assert orjson.loads(body)["choices"][0]["message"]["content"]
    assert served.by_asgi == 0
    assert house.runtime.door.open_calls == 0


async def test_a_stream_is_sent_in_chunks_to_its_end(house: House, served: Served) -> None:
    async with connected(served) as client:
        for _ in range(2):
            await client.send(request(house, HELLO | {"stream": True}))
            status, headers, body = await client.answer()
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
            assert body.endswith(b"data: [DONE]\n\n")
    assert served.by_asgi == 0


async def test_a_call_in_pieces_gets_the_same_answer(house: House, served: Served) -> None:
    raw = request(house)
    split = raw.index(b"\r\n\r\n") + 4
    whole: dict[str, Any] = {}
    for pieces in (
        [raw],
        [raw[:split], raw[split:]],
        [raw[:20], raw[20 : split + 9], raw[split + 9 :]],
    ):
        async with connected(served) as client:
            await client.send(*pieces)
            status, headers, body = await client.answer()
            told = {"status": status, "headers": sorted(headers), "keys": list(orjson.loads(body))}
            whole = whole or told
            assert told == whole
    assert served.by_asgi == 2


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no key": ({"authorization": ""}, 401, "missing_api_key"),
    "no JSON": ({"body": b"{nope"}, 400, "invalid_json"),
    "a compressed body": ({"content_encoding": "gzip"}, 415, "unsupported_encoding"),
    "a body over the limit": ({"body": b"x" * 200_001}, 413, "body_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_keeps_the_connection(house: House, served: Served, name: str) -> None:
    fields, status, code = REFUSED[name]
    async with connected(served) as client:
        if status == 413:
            # So long a body does not come in one read.
            fields = {"body": b"", "content-length": "200001"}
        await client.send(request(house, **fields))
        got, _, body = await client.answer()
        assert (got, orjson.loads(body)["error"]["code"]) == (status, code)
        if status != 413:
            await client.send(request(house))
            assert (await client.answer())[0] == 200


async def test_requests_sent_ahead_are_answered_in_their_order(
    house: House, served: Served
) -> None:
    bodies = [HELLO | {"model": name} for name in ("sandbox-fast", "nope", "sandbox-balanced")]
    async with connected(served) as client:
        await client.send(b"".join(request(house, body) for body in bodies))
        answers = [await client.answer() for _ in bodies]
    assert [status for status, _, _ in answers] == [200, 404, 200]
    assert orjson.loads(answers[2][2])["model"] == "sandbox-balanced"


async def test_the_connection_closes_when_the_client_asks_for_it(
    house: House, served: Served
) -> None:
    async with connected(served) as client:
        await client.send(request(house, connection="close"))
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_an_older_client_and_one_that_waits_for_leave_are_served(
    house: House, served: Served
) -> None:
    async with connected(served) as client:
        await client.send(request(house).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert (await client.answer())[0] == 200
        assert await client.is_closed()
    async with connected(served) as client:
        raw = request(house, expect="100-continue")
        split = raw.index(b"\r\n\r\n") + 4
        await client.send(raw[:split])
        assert (await client.head())[0] == 100
        await client.send(raw[split:])
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_call_at_once(
    house: House, served: Served, stream: bool
) -> None:
    await house.fault(
        "sandbox-fast",
        tokens=400,
        ms_per_token=20 if stream else 0,
        latency_ms=30_000 * (not stream),
    )
    async with connected(served) as client:
        await client.send(request(house, HELLO | {"stream": stream, "max_tokens": 400}))
        if stream:
            await client.head()
        else:
            await until(lambda: house.runtime.upstream._connections)
            await asyncio.sleep(0.05)
    await until(lambda: house.written())
    assert (house.last["status"], house.last["error_code"]) == (499, "client_left")
    await until(lambda: not house.runtime.upstream._connections)
    assert house.runtime.door.open_calls == 0


async def test_no_header_can_break_out_of_its_line(
    house: House, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(*_: Any) -> Reply:
        return Reply(200, [(b"x-router-model", b"a\r\nset-cookie: b=c")], b"{}")

    monkeypatch.setattr(house.runtime.door, "call", answers)
    async with connected(served) as client:
        await client.send(request(house))
        status, headers, body = await client.answer()
    assert (status, body) == (500, b"Internal Server Error")
    assert "set-cookie" not in headers


async def test_a_bug_ends_the_connection_and_not_the_process(
    house: House, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Reply:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(house.runtime.door, "call", fails)
        async with connected(served) as client:
            await client.send(request(house))
            assert await client.is_closed()
    async with connected(served) as client:
        await client.send(request(house))
        assert (await client.answer())[0] == 200


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(house: House) -> None:
    await house.fault("sandbox-fast", latency_ms=600)
    async with serve(house.runtime, keep_alive_s=0.2) as app, connected(app) as client:
        await client.send(request(house))
        assert (await client.answer())[0] == 200
        assert await client.is_closed()


async def test_a_server_that_stops_lets_the_running_call_finish(
    house: House, served: Served
) -> None:
    await house.fault("sandbox-fast", latency_ms=300)
    async with connected(served) as client:
        await client.send(request(house))
        await until(lambda: house.runtime.door.open_calls)
        for connection in served.connections:
            connection.shutdown()
        assert (await client.answer())[0] == 200
        assert await client.is_closed()


async def test_a_page_that_waits_for_news_does_not_keep_the_server_from_stopping(
    house: House, served: Served
) -> None:
    async with connected(served) as news, connected(served) as download:
        for client, accepts in ((news, "text/event-stream"), (download, "*/*")):
            await client.send(
                f"GET /requests/live HTTP/1.1\r\nhost: x\r\naccept: {accepts}\r\n\r\n".encode()
            )
            assert (await client.head())[0] == 200
        for connection in list(served.connections):
            connection.shutdown()
        await until(lambda: served.left)
        await asyncio.sleep(0.05)
        assert (served.left, len(served.connections)) == (1, 1)


async def test_a_head_without_end_is_refused(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nx-long: ")
    answer = asyncio.ensure_future(reader.read(64))
    for _ in range(200):
        if answer.done():
            break
        writer.write(b"x" * 1024)
        await asyncio.sleep(0.002)
    assert (await asyncio.wait_for(answer, WAIT_S)).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_what_follows_a_body_is_no_header(house: House) -> None:
    async with serve(house.runtime) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        late = b"authorization: Bearer " + house.firm.key.secret.encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
            b"connection: close\r\n\r\n2\r\n{}\r\n0\r\n" + late + b"\r\n\r\n"
        )
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401")
