"""Live numbers in a real Redis: breakers, rests, percentiles, epochs, and Redis being away."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import pytest

from routing.live import Admission, Live
from routing.model import HEALTHY, Health
from routing.redis_pipe import Address, RedisPipe
from tenancy.core import live_key

URL = os.environ.get("REDIS_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="REDIS_URL is not set")


class House:
    """One organization's live numbers, seen through one process's ``Live``."""

    def __init__(self, url: str = URL) -> None:
        self.key = live_key(uuid4().hex)
        self.pipe = RedisPipe(url)
        self.live = Live(self.pipe)

    async def admit(self, *ids: str, later_ms: int = 0) -> Admission:
        return await self.live.admit(self.key, ids, now_ms() + later_ms)

    async def health(self, id: str = "d", later_ms: int = 0) -> Health:
        return (await self.admit(id, later_ms=later_ms)).health.get(id, HEALTHY)

    async def tell(self, outcomes: str, id: str = "d", **fields: Any) -> Health:
        """Settles outcomes in one batch, "." for an answer and "x" for a failure."""
        for outcome in outcomes:
            self.note(outcome, id, **fields)
        await self.live.settle()
        return await self.health(id)

    def note(self, outcome: str, id: str, **fields: Any) -> None:
        if outcome == ".":
            values = {"latency_ms": 10, "first_ms": None} | fields
            self.live.succeeded(self.key, id, **values)
        else:
            values = {"status": 502, "retry_after_s": None} | fields
            self.live.failed(self.key, id, **values)

    async def state(self, id: str = "d") -> dict[str, Any]:
        raw = await self.pipe.send("HGET", self.key, id)
        return {} if raw is None else orjson.loads(raw)

    async def pass_time(self, ms: int, id: str = "d") -> None:
        """Makes everything that Redis knows of a deployment that much older."""
        state = await self.state(id)
        for name in ("o", "ws", "m", "c"):
            state[name] = max(0, state[name] - ms)
        await self.pipe.send("HSET", self.key, id, orjson.dumps(state))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def rests_ms(health: Health) -> int:
    """How long the deployment rests from now."""
    return health.open_until_ms - now_ms()


async def shut(pipe: RedisPipe) -> None:
    """Closes a connection and lets the loop close its socket."""
    pipe.close()
    await asyncio.sleep(0.01)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.live.settle()
    keys = [made.key]
    async for key in _keys(made.pipe, made.key + ":*"):
        keys.append(key)
    await made.pipe.send("DEL", *keys)
    await shut(made.pipe)


async def _keys(pipe: RedisPipe, pattern: str) -> AsyncIterator[str]:
    for key in await pipe.send("KEYS", pattern.replace("{", "\\{")):
        yield key.decode()


async def test_nothing_known_is_healthy(house: House) -> None:
    assert await house.admit("a", "b") == Admission(epoch=None, health={}, reachable=True)


@pytest.mark.parametrize(
    ("batches", "opens"),
    [
        (["xxxx"], 0),
        (["xxxxx"], 1),
        (["xx", "xx", "x"], 1),
        (["xxxx", ".", "xxxx"], 0),
        (["xxxx.xxxx"], 0),
        ([".xxxxx"], 1),
        # Half of at least twenty, though never five in a row.
        (["x." * 9 + ".x"], 1),
        (["x." * 9], 0),
        (["x.." * 8], 0),
        (["." * 30, "xxxx.xxxx.xxxx"], 0),
        (["." * 9, "xxx.xxx.xxx.xxx"], 1),
    ],
)
async def test_what_opens_the_breaker(house: House, batches: list[str], opens: int) -> None:
    health = HEALTHY
    for batch in batches:
        health = await house.tell(batch)
    assert health.opens == opens
    if opens:
        assert 14_000 < rests_ms(health) <= 15_000
        assert health.reason == "failing"
    else:
        assert health.open_until_ms == 0


async def test_failures_older_than_thirty_seconds_do_not_count_as_a_share(house: House) -> None:
    await house.tell("x." * 8)
    await house.pass_time(30_001)
    assert (await house.tell("x.x.x.x.")).opens == 0


async def test_one_process_sees_what_another_settled(house: House) -> None:
    other = House()
    other.key = house.key
    await house.tell("xxx")
    assert (await other.tell("xx")).opens == 1
    assert (await house.health()).opens == 1
    await shut(other.pipe)


@pytest.mark.parametrize(
    ("fields", "rest_ms", "reason"),
    [
        ({"status": 429, "retry_after_s": 7.0}, 7_000, "rate_limited"),
        ({"status": 429, "retry_after_s": None}, 1_000, "rate_limited"),
        ({"status": 429, "retry_after_s": 3600.0}, 60_000, "rate_limited"),
        ({"status": 401, "retry_after_s": None}, 60_000, "credential_refused"),
        ({"status": 403, "retry_after_s": 1.0}, 60_000, "credential_refused"),
    ],
)
async def test_a_limit_or_a_refused_credential_rests_the_deployment(
    house: House, fields: dict[str, Any], rest_ms: int, reason: str
) -> None:
    health = await house.tell("x", **fields)
    assert rest_ms - 900 < rests_ms(health) <= rest_ms
    assert (health.opens, health.reason) == (0, reason)
    # It is no failure: many of them open nothing, and after the rest all calls go through.
    await house.pass_time(61_000)
    assert (await house.tell("x" * 30, **fields)).opens == 0
    await house.pass_time(61_000)
    health = await house.health()
    assert health.open_until_ms < now_ms()


async def test_a_shorter_rest_does_not_cut_a_longer_one(house: House) -> None:
    await house.tell("x", status=429, retry_after_s=30.0)
    assert rests_ms(await house.tell("x", status=429, retry_after_s=1.0)) > 29_000


async def test_each_failed_probe_doubles_the_rest_up_to_five_minutes(house: House) -> None:
    await house.tell("xxxxx")
    seen = []
    for _ in range(6):
        rest = rests_ms(await house.health())
        seen.append(round(rest / 1000))
        await house.pass_time(rest + 10)
        await house.tell("x")
    assert seen == [15, 30, 60, 120, 240, 300]
    assert round(rests_ms(await house.health()) / 1000) == 300


async def test_what_was_on_the_way_when_it_opened_does_not_double_it(house: House) -> None:
    await house.tell("xxxxx")
    health = await house.tell("xxxxx")
    assert (health.opens, rests_ms(health) <= 15_000) == (1, True)


async def test_after_its_rest_one_call_a_second_probes(house: House) -> None:
    await house.tell("xxxxx")
    assert (await house.health()).open_until_ms > now_ms()
    await house.pass_time(15_001)
    assert await house.health() == Health(reason="probe")
    for later_ms in (1, 500, 900):
        waiting = await house.health(later_ms=later_ms)
        assert waiting.open_until_ms > now_ms() + later_ms
        assert waiting.reason == "failing"
    assert (await house.health(later_ms=1_100)).reason == "probe"
    assert (await house.health(later_ms=1_200)).reason == "failing"


async def test_three_answers_to_probes_close_it(house: House) -> None:
    await house.tell("xxxxx")
    await house.pass_time(15_001)
    for answer, opens in ((".", 1), (".", 1), (".", 0)):
        await house.tell(answer)
        assert (await house.state())["n"] == opens
    health = await house.health()
    assert (health.opens, health.open_until_ms, health.reason) == (0, 0, "")
    assert health.p50_ms == 10
    assert (await house.tell("xxxx")).opens == 0


async def test_a_failed_probe_begins_the_count_anew(house: House) -> None:
    await house.tell("xxxxx")
    await house.pass_time(15_001)
    await house.tell("..")
    await house.tell("x")
    await house.pass_time(30_001)
    await house.tell("..")
    assert (await house.state())["n"] == 2


async def test_percentiles_are_of_the_last_hundred_of_each_kind(house: House) -> None:
    for ms in range(1, 301):
        house.live.succeeded(house.key, "d", latency_ms=ms, first_ms=None)
        house.live.succeeded(house.key, "d", latency_ms=0, first_ms=1000 + ms)
        if ms % 50 == 0:
            await house.live.settle()
            await house.pass_time(1_001)
    house.live.succeeded(house.key, "d", latency_ms=301, first_ms=None)
    house.live.succeeded(house.key, "d", latency_ms=0, first_ms=1301)
    await house.live.settle()
    health = await house.health()
    # 202 to 301, by the nearest rank.
    assert (health.p50_ms, health.p95_ms) == (251, 296)
    assert (health.first_p50_ms, health.first_p95_ms) == (1251, 1296)


async def test_measurements_are_forgotten_after_ten_minutes(house: House) -> None:
    assert (await house.tell("....", latency_ms=77)).p50_ms == 77
    assert (await house.health(later_ms=599_000)).p50_ms == 77
    assert (await house.health(later_ms=601_000)).p50_ms is None


async def test_an_epoch_only_grows_and_is_lost_with_its_hash(house: House) -> None:
    assert (await house.admit()).epoch is None
    for published, known in ((3, 3), (2, 3), (5, 5)):
        await house.live.publish_epoch(house.key, published)
        assert (await house.admit("d")).epoch == known
    await house.tell("xxxxx")
    assert (await house.admit("d")).epoch == 5
    await house.pipe.send("DEL", house.key)
    assert await house.admit("d") == Admission(epoch=None, health={}, reachable=True)


async def test_what_came_of_calls_is_settled_by_itself_and_together(house: House) -> None:
    before = house.pipe.trips
    for _ in range(500):
        house.note(".", "d")
        house.note("x", "f")
    await asyncio.sleep(0.2)
    assert house.pipe.trips - before <= 2  # loading the script, running it
    assert (await house.health("f")).opens == 1
    assert (await house.health("d")).p50_ms == 10


async def test_a_redis_that_forgot_the_script_gets_it_again(house: House) -> None:
    await house.tell(".")
    await house.pipe.send("SCRIPT", "FLUSH")
    assert (await house.tell("xxxxx")).opens == 1


async def test_many_callers_share_one_write(house: House) -> None:
    replies = await asyncio.gather(*(house.admit("d") for _ in range(200)))
    assert all(reply.reachable for reply in replies)


@pytest.fixture
def silent() -> Iterator[str]:
    """A Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


