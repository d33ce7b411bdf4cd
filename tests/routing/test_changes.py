"""A change of configuration holds for the very next call, on every process, also without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics.ending import end_organization
from catalog.models import Deployment
from lib.hashing import make_api_key
from preferences.services import save_key_preferences, save_preferences
from routing.snapshot import DatabaseDown
from tenancy import audit
from tenancy.core import SYSTEM, Scope
from tenancy.models import ApiKey
from tenancy.scope import tenant_scope
from tenancy.services import NewKey, create_key, revoke_key, rotate_key
from tests.catalog.sandbox_process import Server
from tests.routing.gateway_house import (
    Answer,
    Firm,
    House,
    closed_redis,
    firm,
    forget_health,
    house,
    in_database,
    make_firm,
    sandbox,
    serving,
)

__all__ = ["firm", "house", "sandbox"]
CHANGE_WITHOUT_REDIS_S = 1.0


@pytest.fixture
async def second(house: House, tmp_path: Path) -> AsyncIterator[House]:
    """Another process that serves the same firm."""
    async with serving(tmp_path / "second") as runtime:
        yield House(house.firm, runtime)


@pytest.fixture
async def cut_off(house: House, tmp_path: Path) -> AsyncIterator[House]:
    """A process that has never reached Redis."""
    async with serving(tmp_path / "cut-off", closed_redis()) as runtime:
        yield House(house.firm, runtime)


async def chat(house: House, key: NewKey, **fields: Any) -> Answer:
    return await house.chat(headers={"authorization": f"Bearer {key.secret}"}, **fields)


async def both(one: House, other: House, key: NewKey) -> list[int]:
    return [(await chat(house, key)).status for house in (one, other)]


async def test_a_revoked_key_ends_at_once_on_both_processes(house: House, second: House) -> None:
    key = await in_database(house.firm.new_key)
    assert await both(house, second, key) == [200, 200]
    await in_database(revoke_key, house.firm.organization.id, key.key.id, actor=SYSTEM)
    answers = await asyncio.gather(chat(house, key), chat(second, key))
    assert [(a.status, a.code) for a in answers] == [(401, "key_revoked")] * 2
    assert len(await house.upstream_calls()) == 2


async def test_keys_of_a_deleted_organization_end_at_once_with_and_without_redis(
    sandbox: Server, house: House, second: House, cut_off: House
) -> None:
    own = await in_database(make_firm, sandbox)
    for one in (house, second, cut_off):
        assert (await chat(one, own.key)).status == 200
    name = own.organization.name
    await in_database(end_organization, own.organization.id, typed_name=name, actor=SYSTEM)
    answers = [await chat(one, own.key) for one in (house, second)]
    assert [(a.status, a.code) for a in answers] == [(401, "invalid_api_key")] * 2
    give_up = time.monotonic() + 5 * CHANGE_WITHOUT_REDIS_S
    while (await chat(cut_off, own.key)).status != 401:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.1)


async def test_a_deleted_key_ends_at_once_on_both_processes(house: House, second: House) -> None:
    key = await in_database(house.firm.new_key)
    assert await both(house, second, key) == [200, 200]
    await in_database(_delete, house.firm, key)
    answers = [await chat(house, key), await chat(second, key)]
    assert [(a.status, a.code) for a in answers] == [(401, "invalid_api_key")] * 2


def _delete(firm: Firm, key: NewKey) -> None:
    with tenant_scope(firm.organization.id):
        ApiKey.objects.filter(organization_id=firm.organization.id, id=key.key.id).delete()
        audit.record(
            firm.organization.id,
            SYSTEM,
            action="api_key.delete",
            kind="api_key",
            object_id=key.key.id,
        )


async def test_a_new_key_is_known_at_once(house: House, second: House) -> None:
    assert (await house.chat()).status == (await second.chat()).status == 200
    key = await in_database(house.firm.new_key)
    assert await both(house, second, key) == [200, 200]


async def test_a_rotated_key_ends_at_the_end_of_its_overlap(house: House, second: House) -> None:
    old = await in_database(house.firm.new_key)
    await both(house, second, old)
    organization_id = house.firm.organization.id
    new = await in_database(
        rotate_key, organization_id, old.key.id, overlap=timedelta(hours=1), actor=SYSTEM
    )
    assert await both(house, second, old) == [200, 200]
    assert await both(house, second, new) == [200, 200]
    await in_database(rotate_key, organization_id, old.key.id, overlap=timedelta(0), actor=SYSTEM)
    assert [(await chat(house, key)).code for key in (old, new)] == ["key_expired"] * 2


async def test_a_key_expires_without_any_change(house: House) -> None:
    soon = timezone.now() + timedelta(seconds=1.2)
    key = await in_database(house.firm.new_key, expires_at=soon)
    assert (await chat(house, key)).status == 200
    await asyncio.sleep(max(0.0, (soon - timezone.now()).total_seconds()) + 0.05)
    assert (await chat(house, key)).code == "key_expired"


async def test_a_changed_preference_holds_for_the_next_call_elsewhere(
    house: House, second: House
) -> None:
    key = await in_database(house.firm.new_key)
    organization_id = house.firm.organization.id

    async def prefer(**changes: Any) -> None:
        await in_database(save_key_preferences, organization_id, key.key.id, changes, actor=SYSTEM)

    async def provider_and_error() -> tuple[str, str]:
        answer = await chat(second, key, model="trio")
        code = "" if answer.status == 200 else answer.code
        return answer.headers.get("x-router-provider", ""), code

    for slug in ("two", "three", "one"):
        await prefer(preferred_providers=[slug])
        assert await provider_and_error() == (slug, "")
    await prefer(preferred_providers=[], blocked_providers=["one", "two", "three"])
    assert await provider_and_error() == ("", "provider_blocked")
    await prefer(blocked_providers=[], max_cost_per_request_nano=1)
    assert await provider_and_error() == ("", "max_cost_exceeded")
    await prefer(max_cost_per_request_nano=None, default_priority="privacy")
    assert await provider_and_error() == ("", "privacy_unmet")


async def test_the_organizations_limit_binds_a_key_that_asks_for_more(house: House) -> None:
    key = await in_database(house.firm.new_key)
    organization_id = house.firm.organization.id
    await in_database(
        save_preferences,
        organization_id,
        None,
        {"max_cost_per_request_nano": 1_000},
        actor=SYSTEM,
    )
    try:
        await in_database(
            save_key_preferences,
            organization_id,
            key.key.id,
            {"max_cost_per_request_nano": 10**9},
            actor=SYSTEM,
        )
        answer = await house.chat(
            headers={"authorization": f"Bearer {key.secret}", "x-router-max-cost": "5"}
        )
        assert answer.code == "max_cost_exceeded"
        assert "at most $0.000001 per request" in answer.json["error"]["message"]
    finally:
        await in_database(
            save_preferences,
            organization_id,
            None,
            {"max_cost_per_request_nano": None},
            actor=SYSTEM,
        )


async def test_a_deployment_that_was_switched_off_gets_no_call(
    sandbox: Server, house: House, second: House
) -> None:
    own = await in_database(make_firm, sandbox)
    auth = {"authorization": f"Bearer {own.key.secret}"}
    assert (await second.chat("one/trio", headers=auth)).status == 200

    def switch_off() -> None:
        with tenant_scope(own.organization.id):
            Deployment.objects.filter(
                organization_id=own.organization.id, provider__slug="one"
            ).update(active=False)
            audit.record(
                own.organization.id, SYSTEM, action="test", kind="deployment", object_id=None
            )

    await in_database(switch_off)
    assert (await second.chat("one/trio", headers=auth)).code == "model_not_found"
    assert (await house.chat("one/trio", headers=auth)).code == "model_not_found"


async def test_no_key_reaches_another_organization(sandbox: Server, house: House) -> None:
    own = await in_database(make_firm, sandbox)
    assert (await chat(house, own.key)).status == 200
    assert house.last["organization_id"] == own.organization.id.hex
    assert (await house.chat()).status == 200
    assert house.last["organization_id"] == house.firm.organization.id.hex


async def test_when_redis_forgot_everything_calls_go_on_and_changes_hold(house: House) -> None:
    key = await in_database(house.firm.new_key)
    assert (await chat(house, key)).status == 200
    await forget_health(house.firm)
    assert (await chat(house, key)).status == 200
    await forget_health(house.firm)
    await in_database(revoke_key, house.firm.organization.id, key.key.id, actor=SYSTEM)
    assert (await chat(house, key)).code == "key_revoked"


async def test_without_redis_calls_are_served_and_a_revocation_holds_within_a_second(
    cut_off: House,
) -> None:
    key = await in_database(cut_off.firm.new_key)
    for stream in (False, True):
        assert (await chat(cut_off, key, stream=stream)).status == 200
    await in_database(revoke_key, cut_off.firm.organization.id, key.key.id, actor=SYSTEM)
    began = time.monotonic()
    while (answer := await chat(cut_off, key)).status == 200:
        assert time.monotonic() - began < CHANGE_WITHOUT_REDIS_S + 0.5
        await asyncio.sleep(0.02)
    assert answer.code == "key_revoked"


async def test_without_redis_failover_works(cut_off: House, house: House) -> None:
    await house.fault("sandbox-fast", status=503)
    answer = await cut_off.chat("trio", headers={"x-router-priority": "cost"})
    assert (answer.status, answer.headers["x-router-provider"]) == (200, "two")


async def test_a_bug_in_one_look_at_the_database_does_not_end_looking(
    cut_off: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await in_database(cut_off.firm.new_key)
    assert (await chat(cut_off, key)).status == 200
    failed = asyncio.Event()

    def broken() -> None:
        loop.call_soon_threadsafe(failed.set)
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patched:
        patched.setattr(cut_off.runtime.store._loader, "changed", broken)
        async with asyncio.timeout(5):
            await failed.wait()
            await asyncio.sleep(0.05)
    await in_database(revoke_key, cut_off.firm.organization.id, key.key.id, actor=SYSTEM)
    async with asyncio.timeout(5):
        while (await chat(cut_off, key)).status == 200:  # noqa: ASYNC110 - calls are what counts
            await asyncio.sleep(0.05)


async def test_without_the_database_known_keys_are_served_and_others_told_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await house.chat()).status == 200
    stranger = await in_database(create_key, **_fields(house.firm))

    def down(*_: object) -> None:
        raise DatabaseDown

    with monkeypatch.context() as patched:
        for name in ("organization_of", "load", "changed"):
            patched.setattr(house.runtime.store._loader, name, down)
        # The epoch has risen, and nothing newer can be read: what is in memory stands.
        assert (await house.chat()).status == 200
        answer = await chat(house, stranger)
        assert (answer.status, answer.code) == (503, "configuration_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert (await chat(house, stranger)).status == 200


def _fields(firm: Firm) -> dict[str, Any]:
    return {
        "organization_id": firm.organization.id,
        "name": "stranger",
        "scopes": (Scope.GATEWAY,),
        "actor": SYSTEM,
    }


async def test_an_unknown_key_is_asked_for_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    loader = house.runtime.store._loader
    real = loader.organization_of

    def counting(digest: bytes) -> str | None:
        asked.append(digest)
        return real(digest)

    monkeypatch.setattr(loader, "organization_of", counting)
    headers = {"authorization": f"Bearer {make_api_key(bytes(31) + b'x')}"}
    for _ in range(5):
        assert (await house.chat(headers=headers)).code == "invalid_api_key"
    assert len(asked) == 1


async def test_many_first_calls_share_one_load(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    loader = house.runtime.store._loader
    real = loader.load

    def counting(organization_id: str) -> Any:
        loads.append(organization_id)
        return real(organization_id)

    monkeypatch.setattr(loader, "load", counting)
    answers = await asyncio.gather(*(house.chat() for _ in range(20)))
    assert {a.status for a in answers} == {200}
    assert len(loads) <= 3


async def test_a_configuration_that_cannot_be_read_is_an_error_of_ours(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(organization_id: str) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(house.runtime.store._loader, "load", broken)
        answer = await house.chat()
    assert (answer.status, answer.code) == (500, "internal_error")
    assert (await house.chat()).status == 200
