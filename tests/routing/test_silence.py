"""Calls that end for reasons of time: a provider that only keeps awake, a process that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from routing import attempt, compiler
from tests.routing.gateway_house import House, _serve, firm, house, in_database, sandbox
from tests.routing.test_protocol import HELLO, Client, Served, connected, request, serve, until

__all__ = ["firm", "house", "sandbox"]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@pytest.fixture
async def awake() -> AsyncIterator[str]:
    """A provider that answers with comments for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        with suppress(ConnectionError):
            while True:
                writer.write(b": still thinking\n\n")
                await writer.drain()
                await asyncio.sleep(0.02)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_provider_that_only_says_that_it_is_awake_is_left(
    house: House, awake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_database(_serve, house.firm.organization, "awake", awake, model="awake")
    monkeypatch.setattr(attempt, "FIRST_CONTENT_TIMEOUT_S", 0.3)
    answer = await house.chat("awake", stream=True)
    assert (answer.status, answer.code) == (504, "upstream_timeout")
    assert house.last["status"] == 504
    # The provider said nothing, so its attempt has no status.
    tried, *_ = house.last["decision"]["attempts"]
    assert (tried["status"], tried["error"]) == (0, "upstream_timeout")
    await until(lambda: not house.runtime.upstream._connections)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_a_stopping_process_cuts_off_is_not_laid_on_its_client(
    house: House, stream: bool
) -> None:
    await house.fault("sandbox-fast", tokens=400, ms_per_token=20)
    async with serve(house.runtime) as app, connected(app) as client:
        await _begin(house, app, client, stream)
        (task,) = app.tasks
        task.cancel("the grace is over")
        await asyncio.wait([task])
    assert (house.last["status"], house.last["error_code"]) == (503, "router_stopped")
    assert house.last["cost_nano"] > 0


async def _begin(house: House, app: Served, client: Client, stream: bool) -> None:
    await client.send(request(house, HELLO | {"stream": stream, "max_tokens": 400}))
    if stream:
        await client.head()
    while not house.runtime.upstream._connections:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_a_listed_price_that_changes_with_the_hour_is_read_again_then(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def soon(preset: str, model: str, *, at: datetime) -> Any:
        return datetime.fromtimestamp(at.timestamp() + 0.2, at.tzinfo)

    await house.chat("nope")
    store = house.runtime.store
    organization_id = house.firm.organization.id.hex
    before = store.of(organization_id)
    assert before is not None
    assert before.prices_end_s == float("inf")
    monkeypatch.setattr(compiler, "next_change", soon)
    await store.reload(organization_id)
    changing = store.of(organization_id)
    await store.catch_up()
    assert store.of(organization_id) is changing
    await asyncio.sleep(0.25)
    await store.catch_up()
    assert store.of(organization_id) is not changing