async def test_a_silent_redis_costs_a_quarter_of_a_second_and_then_nothing(silent: str) -> None:
    house = House(silent)
    assert await _timed(house) < 0.6
    for _ in range(20):
        assert await _timed(house) < 0.1
        await asyncio.sleep(0.05)
    await shut(house.pipe)


async def test_a_redis_that_refuses_costs_nothing() -> None:
    house = House(closed())
    assert await _timed(house) < 0.1
    assert await _timed(house) < 0.05
    await house.tell("xxxxx")
    assert not await house.live.is_reachable()
    await shut(house.pipe)


async def _timed(house: House) -> float:
    began = time.monotonic()
    assert await house.admit("d") == Admission(epoch=None, health={}, reachable=False)
    return time.monotonic() - began


async def test_without_redis_the_health_last_seen_stands(house: House, silent: str) -> None:
    await house.tell("xxxxx")
    connected = house.live._pipe
    house.live._pipe = RedisPipe(silent)
    admission = await house.admit("d", "e")
    assert not admission.reachable
    assert admission.health["d"].opens == 1
    assert "e" not in admission.health
    await shut(house.live._pipe)
    house.live._pipe = connected


async def test_a_redis_that_falls_silent_for_good_is_waited_for_once(
    house: House, silent: str
) -> None:
    await house.tell("x")
    connection, address = house.pipe._connection, house.pipe._address
    assert connection is not None
    assert connection._transport is not None
    connection._transport.pause_reading()
    house.pipe._address = Address.from_url(silent)
    assert not (await house.admit("d")).reachable
    began = time.monotonic()
    assert not (await house.admit("d")).reachable
    assert time.monotonic() - began < 0.1
    house.pipe.close()
    house.pipe._address = address
    async with asyncio.timeout(3):
        while not (await house.admit("d")).reachable:  # noqa: ASYNC110 - calls look for it
            await asyncio.sleep(0.02)


