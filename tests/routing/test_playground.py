"""The playground: asked as a member through the running gateway, and what the page shows."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.test import AsyncClient, Client

from analytics.ledger import Ledger
from preferences.services import save_preferences
from routing.record import Record
from routing.tape import NONCES_BYTES, Tape
from tenancy.core import SYSTEM, Role
from tenancy.models import User, new_id
from tenancy.services import add_member, create_user
from tests.analytics.rows import row, said
from tests.conftest import Cast
from tests.routing.gateway_house import House, firm, house, in_database, sandbox

__all__ = ["firm", "house", "sandbox"]
PAGE, RUN = "/playground", "/playground/run"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """The test client leaves its thread's connection open; the server's own handler does not."""
    yield
    await sync_to_async(lambda: connection.close())()


async def person(house: House, role: Role = Role.MEMBER) -> tuple[AsyncClient, User]:
    """A browser of a member of the firm."""

    def make() -> tuple[AsyncClient, User]:
        user = create_user(f"nora-{new_id().hex[-12:]}@example.com", None)
        add_member(house.firm.organization.id, user=user, role=role, actor=SYSTEM)
        client = AsyncClient()
        client.force_login(user, backend=BACKEND)
        return client, user

    found: tuple[AsyncClient, User] = await in_database(make)
    return found


async def lines(answer: Any) -> list[dict[str, Any]]:
    raw = b"".join([piece async for piece in answer.streaming_content])
    first, *rest = [orjson.loads(line) for line in raw.splitlines()]
    # A page that stops early finds its call by this.
    assert UUID(first["id"])
    return rest


async def test_an_answer_streams_and_is_recorded_as_the_members(house: House) -> None:
    client, user = await person(house)
    answer = await client.post(RUN, {"model": "sandbox-fast", "prompt": "Hello"})
    assert answer["Content-Encoding"] == "identity"
    told = await lines(answer)
    assert len(told) > 2
    assert "".join(one.get("text", "") for one in told).strip()
    last = told[-1]["told"]
    assert not told[-1]["failed"]
    assert (house.last["api_key_id"], house.last["user_id"]) == ("", user.id.hex)
    assert f'href="/requests/{house.last["id"]}"' in last
    assert "sandbox / sandbox-fast" in last
    assert "First token" in last
    assert f"{house.last['input_tokens']} in, {house.last['output_tokens']} out" in last
    assert "It was the only candidate." in last
    assert "Sandbox" in last


async def test_auto_says_who_was_chosen_and_the_priority_counts(house: House) -> None:
    client, _ = await person(house)
    answer = await client.post(RUN, {"model": "trio", "prompt": "Hi", "priority": "cost"})
    told = await lines(answer)
    assert "one / trio" in told[-1]["told"]
    assert "It was the first choice." in told[-1]["told"]
    assert house.last["priority"] == "cost"


async def test_an_error_stands_in_the_column_with_the_way_out(house: House) -> None:
    client, user = await person(house)
    (told,) = await lines(await client.post(RUN, {"model": "<b>gpt-9</b>", "prompt": "Hi"}))
    assert told["failed"]
    assert "&lt;b&gt;gpt-9&lt;/b&gt;" in told["told"]
    assert 'href="/providers"' in told["told"]
    blocked = {"blocked_providers": ["sandbox"]}
    await in_database(save_preferences, house.firm.organization.id, user.id, blocked, actor=SYSTEM)
    (told,) = await lines(await client.post(RUN, {"model": "sandbox-fast", "prompt": "Hi"}))
    assert "provider_blocked" in told["told"]
    assert 'href="/enterprise-router/preferences"' in told["told"]


async def test_a_stream_that_breaks_says_so_after_what_had_come(house: House) -> None:
    await house.fault("sandbox-fast", cut_after_chunks=4)
    client, _ = await person(house)
    told = await lines(await client.post(RUN, {"model": "sandbox-fast", "prompt": "Hello"}))
    assert told[-1]["failed"]
    assert "banner bad" in told[-1]["told"]


async def test_wrong_fields_are_named(house: House) -> None:
    client, _ = await person(house)
    answer = await client.post(RUN, {"model": "auto", "temperature": "9"})
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"prompt", "temperature"}


async def test_without_javascript_the_page_holds_every_answer(house: House) -> None:
    client, _ = await person(house)
    form = {"model": ["sandbox-fast", "nope", ""], "prompt": "Hello <there>", "max_tokens": "20"}
    answer = await client.post(PAGE, form)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert page.count('<article class="card answer"') == 2 + 1  # and the template's
    assert "Hello &lt;there&gt;</textarea>" in page
    assert "model_not_found" in page
    assert "sandbox / sandbox-fast" in page
    assert len(house.written()) == 2
    refused = await client.post(PAGE, {"model": "auto", "prompt": ""})
    assert refused.status_code == 422
    assert "Write what to ask." in refused.content.decode()
    assert 'id="prompt" name="prompt" rows="5" aria-invalid="true"' in refused.content.decode()


async def test_a_viewer_looks_and_may_not_send(house: House) -> None:
    client, _ = await person(house, Role.VIEWER)
    page = (await client.get(PAGE)).content.decode()
    assert "Sending needs the role member; yours is viewer." in page
    assert '<fieldset class="body" disabled>' in page
    for path in (PAGE, RUN):
        answer = await client.post(path, {"model": "auto", "prompt": "Hi"})
        assert answer.status_code == 403
    assert house.written() == []


async def test_no_question_is_taken_without_its_token(house: House) -> None:
    _, user = await person(house)

    def strict() -> AsyncClient:
        client = AsyncClient(enforce_csrf_checks=True)
        client.force_login(user, backend=BACKEND)
        return client

    client = await in_database(strict)
    answer = await client.post(RUN, {"model": "auto", "prompt": "Hi"})
    assert answer.status_code == 403
    assert house.written() == []


def keep(organization_id: UUID, call_id: str, said: dict[str, Any]) -> None:
    """Stores a call's request as the drainer does."""
    record = Record(call_id, organization_id.hex, 0, "chat", "", None)
    record.created_ms = time.time_ns() // 1_000_000
    tape = Tape(orjson.dumps(said))
    sealed = tape.sealed(record, key=settings.ENCRYPTION_KEY, nonces=os.urandom(NONCES_BYTES))
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([], [orjson.loads(sealed)])
    ledger.close()


