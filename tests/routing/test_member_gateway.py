"""A member who is signed in calls without a key, under every rule that holds for keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from preferences.services import save_preferences
from routing.incoming import Incoming, Reply
from routing.member_gateway import MemberGateway
from tenancy.core import SYSTEM, Role
from tenancy.models import User, new_id
from tenancy.services import add_member, create_user
from tests.routing.gateway_house import House, firm, house, in_database, sandbox

__all__ = ["firm", "house", "sandbox"]


async def member_of(house: House) -> User:
    def make() -> User:
        user = create_user(f"nora-{new_id().hex[-12:]}@example.com", None)
        add_member(house.firm.organization.id, user=user, role=Role.MEMBER, actor=SYSTEM)
        return user

    found: User = await in_database(make)
    return found


async def call(house: House, user_id: UUID, **fields: Any) -> tuple[MemberGateway, Reply, bytes]:
    gateway = house.runtime.member_gateway(house.firm.organization.id.hex, user_id.hex)
    body = {"model": "sandbox-fast", "messages": [{"role": "user", "content": "Hi"}], **fields}
    reply = await gateway.call(Incoming([], orjson.dumps(body), ""), "chat")
    said = reply.body
    if reply.stream is not None:
        said = b"".join([piece async for piece in reply.stream])
    return gateway, reply, said


async def test_the_ledger_shows_the_user_and_no_key(house: House) -> None:
    user = await member_of(house)
    gateway, reply, _ = await call(house, user.id)
    assert reply.status == 200
    assert (house.last["api_key_id"], house.last["user_id"]) == ("", user.id.hex)
    assert house.last["organization_id"] == house.firm.organization.id.hex
    assert gateway.record is not None
    assert (gateway.record.id, gateway.status) == (house.last["id"], 200)


async def test_a_stream_tells_its_cost_at_its_end(house: House) -> None:
    user = await member_of(house)
    gateway, _, said = await call(house, user.id, stream=True)
    assert said.endswith(b"data: [DONE]\n\n")
    assert gateway.record is not None
    assert gateway.record.cost_nano == house.last["cost_nano"] > 0
    assert gateway.record.first_token_ms is not None


async def test_preferences_of_the_member_and_of_the_organization_hold(house: House) -> None:
    user = await member_of(house)
    assert (await call(house, user.id))[1].status == 200
    blocked = {"blocked_providers": ["sandbox"]}
    await in_database(save_preferences, house.firm.organization.id, user.id, blocked, actor=SYSTEM)
    gateway, reply, said = await call(house, user.id)
    assert (reply.status, gateway.error_code) == (403, "provider_blocked")
    assert b"Preferences" in said
    other = await member_of(house)
    assert (await call(house, other.id))[1].status == 200