async def test_a_redis_that_falls_silent_is_dropped_and_found_again(house: House) -> None:
    await house.tell("x")
    connection = house.pipe._connection
    assert connection is not None
    assert connection._transport is not None
    connection._transport.pause_reading()
    began = time.monotonic()
    assert not (await house.admit("d")).reachable
    assert 0.2 < time.monotonic() - began < 0.6
    async with asyncio.timeout(3):
        while not (await house.admit("d")).reachable:  # noqa: ASYNC110 - calls look for it
            await asyncio.sleep(0.02)


async def test_a_redis_that_comes_back_is_found(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # Redis elsewhere keeps its password.
    there = urlsplit(URL)
    sign_in, _, _ = there.netloc.rpartition("@")
    moved = House(there._replace(netloc=f"{sign_in}@127.0.0.1:{port}").geturl())
    assert not (await moved.admit("d")).reachable
    relay = await asyncio.start_server(_relay, "127.0.0.1", port)
    async with asyncio.timeout(3):
        while not (await moved.admit("d")).reachable:  # noqa: ASYNC110 - it is looked for by calls
            await asyncio.sleep(0.02)
    await shut(moved.pipe)
    relay.close()
    await asyncio.sleep(0.05)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, port = URL.split("//")[1].split("/")[0].rsplit("@")[-1].split(":")
    to_reader, to_writer = await asyncio.open_connection(host, int(port))

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))
    for one in (writer, to_writer):
        await one.wait_closed()
