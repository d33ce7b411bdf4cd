"""What was said in a call: on its page, as a file and by REST, for those who may read it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics.ledger import Ledger
from analytics.models import CallBodies
from tenancy.core import SYSTEM, Role
from tenancy.models import Organization
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tests.analytics.rows import row, said
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.django_db
ASKED = b'{"model":"auto","messages":[{"role":"user","content":"<script>alert(1)</script>"}]}'
Store = Callable[..., str]


@pytest.fixture
def store() -> Iterator[Store]:
    """Writes a call with its bodies as the drainer does; gives its id."""
    ledger = Ledger(settings.DATABASE_INGEST_URL)

    def _store(
        organization_id: Any, asked: bytes = ASKED, answer: bytes = b"hi", **fields: Any
    ) -> str:
        call = row(organization_id, time.time_ns() // 1_000_000, **fields)
        ledger.write([call], [said(call, asked, answer)])
        return str(call["id"])

    yield _store
    ledger.close()


def page(client: Client, call: str) -> str:
    answer = client.get(f"/requests/{call}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_admin_reads_what_was_said(cast: Cast, store: Store) -> None:
    call = store(cast.acme.id, answer=b"x" * 30_000)
    owner = signed_in(cast.alice)
    shown = page(owner, call)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert" not in shown
    assert "x" * 20_000 in shown
    assert "x" * 20_001 not in shown
    file = owner.get(f"/requests/{call}/request")
    assert file.content == ASKED
    assert file["Content-Type"] == "application/json; charset=utf-8"
    assert file["Content-Disposition"] == f'attachment; filename="{call}-request.json"'
    file = owner.get(f"/requests/{call}/answer")
    assert (file.content, file["Content-Type"]) == (b"x" * 30_000, "text/plain; charset=utf-8")


def test_what_is_nested_too_deeply_is_shown_as_it_is(cast: Cast, store: Store) -> None:
    deep = b"[" * 100_000
    assert "[[[[" in page(signed_in(cast.alice), store(cast.acme.id, answer=deep))


def test_a_key_reads_what_was_said_and_how_long_it_was(
    cast: Cast, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.tape.KEPT_BYTES_MAX", 10)
    call = store(cast.acme.id)
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})
    told = client.get(f"/api/calls/{call}/bodies").json()
    assert told == {
        "request": {"text": ASKED[:10].decode(), "size": len(ASKED), "is_cut": True},
        "answer": {"text": "hi", "size": 2, "is_cut": False},
    }


def test_a_member_reads_only_their_own(cast: Cast, store: Store) -> None:
    dave = create_user("dave@bodies.example.com", None)
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    member = signed_in(dave)
    others, own = store(cast.acme.id), store(cast.acme.id, user_id=str(dave.id), chance=7)
    assert "alert(1)" not in page(member, others)
    assert "Whoever sent the request and admins can read it." in page(member, others)
    assert member.get(f"/requests/{others}/request").status_code == 403
    assert "alert(1)" in page(member, own)
    assert member.get(f"/requests/{own}/request").content == ASKED


def curl_of(page: str) -> str:
    """What the page's button copies."""
    return unescape(page.partition('<template id="curl">')[2].partition("</template>")[0])


def test_curl_sends_what_was_stored(cast: Cast, store: Store) -> None:
    asked = b'{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"it\'s <b>"}]}'
    shown = page(signed_in(cast.alice), store(cast.acme.id, asked))
    assert "placeholder prompt" not in shown
    # A shell in which curl says what it would send.
    said = subprocess.run(
        ["sh", "-c", f'curl() {{ for last; do :; done; printf %s "$last"; }}\n{curl_of(shown)}'],
        capture_output=True,
        timeout=10,
    )
    assert said.stdout == asked


def test_curl_says_that_a_prompt_is_a_placeholder(cast: Cast, store: Store) -> None:
    dave = create_user("dave@curl.example.com", None)
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    shown = page(signed_in(dave), store(cast.acme.id))
    assert "Copy as curl (placeholder prompt)" in shown
    assert "alert(1)" not in curl_of(shown)


@pytest.mark.parametrize("asked", [b'"' + b"x" * 30_000 + b'"', b"{\x1b[201~}", "{\x9b}".encode()])
def test_curl_takes_from_its_file_what_no_terminal_should_get(
    cast: Cast, store: Store, asked: bytes
) -> None:
    owner = signed_in(cast.alice)
    call = store(cast.acme.id, asked)
    command = curl_of(page(owner, call))
    name = owner.get(f"/requests/{call}/request")["Content-Disposition"].split('"')[1]
    assert command.startswith(f"# Download the request from its page first: {name}.\ncurl ")
    assert command.endswith(f"--data-binary @{name}")


def test_curl_says_that_a_body_was_cut_off(
    cast: Cast, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.tape.KEPT_BYTES_MAX", 10)
    command = curl_of(page(signed_in(cast.alice), store(cast.acme.id)))
    assert command.startswith(f"# Only the beginning of the body's {len(ASKED)} bytes was stored.")
    assert ASKED[:10].decode() in command


def test_of_an_interrupted_call_the_page_claims_nothing(cast: Cast) -> None:
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ended = {"success": False, "status": 500, "error_code": "interrupted", "latency_ms": 0}
    call = row(cast.acme.id, time.time_ns() // 1_000_000, decision={"interrupted": True}, **ended)
    ledger.write([call])
    ledger.close()
    with tenant_scope(cast.acme.id):
        Organization.objects.filter(id=cast.acme.id).update(store_bodies=True)
    owner = signed_in(cast.alice)
    shown = page(owner, call["id"])
    assert "process ended before the answer was complete" in shown
    assert "<dt>Whole request</dt><dd>not known</dd>" in shown
    assert "process ended before.</p>" in shown
    for false in ("days are over", "0 ms", "Refused"):
        assert false not in shown
    assert "not known" in owner.get("/requests").content.decode()


def test_nothing_of_another_organization_is_read(cast: Cast, store: Store) -> None:
    call = store(cast.rival.id)
    owner = signed_in(cast.alice)
    assert owner.get(f"/requests/{call}/request").status_code == 404
    key = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})
    assert key.get(f"/api/calls/{call}/bodies").json()["code"] == "not_found"


def test_the_page_says_why_nothing_is_here(cast: Cast, store: Store) -> None:
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    call = row(cast.acme.id, time.time_ns() // 1_000_000)
    ledger.write([call])
    ledger.close()
    owner = signed_in(cast.alice)
    assert '<a href="/organization">Organization settings</a>' in page(owner, call["id"])
    with tenant_scope(cast.acme.id):
        Organization.objects.filter(id=cast.acme.id).update(store_bodies=True)
    assert "its 30 days are over" in page(owner, call["id"])
    key = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})
    assert key.get(f"/api/calls/{call['id']}/bodies").json()["code"] == "not_stored"


def test_the_list_never_touches_what_was_said(cast: Cast, store: Store) -> None:
    owner = signed_in(cast.alice)
    store(cast.acme.id, chance=1)
    before = len(owner.get("/requests").content)
    store(cast.acme.id, answer=os.urandom(5_000_000), chance=2)
    with CaptureQueriesContext(connection) as asked:
        listed = owner.get("/requests").content
    assert listed.count(b'<tr class="opens"') == 2
    assert len(listed) < before + 3_000
    assert not [query["sql"] for query in asked if CallBodies._meta.db_table in query["sql"]]
