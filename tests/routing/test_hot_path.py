"""What one call costs once its organization is in memory: no SQL, no thread, two trips to Redis."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.routing.gateway_house import (
    EMBEDDINGS,
    House,
    firm,
    forget_health,
    in_database,
    sandbox,
    serving,
)

__all__ = ["firm", "sandbox"]
SETTLED_S = 0.15


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often any thread of this process spoke to Postgres, or a thread was asked for."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        real = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            counts[what] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapper)

    for name in ("execute", "executemany", "copy", "stream"):
        count(psycopg.Cursor, name, "sql")
    for name in ("execute", "commit", "rollback"):
        count(psycopg.Connection, name, "sql")
    count(psycopg, "connect", "sql")
    count(concurrent.futures.ThreadPoolExecutor, "submit", "thread")
    return counts


@pytest.fixture
async def warm(firm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house that answered its first call, and does not look for changes meanwhile."""
    monkeypatch.setattr("routing.snapshot.WATCH_EVERY_S", 3600.0)
    await forget_health(firm)
    await asyncio.to_thread(firm.sandbox.call, "POST", "/sandbox/reset")
    async with serving(tmp_path) as runtime:
        house = House(firm, runtime)
        await house.fault("*", ms_per_token=0)
        for stream in (False, True):
            assert (await house.chat(stream=stream)).status == 200
        await asyncio.sleep(SETTLED_S)
        yield house


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True},
    "auto": {"model": "trio"},
    "with headers": {"headers": {"x-router-priority": "cost", "x-router-max-cost": "1"}},
    "another wire": {"model": "sandbox-claude"},
}


@pytest.mark.parametrize("name", CALLS)
async def test_one_call(warm: House, counted: Counter[str], name: str) -> None:
    trips = warm.runtime._pipe.trips
    before = {kind: len(warm.written(kind)) for kind in "ao"}
    asked = warm.firm.sandbox.calls()[-1]["n"]
    answer = await warm.chat(**CALLS[name])
    await asyncio.sleep(SETTLED_S)
    assert answer.status == 200
    assert counted == Counter()
    assert warm.runtime._pipe.trips - trips == 2
    assert {kind: len(warm.written(kind)) - n for kind, n in before.items()} == {"a": 1, "o": 1}
    assert len(warm.firm.sandbox.calls(asked)) == 1


async def test_embeddings_too(warm: House, counted: Counter[str]) -> None:
    trips = warm.runtime._pipe.trips
    answer = await warm.post({"model": "sandbox-embed", "input": "Hello"}, EMBEDDINGS)
    await asyncio.sleep(SETTLED_S)
    assert answer.status == 200
    assert counted == Counter()
    assert warm.runtime._pipe.trips - trips == 2


async def test_a_refused_call_costs_one_trip(warm: House, counted: Counter[str]) -> None:
    trips = warm.runtime._pipe.trips
    assert (await warm.chat("nope")).status == 404
    await asyncio.sleep(SETTLED_S)
    assert counted == Counter()
    assert warm.runtime._pipe.trips - trips == 1


async def test_what_came_of_many_calls_is_settled_together(
    warm: House, counted: Counter[str]
) -> None:
    trips = warm.runtime._pipe.trips
    answers = await asyncio.gather(*(warm.chat() for _ in range(40)))
    await asyncio.sleep(SETTLED_S)
    assert {a.status for a in answers} == {200}
    assert counted == Counter()
    # One trip each, and a settlement each twentieth of a second.
    assert 41 <= warm.runtime._pipe.trips - trips <= 60


async def test_the_counts_would_show_sql(warm: House, counted: Counter[str]) -> None:
    await in_database(warm.firm.new_key)
    counted.clear()
    assert (await warm.chat()).status == 200  # it reads the configuration again
    assert counted["sql"] > 3
    assert counted["thread"] == 1
