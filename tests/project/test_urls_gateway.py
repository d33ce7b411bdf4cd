"""Every operation of /v1 for everybody, at the gateway's own door and at Django's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from catalog.presets import ModelPreset
from catalog.services import connect_provider
from project.asgi import django_application
from routing.runtime import Runtime
from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import new_id
from tenancy.services import add_member, create_key, create_user, revoke_key
from tests.conftest import Cast, signed_in
from tests.project.url_row import ACTORS
from tests.project.url_table import GATEWAY_ROWS

ONLY_OURS = ModelPreset("acme-only", 8_192, 1_024, frozenset({"streaming"}), 50)
Headers = dict[str, str]


def people_of(cast: Cast) -> dict[str, Headers]:
    """What each actor sends along: nothing, a session's cookie, or a key."""
    tag = new_id().hex
    dave, erin = (create_user(f"{name}-{tag}@example.com", None) for name in ("dave", "erin"))
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    add_member(cast.acme.id, user=erin, role=Role.ADMIN, actor=SYSTEM)
    revoked = create_key(cast.acme.id, name="old", scopes=list(Scope), actor=SYSTEM)
    revoke_key(cast.acme.id, revoked.key.id, actor=SYSTEM)
    gateway = create_key(cast.acme.id, name="app", scopes=[Scope.GATEWAY], actor=SYSTEM)
    users = {"stranger": cast.carol, "viewer": cast.bob, "owner": cast.alice}
    keys = {
        "key": cast.acme_key,
        "rival_key": cast.rival_key,
        "revoked_key": revoked.secret,
        "gateway_key": gateway.secret,
    }
    name = settings.SESSION_COOKIE_NAME
    sessions = {
        actor: {"cookie": f"{name}={signed_in(user).cookies[name].value}"}
        for actor, user in {**users, "member": dave, "admin": erin}.items()
    }
    bearers = {actor: {"authorization": f"Bearer {key}"} for actor, key in keys.items()}
    return {"nobody": {}, **sessions, **bearers}


async def ask(app: Any, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Any]:
    """Status and JSON of an ASGI application's answer."""
    told: list[dict[str, Any]] = []
    asked = False
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await answered.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        told.append(event)

    sent = {"host": "localhost", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
        "client": ("203.0.113.7", 5000),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    answered.set()
    content = b"".join(event.get("body", b"") for event in told[1:])
    return told[0]["status"], json.loads(content)


def ask_all(journal: Path, calls: dict[Any, tuple[str, str, Headers, bytes]]) -> dict[Any, Any]:
    """The answers at both doors of one gateway, by call and door."""

    async def _all() -> dict[Any, Any]:
        runtime = Runtime(
            redis_url=settings.REDIS_URL,
            journal_dir=journal,
            pepper=settings.API_KEY_PEPPER,
            trusted_proxies=0,
            body_bytes_max=settings.BODY_BYTES_MAX,
            body_key=settings.ENCRYPTION_KEY,
        )
        doors = {"own": runtime.door, "django": django_application}
        try:
            async with asyncio.timeout(60):
                return {
                    (*call, door): await ask(app, *given)
                    for call, given in calls.items()
                    for door, app in doors.items()
                }
        finally:
            await runtime.close()

    return asyncio.run(_all())


@pytest.fixture
def people(committed: Cast) -> dict[str, Headers]:
    """The actors of an organization that has one model of its own."""
    connect_provider(
        committed.acme.id, preset="openai", secret="sk-x", actor=SYSTEM, models=[ONLY_OURS]
    )
    return people_of(committed)


def test_everybody_gets_what_the_table_says_at_both_doors(
    people: dict[str, Headers], tmp_path: Path
) -> None:
    calls = {
        (str(row), actor): (row.method, row.path, people[actor], json.dumps(row.data).encode())
        for row in GATEWAY_ROWS
        for actor in ACTORS
    }
    answers = ask_all(tmp_path, calls)
    for row in GATEWAY_ROWS:
        for door in ("own", "django"):
            got = {actor: str(answers[str(row), actor, door][0]) for actor in ACTORS}
            assert got == row.expected(), (str(row), door)
    for (_, actor, _), (status, body) in answers.items():
        if status >= 400:
            assert body["error"]["message"]
            assert body["error"]["code"]
        if actor == "rival_key":
            assert "acme-only" not in json.dumps(body) or status == 404


def test_a_model_of_others_looks_like_one_that_never_was(
    people: dict[str, Headers], tmp_path: Path
) -> None:
    rival = people["rival_key"]
    calls: dict[Any, tuple[str, str, Headers, bytes]] = {}
    for name in ("acme-only", "never-was"):
        body = json.dumps({"model": name, "messages": [{"role": "user", "content": "x"}]})
        calls[name, "show"] = ("GET", f"/v1/models/{name}", rival, b"")
        calls[name, "call"] = ("POST", "/v1/chat/completions", rival, body.encode())
    answers = ask_all(tmp_path, calls)
    for way in ("show", "call"):
        for door in ("own", "django"):
            ours, never = (answers[name, way, door] for name in ("acme-only", "never-was"))
            assert ours[0] == never[0] == 404
            assert json.dumps(ours[1]).replace("acme-only", "never-was") == json.dumps(never[1])
