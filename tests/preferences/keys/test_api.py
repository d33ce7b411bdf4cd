"""/api/keys: what the pages of API keys can do goes by REST too, by the same rules."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.conftest import Cast

pytestmark = pytest.mark.django_db
PATH = "/api/keys"


@pytest.fixture
def rest(cast: Cast) -> Client:
    return Client(headers={"Authorization": f"Bearer {cast.acme_key}"})


def send(rest: Client, method: str, path: str, body: Any = None) -> Any:
    ask = getattr(rest, method)
    return ask(path) if body is None else ask(path, body, content_type="application/json")


def works(secret: str) -> bool:
    answer = Client().get("/api/calls", headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code == 200


def test_from_making_to_revoking(rest: Client, cast: Cast) -> None:
    wanted = {"name": "batch", "scopes": ["admin"], "user_id": str(cast.bob.id)}
    made = send(rest, "post", PATH, wanted)
    assert made.status_code == 201
    told = made.json()
    secret, one = told.pop("secret"), f"{PATH}/{told['id']}"
    assert works(secret)
    seen = send(rest, "get", one).json()
    assert seen.pop("last_used_at") is not None
    assert told.pop("last_used_at") is None
    assert seen == told
    assert (told["state"], told["user_id"]) == ("live", str(cast.bob.id))
    rotated = send(rest, "post", f"{one}/rotate", {"overlap_hours": 0})
    assert rotated.status_code == 201
    assert works(rotated.json()["secret"])
    assert not works(secret)
    changed = send(rest, "patch", one, {"name": "nightly", "expires_at": "2099-01-01T00:00:00Z"})
    assert (changed.json()["name"], changed.json()["user_id"]) == ("nightly", str(cast.bob.id))
    assert send(rest, "patch", one, {"user_id": None}).json()["user_id"] is None
    assert send(rest, "post", f"{one}/revoke", {}).json()["state"] == "revoked"
    assert not works(rotated.json()["secret"])
    assert send(rest, "patch", one, {"name": "again"}).status_code == 404
    assert [k["name"] for k in send(rest, "get", f"{PATH}?state=revoked").json()["data"]] == [
        "nightly"
    ]


def test_a_key_is_made_once_under_one_idempotency_key(rest: Client) -> None:
    headers = {"Idempotency-Key": "one"}
    body = {"name": "once"}
    first, again = (
        rest.post(PATH, body, content_type="application/json", headers=headers) for _ in range(2)
    )
    assert first.json() == again.json()
    assert len(send(rest, "get", f"{PATH}?q=once").json()["data"]) == 1


def test_preferences_of_a_key(rest: Client) -> None:
    id_ = send(rest, "post", PATH, {"name": "app"}).json()["id"]
    path = f"{PATH}/{id_}/preferences"
    assert send(rest, "get", path).json()["priority"] is None
    told = send(rest, "patch", path, {"priority": "cost", "max_cost_usd": "0.05"}).json()
    assert (told["priority"], told["max_cost_usd"]) == ("cost", "0.05")
    told = send(rest, "patch", path, {"max_latency_ms": 900}).json()
    assert (told["priority"], told["max_latency_ms"]) == ("cost", 900)
    assert send(rest, "patch", path, {"max_cost_usd": None}).json()["max_cost_usd"] is None


def test_the_list_goes_on_by_cursor(rest: Client) -> None:
    for number in range(55):
        send(rest, "post", PATH, {"name": f"key {number}"})
    first = send(rest, "get", PATH).json()
    rest_of = send(rest, "get", f"{PATH}?cursor={first['next_cursor']}").json()
    assert (len(first["data"]), len(rest_of["data"])) == (50, 6)
    assert rest_of["next_cursor"] is None
    assert not {k["id"] for k in first["data"]} & {k["id"] for k in rest_of["data"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes"),
        ({"name": "x", "allowed_networks": ["10.0.0.1/8"]}, "allowed_networks"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "user_id": "00000000-0000-7000-8000-000000000000"}, "user_id"),
        ({}, "name"),
    ],
)
def test_what_is_wrong_is_named(rest: Client, body: dict[str, Any], field: str) -> None:
    answer = send(rest, "post", PATH, body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_a_stranger_is_acted_for_by_no_key(rest: Client, cast: Cast) -> None:
    answer = send(rest, "post", PATH, {"name": "x", "user_id": str(cast.carol.id)})
    assert (answer.status_code, answer.json()["field"]) == (422, "user_id")
