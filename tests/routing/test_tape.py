"""Prompts and answers: stored only where an organization says so, sealed, opened by it alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.utils import timezone

from analytics.bodies import Bodies, bodies, expire_bodies
from analytics.ledger import Ledger
from routing.drain import Drainer
from routing.tape import KEPT_BYTES_MAX
from tenancy.changes import announce
from tenancy.models import Organization
from tenancy.scope import tenant_scope
from tests.routing.gateway_house import House, firm, house, in_database, sandbox

__all__ = ["firm", "house", "sandbox"]
SAID = "Hello"


def _store(house: House, on: bool) -> None:
    organization_id = house.firm.organization.id
    with tenant_scope(organization_id):
        Organization.objects.filter(id=organization_id).update(store_bodies=on)
        announce(organization_id)


@pytest.fixture
async def storing(house: House) -> Any:
    await in_database(_store, house, True)
    yield house
    await in_database(_store, house, False)


@pytest.fixture
def drainer(house: House) -> Iterator[Drainer]:
    url = os.environ["DATABASE_INGEST_URL"]
    made = Drainer(house.runtime.journal.directory.parent, Ledger(url), sleep=lambda _: None)
    yield made
    made.close()


def _drain(drainer: Drainer) -> None:
    while drainer.step():
        pass


def _open(organization_id: UUID, call_id: str) -> Bodies | None:
    with tenant_scope(organization_id):
        return bodies(organization_id, UUID(call_id))


async def stored(house: House, drainer: Drainer) -> Bodies | None:
    """What is stored of the last call."""
    await in_database(_drain, drainer)
    return await in_database(_open, house.firm.organization.id, house.last["id"])  # type: ignore[no-any-return]


async def test_nothing_is_stored_unless_the_organization_says_so(
    house: House, drainer: Drainer
) -> None:
    assert (await house.chat()).status == 200
    assert house.written("b") == []
    assert await stored(house, drainer) is None


async def test_what_was_said_is_sealed_on_disk_and_opens_for_its_organization(
    storing: House, drainer: Drainer
) -> None:
    answer = await storing.chat()
    (record,) = storing.written("b")
    files = storing.runtime.journal.directory.glob("*.log")
    assert not any(SAID.encode() in file.read_bytes() for file in files)
    assert set(record) == {
        "k",
        "id",
        "organization_id",
        "created_ms",
        "request",
        "answer",
        "request_bytes",
        "answer_bytes",
    }
    found = await stored(storing, drainer)
    assert found is not None
    assert orjson.loads(found.request.text)["messages"][0]["content"] == SAID
    assert found.answer.text.encode() == answer.body
    assert not found.request.is_cut
    assert not found.answer.is_cut


async def test_a_stream_and_a_refusal_are_stored_as_they_were_sent(
    storing: House, drainer: Drainer
) -> None:
    answer = await storing.chat(stream=True)
    found = await stored(storing, drainer)
    assert found is not None
    assert found.answer.text.encode() == answer.body
    answer = await storing.chat("nope")
    found = await stored(storing, drainer)
    assert found is not None
    assert orjson.loads(found.answer.text)["error"]["code"] == answer.code


async def test_switching_it_on_and_off_holds_for_the_next_call(
    house: House, drainer: Drainer
) -> None:
    await house.chat()
    await in_database(_store, house, True)
    await house.chat()
    assert len(house.written("b")) == 1
    await in_database(_store, house, False)
    for stream in (False, True):
        await house.chat(stream=stream)
    assert len(house.written("b")) == 1


async def test_only_the_beginning_of_what_is_long_is_stored(
    storing: House, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.tape.KEPT_BYTES_MAX", 100)
    await storing.chat(messages=[{"role": "user", "content": "é" * 1000}])
    found = await stored(storing, drainer)
    assert found is not None
    assert found.request.is_cut
    assert 95 <= len(found.request.text.encode()) <= 100
    assert found.request.size > 2000
    assert KEPT_BYTES_MAX == 256 * 1024


async def test_bodies_of_another_call_do_not_open(storing: House, drainer: Drainer) -> None:
    first, second = [], []
    for kept in (first, second):
        await storing.chat()
        kept.append(storing.last["id"])
    await in_database(_drain, drainer)

    def swap() -> Bodies | None:
        import psycopg

        with psycopg.connect(os.environ["TEST_ADMIN_URL"].rpartition("/")[0] + "/er_test") as admin:
            admin.execute(
                "UPDATE router_bodies SET request = o.request FROM router_bodies o"
                " WHERE router_bodies.call_id = %s AND o.call_id = %s",
                [first[0], second[0]],
            )
        return _open(storing.firm.organization.id, first[0])

    assert await in_database(swap) is None
    assert await in_database(_open, storing.firm.organization.id, second[0]) is not None


async def test_what_is_past_its_days_goes(storing: House, drainer: Drainer) -> None:
    await storing.chat()
    assert await stored(storing, drainer) is not None
    now = timezone.now()
    await in_database(expire_bodies, now + timedelta(days=29))
    assert await stored(storing, drainer) is not None
    assert await in_database(expire_bodies, now + timedelta(days=31)) >= 1
    assert await stored(storing, drainer) is None


async def test_a_full_disk_costs_the_bodies_and_not_the_call(
    storing: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing.journal import Journal, JournalFull

    real = Journal.append

    def full(journal: Journal, payload: bytes) -> None:
        if payload.startswith(b'{"k":"b"'):
            raise JournalFull("no space")
        real(journal, payload)

    monkeypatch.setattr(Journal, "append", full)
    assert (await storing.chat()).status == 200
    await asyncio.sleep(0)
    assert (len(storing.written("o")), storing.written("b")) == (1, [])
