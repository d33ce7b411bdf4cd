"""Calls that were turned away are told to the organization whose key, or open page, they match."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from lib.errors import RouterError
from lib.hashing import make_api_key
from routing.incoming import Incoming
from routing.redis_pipe import RedisPipe
from routing.rejections import (
    KEPT,
    PENDING_MAX,
    Rejections,
    address_mark,
    key_marks,
    list_key,
    mark,
)
from tenancy.core import SYSTEM
from tenancy.services import revoke_key
from tests.routing.gateway_house import (
    CHAT,
    House,
    ask,
    closed_redis,
    firm,
    house,
    in_database,
    sandbox,
)

__all__ = ["firm", "house", "sandbox"]
HERE = "127.0.0.1"
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(autouse=True)
async def nothing_yet(house: House) -> None:
    """Neither rejections nor marks of an earlier test."""
    pipe = house.runtime._pipe
    marks = [address_mark(HERE), *key_marks(house.firm.key.secret.encode())]
    await pipe.send("DEL", list_key(house.firm.organization.id.hex), *marks)


async def told(house: House) -> list[dict[str, Any]]:
    """What the organization's page would show, the newest first."""
    await house.runtime.rejections.settle()
    key = list_key(house.firm.organization.id.hex)
    return [orjson.loads(raw) for raw in await house.runtime._pipe.send("LRANGE", key, 0, -1)]


async def waits(house: House, *marks: str) -> None:
    for name in marks:
        await house.runtime._pipe.send("SETEX", name, 60, house.firm.organization.id.hex)


async def send(house: House, key: str, path: str = CHAT) -> int:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return (await ask(house.runtime.door, "POST", path, BODY, headers)).status


async def test_a_revoked_key_is_told_to_its_organization(house: House) -> None:
    made = await in_database(house.firm.new_key, name="old one")
    await in_database(revoke_key, house.firm.organization.id, made.key.id, actor=SYSTEM)
    assert await send(house, made.secret) == 401
    (one,) = await told(house)
    assert one["code"] == "key_revoked"
    assert one["by"] == "key"
    assert "old one" in one["message"]


async def test_a_wrong_address_with_a_known_key_is_told(house: House) -> None:
    assert await send(house, house.firm.key.secret) == 200
    assert await send(house, house.firm.key.secret, "/v1/chat/completion") == 404
    (one,) = await told(house)
    assert (one["code"], one["by"]) == ("unknown_url", "key")
    assert "/v1/chat/completion." in one["message"]


async def test_a_mistyped_key_is_told_to_the_page_that_shows_its_beginning(house: House) -> None:
    key = house.firm.key.secret
    await waits(house, mark(key[:12]))
    assert await send(house, key[:-1]) == 401
    assert await send(house, key, "/chat/completions") == 404
    found = await told(house)
    assert [(f["code"], f["by"]) for f in found] == [
        ("unknown_url", "likeness"),
        ("invalid_api_key", "likeness"),
    ]
    assert key[12:-4] not in str(found)


async def test_a_key_cut_at_its_beginning_is_known_by_its_end(house: House) -> None:
    key = house.firm.key.secret
    await waits(house, mark(key[-4:], kind="last"))
    assert await send(house, key[:9] + key[11:]) == 401
    assert [f["by"] for f in await told(house)] == ["likeness"]


async def test_by_the_address_alone_no_more_is_told_than_that_the_key_is_unknown(
    house: House,
) -> None:
    await waits(house, address_mark(HERE))
    assert await send(house, "") == 401
    assert await send(house, make_api_key(b"x" * 32)) == 401
    assert await send(house, "", "/v1/secret-path") == 404
    found = await told(house)
    assert [(f["code"], f["by"]) for f in found] == [
        ("invalid_api_key", "address"),
        ("missing_api_key", "address"),
    ]
    assert "secret-path" not in str(found)


async def test_where_nobody_waits_a_strangers_call_is_told_to_nobody(house: House) -> None:
    assert await send(house, "") == 401
    assert await send(house, house.firm.key.secret[:-1]) == 401
    assert await told(house) == []


async def test_the_list_is_short_and_ends(house: House) -> None:
    made = await in_database(house.firm.new_key)
    await in_database(revoke_key, house.firm.organization.id, made.key.id, actor=SYSTEM)
    for _ in range(KEPT + 5):
        assert await send(house, made.secret) == 401
    assert len(await told(house)) == KEPT
    key = list_key(house.firm.organization.id.hex)
    assert 0 < await house.runtime._pipe.send("TTL", key) <= 3600


async def test_a_flood_is_bounded_and_no_redis_is_no_error(house: House) -> None:
    pipe = RedisPipe(closed_redis())
    queue = Rejections(pipe, house.runtime.store, pepper=b"x", proxies=0)
    refused = RouterError(401, "missing_api_key", "No API key.")
    for _ in range(PENDING_MAX + 50):
        queue.note(Incoming([], b"", HERE), refused)
    assert len(queue._pending) == PENDING_MAX
    await queue.settle()
    pipe.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("secret", [b"", b"er_", b"sk-123", b"\xff\xfe_er_", b"er_" + b"\xff" * 40])
def test_what_is_no_key_of_ours_leaves_no_mark(secret: bytes) -> None:
    assert all(m.startswith("er:waiting:") and len(m) < 80 for m in key_marks(secret))
