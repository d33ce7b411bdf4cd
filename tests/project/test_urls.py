"""Every address for everybody, and what an address of another organization tells: nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from analytics.ledger import Ledger
from catalog.presets import TEXT, ModelPreset
from catalog.services import connect_provider
from lib.ids import uuid7_text
from project.api import api, v1
from tenancy.core import SYSTEM, Role, Scope
from tenancy.invitations import invite
from tenancy.models import Invitation, Membership, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_user, revoke_key
from tests.analytics.rows import row
from tests.conftest import Cast, signed_in
from tests.project.url_row import ACTORS, SIGN_IN, Row
from tests.project.url_table import GATEWAY_ROWS, ROWS, patterns

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class People:
    """A client of each actor, one call of acme and of rival, and acme's key "app"."""

    clients: dict[str, Client]
    cast: Cast
    call: str
    rivals_call: str
    key: str
    ids: dict[str, str]


@pytest.fixture
def people(cast: Cast) -> Iterator[People]:
    """The cast as clients. Sign-in counts attempts in the cache, so that starts empty."""
    cache.clear()
    both = [Scope.GATEWAY, Scope.ADMIN]
    revoked = create_key(cast.acme.id, name="old", scopes=both, actor=SYSTEM)
    revoke_key(cast.acme.id, revoked.key.id, actor=SYSTEM)
    gateway = create_key(cast.acme.id, name="app", scopes=[Scope.GATEWAY], actor=SYSTEM)
    dave, erin = (create_user(f"{name}@urls.example.com", PASSWORD) for name in ("dave", "erin"))
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    add_member(cast.acme.id, user=erin, role=Role.ADMIN, actor=SYSTEM)
    users = {"stranger": cast.carol, "viewer": cast.bob, "member": dave, "admin": erin}
    keys = {
        "key": cast.acme_key,
        "rival_key": cast.rival_key,
        "revoked_key": revoked.secret,
        "gateway_key": gateway.secret,
    }
    clients = {
        "nobody": Client(),
        "owner": signed_in(cast.alice),
        **{name: signed_in(user) for name, user in users.items()},
        **{name: Client(headers={"Authorization": f"Bearer {k}"}) for name, k in keys.items()},
    }
    now_ms = time.time_ns() // 1_000_000
    rows = [row(cast.acme.id, now_ms, chance=1), row(cast.rival.id, now_ms, chance=2)]
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(rows)
    ledger.close()
    ids = ids_of(cast)
    key = str(gateway.key.id)
    yield People(clients, cast, rows[0]["id"], rows[1]["id"], key, ids)
    cache.clear()


def ids_of(cast: Cast) -> dict[str, str]:
    """More rows of acme that an address may name: a membership, an invitation, a model."""
    offer = {"email": "new@urls.example.com", "role": Role.VIEWER}
    sent = invite(cast.acme.id, **offer, by=Role.ADMIN, actor=SYSTEM)
    with tenant_scope(cast.acme.id):
        viewer = Membership.objects.get(user=cast.bob)
        # Long enough ago to be sent again.
        long_ago = sent.invitation.sent_at - timedelta(hours=2)
        Invitation.objects.filter(id=sent.invitation.id).update(sent_at=long_ago)
    # Nobody listens there.
    far = {"preset": "local", "slug": "far", "base_url": "http://127.0.0.1:9/v1"}
    tiny = ModelPreset("tiny", 2048, 1024, TEXT, 50)
    provider = connect_provider(cast.acme.id, **far, secret="", actor=SYSTEM, models=[tiny])
    with tenant_scope(cast.acme.id):
        model = provider.deployments.get()
    return {
        "model": str(model.id),
        "viewer": str(viewer.id),
        "invitation": str(sent.invitation.id),
        "token": sent.link.rpartition("/")[2],
    }


def ask(people: People, actor: str, row: Row) -> Any:
    """The answer to an actor; braces in the row are filled in."""
    known = {
        "call": people.call,
        "acme": str(people.cast.acme.id),
        "alice": str(people.cast.alice.id),
        "key": people.key,
        **people.ids,
    }
    path = row.path.format(**known)
    method = getattr(people.clients[actor], row.method.lower())
    if row.path.startswith("/api/") and row.method != "GET":
        filled = {n: v.format(**known) if isinstance(v, str) else v for n, v in row.data.items()}
        return method(path, filled, content_type="application/json")
    return method(path, {n: str(v).format(**known) for n, v in row.data.items()})


