"""A process that says it is ready has read what its first calls would wait for."""

from __future__ import annotations

import asyncio

import pytest

from catalog import prices
from project.health import ready
from routing import runtime
from routing.compiler import DatabaseLoader
from routing.snapshot import DatabaseDown
from tests.routing.gateway_house import House, firm, house, in_database, sandbox

__all__ = ["firm", "house", "sandbox"]


async def warmed(house: House) -> None:
    house.runtime.warm()
    async with asyncio.timeout(10):
        while not house.runtime.is_warm:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_ready_is_said_once_organizations_prices_and_certificates_are_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "PRELOADED_MAX", 3)
    prices._list.cache_clear()
    assert await ready(house.runtime) == (503, "warming up")
    await warmed(house)
    status, _ = await ready(house.runtime)
    assert status == 200
    first = await in_database(DatabaseLoader().to_begin_with, 3)
    assert first
    assert all(house.runtime.store.of(one) is not None for one in first)
    assert prices._list.cache_info().currsize == 1
    assert house.runtime.upstream._dialer._ssl_context is not None


async def test_a_database_that_is_away_does_not_keep_it_from_starting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(most: int) -> list[str]:
        raise DatabaseDown

    monkeypatch.setattr(house.runtime.store._loader, "to_begin_with", away)
    await warmed(house)