@pytest.mark.django_db
def test_the_address_holds_everything_but_the_words(as_alice: Client, cast: Cast) -> None:
    from catalog.services import connect_provider

    assert "No model is connected yet" in as_alice.get(PAGE).content.decode()
    connect_provider(cast.acme.id, preset="openai", secret="sk-x", actor=SYSTEM)
    query = "?model=gpt-5&model=auto&temperature=0.2&priority=speed"
    page = as_alice.get(f"{PAGE}{query}").content.decode()
    assert 'value="gpt-5"' in page
    assert 'name="temperature" value="0.2"' in page
    assert '<option value="speed" selected>' in page
    assert "<details open>" in page
    assert "Sandbox" not in page
    assert page.count("<datalist") == 1


@pytest.mark.django_db
def test_a_recorded_request_is_asked_again(as_alice: Client, as_bob: Client, cast: Cast) -> None:
    from catalog.services import connect_sandbox

    connect_sandbox(cast.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    now_ms = time.time_ns() // 1_000_000
    ours = row(cast.acme.id, now_ms, model_requested="gpt-mini", priority="cost")
    embeds = row(cast.acme.id, now_ms, chance=1, task_type="embeddings")
    theirs = row(cast.rival.id, now_ms, chance=2)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([ours, embeds, theirs])
    ledger.close()
    page = as_alice.get(f"{PAGE}?call={ours['id']}").content.decode()
    assert 'value="gpt-mini"' in page
    assert '<option value="cost" selected>' in page
    assert "Its prompt was not stored" in page
    assert "Only the built-in sandbox is connected" in page
    assert "embeddings" in as_alice.get(f"{PAGE}?call={embeds['id']}").content.decode()
    kept = {"model": "gpt-mini", "messages": [{"role": "user", "content": "Old <words>"}]}
    keep(cast.acme.id, ours["id"], kept)
    page = as_alice.get(f"{PAGE}?call={ours['id']}").content.decode()
    assert "This repeats the request" in page
    assert "Old &lt;words&gt;</textarea>" in page
    assert "Old &lt;words&gt;" not in as_bob.get(f"{PAGE}?call={ours['id']}").content.decode()
    for id_ in (theirs["id"], str(UUID(int=7)), "nonsense"):
        assert as_alice.get(f"{PAGE}?call={id_}").status_code == 404


@pytest.mark.django_db
def test_a_stored_prompt_comes_back_for_those_who_may_read_it(client: Client, cast: Cast) -> None:
    from catalog.services import connect_sandbox

    connect_sandbox(cast.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    call = row(cast.acme.id, time.time_ns() // 1_000_000)
    asked = {"model": "auto", "messages": [{"role": "user", "content": "Was it <b>this</b>?"}]}
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([call], [said(call, orjson.dumps(asked))])
    ledger.close()
    client.force_login(cast.alice, backend=BACKEND)
    assert (
        "Was it &lt;b&gt;this&lt;/b&gt;?"
        in client.get(f"{PAGE}?call={call['id']}").content.decode()
    )
    client.force_login(cast.bob, backend=BACKEND)
    assert "Was it" not in client.get(f"{PAGE}?call={call['id']}").content.decode()
