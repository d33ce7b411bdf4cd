"""Get started: a key shown once, the steps' states, and the line that waits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
import redis
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.ledger import Ledger
from catalog.editing import mark_tested
from catalog.services import connect_provider, connect_sandbox
from preferences.services import save_preferences
from routing.progress import progress_of
from routing.rejections import list_key
from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import ApiKey, User
from tenancy.scope import tenant_scope
from tenancy.services import NewKey, add_member, create_key, create_organization, create_user
from tests.analytics.rows import refused, row
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/get-started"
KEY = re.compile(r"er_live_[0-9A-Za-z]{49}")
NEW = "/enterprise-router/organization/new"


@pytest.fixture
def erin() -> User:
    return create_user("erin@new.test", None)


@pytest.fixture
def newcomer(erin: User, settings: Any) -> Client:
    """A browser of somebody whose organization was made just now, without a sandbox."""
    settings.SANDBOX_URL = ""
    client = signed_in(erin)
    made = client.post(NEW, {"name": "Nova", "time_zone": "Asia/Kolkata"})
    assert made["Location"] == PAGE
    return client


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger(settings.DATABASE_INGEST_URL)
    yield made
    made.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def turned_away(organization_id: Any, **fields: Any) -> None:
    """Keeps a refusal as the gateway does."""
    kept = {
        "at_ms": now_ms(),
        "status": 401,
        "code": "invalid_api_key",
        "message": "This API key is not known here.",
        "by": "key",
        **fields,
    }
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.lpush(list_key(organization_id.hex), orjson.dumps(kept))
    client.close()


def test_the_key_stands_in_each_snippet_once_and_never_again(newcomer: Client) -> None:
    first = newcomer.get(PAGE)
    page = first.content.decode()
    (key,) = set(KEY.findall(page))
    assert len(KEY.findall(page)) == 4
    assert "You see the key once" in page
    assert "changes no settings, and does not expire" in page
    assert "no-store" in first["Cache-Control"]
    again = newcomer.get(PAGE).content.decode()
    assert key not in again
    assert KEY.findall(again) == []
    assert "Bearer $ROUTER_API_KEY" in again
    assert f"{key[:12]}…{key[-4:]}" in again
    assert "Create another key" in again


def test_the_first_key_makes_calls_and_changes_nothing(newcomer: Client) -> None:
    (key,) = set(KEY.findall(newcomer.get(PAGE).content.decode()))
    headers = {"Authorization": f"Bearer {key}"}
    assert Client(headers=headers).get("/api/providers").status_code == 403


def test_the_session_never_holds_a_key_in_clear(newcomer: Client) -> None:
    kept = newcomer.session
    assert "shown-once" in kept
    assert KEY.search(str(dict(kept))) is None
    stored = Session.objects.get(session_key=kept.session_key)
    assert KEY.search(str(stored.get_decoded())) is None


def test_asking_for_the_head_alone_does_not_spend_the_key(newcomer: Client) -> None:
    assert newcomer.head(PAGE).status_code == 200
    assert KEY.search(newcomer.get(PAGE).content.decode())


def test_a_key_is_not_shown_in_another_organization(newcomer: Client, erin: User) -> None:
    second = create_organization(name="Second", owner=erin, actor=SYSTEM)
    newcomer.post("/enterprise-router/organization", {"organization": str(second.id)})
    assert KEY.search(newcomer.get(PAGE).content.decode()) is None


def test_a_key_is_not_shown_after_ten_minutes(
    newcomer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 601
    monkeypatch.setattr("tenancy.once.time.time", lambda: later)
    assert KEY.search(newcomer.get(PAGE).content.decode()) is None


def test_an_admin_creates_another_key(as_alice: Client, as_bob: Client) -> None:
    assert as_bob.post(f"{PAGE}/key").status_code == 403
    assert as_alice.post(f"{PAGE}/key")["Location"] == f"{PAGE}#key"
    assert KEY.search(as_alice.get(PAGE).content.decode())


def test_one_more_organization(as_alice: Client) -> None:
    assert as_alice.get(NEW)["Location"] == "/enterprise-router/"
    assert b"Name your organization" in as_alice.get(f"{NEW}?another=1").content
    as_alice.post(f"{NEW}?another=1", {"name": "One more", "time_zone": "UTC"})
    assert b"One more" in as_alice.get(PAGE).content


def test_each_step_is_done_by_what_is_there(
    newcomer: Client, erin: User, cast: Cast, ledger: Ledger
) -> None:
    acme = UUID(newcomer.session["organization"])

    def done() -> tuple[int, bool]:
        with tenant_scope(acme):
            found = progress_of(acme, erin.id)
        return found.done, found.shown

    assert done() == (1, True)
    connect_sandbox(acme, base_url="http://127.0.0.1:9", actor=SYSTEM)
    assert done() == (1, True)
    connect_provider(acme, preset="openai", secret="sk-x", actor=SYSTEM)
    # It may be dead: it counts once a test of it succeeded, or it answered a call.
    assert done() == (1, True)
    with tenant_scope(acme):
        mark_tested(acme, "openai")
    assert done() == (2, True)
    save_preferences(acme, None, {"default_priority": "cost"}, actor=SYSTEM)
    assert done() == (3, True)
    page = newcomer.get(PAGE).content.decode()
    assert "3 of 6" in page
    add_member(acme, user=cast.bob, role=Role.VIEWER, actor=SYSTEM)
    assert done() == (4, True)


def test_a_provider_counts_once_it_answered(cast: Cast, ledger: Ledger) -> None:
    connect_provider(cast.acme.id, preset="openai", secret="sk-x", actor=SYSTEM)

    def provider() -> bool:
        with tenant_scope(cast.acme.id):
            return progress_of(cast.acme.id, cast.alice.id).provider

    ledger.write([row(cast.acme.id, now_ms(), chance=1, provider="sandbox")])
    assert not provider()
    ledger.write([row(cast.acme.id, now_ms(), chance=2, provider="openai")])
    assert provider()


def test_the_line_brings_the_count_for_the_sidebar(newcomer: Client, ledger: Ledger) -> None:
    acme = UUID(newcomer.session["organization"])
    ledger.write([row(acme, now_ms(), provider="sandbox")])
    assert b'data-steps="3 of 6"' in newcomer.get(f"{PAGE}/waiting").content


def test_dismissing_hides_it_from_ones_own_sidebar_alone(as_alice: Client, as_bob: Client) -> None:
    for client in (as_alice, as_bob):
        assert b"2 of 6" in client.get("/requests").content
    as_alice.post(f"{PAGE}/dismiss")
    assert b" of 6" not in as_alice.get("/requests").content
    assert b"2 of 6" in as_bob.get("/requests").content
    assert as_alice.get(PAGE).status_code == 200


def test_the_sidebar_costs_one_query_and_stands_on_pages_outside_too(as_alice: Client) -> None:
    with CaptureQueriesContext(connection) as caught:
        as_alice.get("/requests")
    asked = [q["sql"] for q in caught if "hides_get_started" in q["sql"]]
    assert len(asked) == 1
    lost = as_alice.get("/requests/00000000-0000-7000-8000-000000000000")
    assert lost.status_code == 404
    assert b"2 of 6" in lost.content


def test_the_line_waits_then_tells_of_the_first_answer(
    as_alice: Client, cast: Cast, committed: Cast, ledger: Ledger
) -> None:
    client = signed_in(committed.alice)
    assert "Waiting for your first request" in client.get(f"{PAGE}/waiting").content.decode()
    made = row(committed.acme.id, now_ms(), provider="sandbox", cost_nano=300_000)
    ledger.write([made])
    line = client.get(f"{PAGE}/waiting").content.decode()
    assert "Waiting" not in line
    assert f'href="/requests/{made["id"]}"' in line
    assert "$0.0003" in line
    assert "nothing is charged" in line
    assert "✓" in client.get(PAGE).content.decode()


def test_what_was_refused_shows_with_the_way_out(committed: Cast, ledger: Ledger) -> None:
    client = signed_in(committed.alice)
    ledger.write(
        [
            refused(
                committed.acme.id,
                now_ms(),
                model_requested="<i>gpt-9</i>",
                error_code="model_not_found",
                status=404,
                decision={"refused": "model_not_found", "out": [], "attempts": []},
            ),
            refused(committed.acme.id, now_ms(), chance=2, error_code="provider_blocked"),
        ]
    )
    turned_away(committed.acme.id, code="unknown_url", status=404, message="There is no POST /x.")
    turned_away(committed.acme.id, by="address")
    turned_away(committed.acme.id, by="likeness")
    line = client.get(f"{PAGE}/waiting").content.decode()
    assert line.count("<li>") == 5
    assert "&lt;i&gt;gpt-9&lt;/i&gt;" in line
    assert "No model is connected yet." in line
    assert 'href="/providers"' in line
    assert 'href="/enterprise-router/preferences"' in line
    assert f"The base URL is {settings.PUBLIC_URL}/v1." in line
    assert "A request from your network: this API key is not known here." in line
    assert "looks like yours" in line
    rival = signed_in(committed.carol)
    assert "Rejected" not in rival.get(f"{PAGE}/waiting").content.decode()


def test_an_open_page_marks_its_keys_and_its_address_for_a_minute(
    committed: Cast, ledger: Ledger
) -> None:
    signed_in(committed.alice).get(PAGE, REMOTE_ADDR="203.0.113.9")
    client = redis.Redis.from_url(settings.REDIS_URL)
    key = committed.acme_key
    for name in (f"first:{key[:12]}", f"last:{key[-4:]}", "from:203.0.113.9"):
        assert client.get(f"er:waiting:{name}") == committed.acme.id.hex.encode()
        assert 0 < client.ttl(f"er:waiting:{name}") <= 60
    client.close()


def test_without_a_model_the_page_says_so(as_alice: Client, cast: Cast) -> None:
    assert b"No model is connected." in as_alice.get(PAGE).content
    connect_provider(cast.acme.id, preset="openai", secret="sk-x", actor=SYSTEM)
    assert b"No model is connected." not in as_alice.get(PAGE).content


def test_a_viewer_sees_why_they_may_not_send(as_bob: Client) -> None:
    page = as_bob.get(PAGE).content.decode()
    assert "This needs the role member; yours is viewer." in page
    assert re.search(r'<button class="btn primary" disabled', page)
    assert "An admin can create one for you." in page


def test_a_member_sees_their_own_key_alone_and_is_led_to_creating_one(
    as_alice: Client, cast: Cast
) -> None:
    dave = create_user("dave@new.test", None)
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    client = signed_in(dave)
    page = client.get(PAGE).content.decode()
    assert "er_live_" not in page
    assert '<a href="/api-keys">Create one</a>' in page
    assert f"{cast.acme_key[:12]}…{cast.acme_key[-4:]}" in as_alice.get(PAGE).content.decode()
    made = create_key(
        cast.acme.id, name="dave key", scopes=[Scope.GATEWAY], actor=SYSTEM, user=dave
    )
    for who, key in ((client, made.secret), (as_alice, cast.acme_key)):
        page = who.get(PAGE).content.decode()
        assert f"{key[:12]}…{key[-4:]}" in page


def test_the_page_asks_the_same_number_of_times_whatever_there_is(
    committed: Cast, ledger: Ledger, django_db_blocker: Any
) -> None:
    client = signed_in(committed.alice)

    def count() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert client.get(PAGE).status_code == 200
        return len(caught)

    few = count()
    ledger.write([refused(committed.acme.id, now_ms(), chance=n) for n in range(30)])
    assert count() == few


@pytest.mark.django_db
def test_only_a_key_that_works_is_named(as_alice: Client, cast: Cast) -> None:
    def shown() -> str:
        return as_alice.get(PAGE).content.decode()

    def made(**about: Any) -> NewKey:
        scopes = about.pop("scopes", [Scope.GATEWAY])
        return create_key(
            cast.acme.id, name="n", scopes=scopes, actor=SYSTEM, user=cast.alice, **about
        )

    works = made()
    admin = made(scopes=[Scope.ADMIN])
    ended = made(expires_at=timezone.now() + timedelta(hours=1))
    with tenant_scope(cast.acme.id):
        ApiKey.objects.filter(id=ended.key.id).update(expires_at=timezone.now())
    page = shown()
    assert f"…{works.secret[-4:]}</code>" in page
    assert not any(f"…{one.secret[-4:]}</code>" in page for one in (admin, ended))
    with tenant_scope(cast.acme.id):
        ApiKey.objects.filter(organization=cast.acme).update(revoked_at=timezone.now())
    page = shown()
    assert "No API key works here yet, or any more." in page
    assert ">Create a key</button>" in page