def outcome(answer: Any) -> str:
    """The status, or that the sign-in page comes first."""
    if answer.status_code == 302 and answer["Location"].startswith(settings.LOGIN_URL + "?next="):
        return SIGN_IN
    return str(answer.status_code)


def plain(answer: Any, id_: str) -> str:
    """A body without what differs from answer to answer."""
    text = re.sub(r"\b[A-Za-z0-9]{64}\b", "TOKEN", answer.content.decode())
    return text.replace(id_, "ID")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_everybody_gets_what_the_table_says(people: People, row: Row) -> None:
    got = {actor: outcome(ask(people, actor, row)) for actor in ACTORS}
    assert got == row.expected()


def test_every_address_stands_in_the_table() -> None:
    assert {row.pattern for row in [*ROWS, *GATEWAY_ROWS]} == set(patterns())


def test_every_operation_of_the_apis_stands_in_the_table() -> None:
    known = {(row.method, row.pattern) for row in [*ROWS, *GATEWAY_ROWS]}
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path.removeprefix("/")))
        for schema in (api.get_openapi_schema(), v1.get_openapi_schema())
        for path, methods in schema["paths"].items()
        for method in methods
    }
    assert len(described) >= 6
    assert described <= {(method, re.sub(r"<\w+:\w+>", "{}", path)) for method, path in known}


# Identity providers send people to /acs/ from their own pages; what they bring is signed instead.
# What comes with a key has no cookie that another site could use.
FORMS = [
    row
    for row in ROWS
    if row.method == "POST"
    and "405" not in row.statuses
    and not row.path.endswith("/acs/")
    and not row.path.startswith("/api/")
]


@pytest.mark.parametrize("row", FORMS, ids=str)
def test_no_form_is_taken_without_its_token(people: People, row: Row) -> None:
    for client in people.clients.values():
        client.handler.enforce_csrf_checks = True
    for actor in ("nobody", "owner"):
        answer = ask(people, actor, row)
        assert answer.status_code == 403, actor
        assert b"another" in answer.content or b"token" in answer.content.lower()


@pytest.mark.parametrize(("actor", "path"), [("owner", "/requests/{}"), ("key", "/api/calls/{}")])
def test_what_belongs_to_others_looks_like_what_never_was(
    people: People, actor: str, path: str
) -> None:
    random = uuid7_text(time.time_ns() // 1_000_000, 12345)
    told = []
    for id_ in (people.rivals_call, random):
        answer = people.clients[actor].get(path.format(id_))
        assert answer.status_code == 404
        told.append((plain(answer, id_), sorted(answer.headers), answer["Content-Type"]))
    assert told[0] == told[1]
    assert people.clients[actor].get(path.format(people.call)).status_code == 200


def test_choosing_an_organization_of_others_looks_like_choosing_none(people: People) -> None:
    told = []
    for id_ in (str(people.cast.rival.id), str(new_id())):
        answer = people.clients["owner"].post(
            "/enterprise-router/organization", {"organization": id_}
        )
        told.append((answer.status_code, plain(answer, id_)))
    assert told[0] == told[1]
    assert told[0][0] == 404


def test_a_page_never_shows_anything_of_others(people: People) -> None:
    for path in ("/requests", "/enterprise-router/preferences", f"/requests/{people.call}"):
        page = people.clients["owner"].get(path).content.decode()
        assert people.cast.acme.name in page
        for secret in (people.cast.rival.name, people.rivals_call, str(people.cast.rival.id)):
            assert secret not in page


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# They lead on or describe, whatever the method, and know nobody.
SAME_FOR_ALL = {"", "api/", "api/openapi.json", "v1/openapi.json"}


def test_no_method_of_an_address_is_left_out_of_the_table(people: People) -> None:
    """What has no row is refused: nothing is done in a way whose roles nobody wrote down."""
    known = {(row.method, row.pattern) for row in ROWS}
    # allauth's own pages take what it likes; they are everybody's own account.
    first = {
        row.pattern: row
        for row in reversed(ROWS)
        if not row.pattern.startswith("accounts/") and row.pattern not in SAME_FOR_ALL
    }
    open_ = []
    for pattern, known_row in first.items():
        for method in METHODS:
            if (method, pattern) in known:
                continue
            for actor in ("owner", "key"):
                with transaction.atomic():
                    answer = ask(people, actor, replace(known_row, method=method, data={}))
                    transaction.set_rollback(True)
                if outcome(answer) not in ("404", "405", SIGN_IN):
                    open_.append((method, pattern, actor, answer.status_code))
    assert open_ == []
