"""/api/providers: what the pages can do goes by REST too, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from catalog.models import Provider
from tenancy.scope import tenant_scope
from tests.catalog.sandbox_process import Server, server, shared  # noqa: F401  are fixtures
from tests.conftest import Cast

pytestmark = pytest.mark.django_db
SECRET = "sk-canary-0123456789abcdef"
PATH = "/api/providers"


@pytest.fixture
def rest(cast: Cast) -> Client:
    return Client(headers={"Authorization": f"Bearer {cast.acme_key}"})


def send(rest: Client, method: str, path: str, body: Any = None) -> Any:
    ask = getattr(rest, method)
    return ask(path) if body is None else ask(path, body, content_type="application/json")


def test_from_connecting_to_removing(rest: Client, cast: Cast) -> None:
    made = send(rest, "post", PATH, {"preset": "groq", "secret": SECRET, "region": "us"})
    assert made.status_code == 201
    told = made.json()
    assert told["credential"]["last_four"] == "cdef"
    assert (told["slug"], told["region"], told["state"]) == ("groq", "us", "No recent calls")
    assert SECRET not in made.content.decode()
    assert send(rest, "post", PATH, {"preset": "groq", "secret": SECRET}).status_code == 409
    one = f"{PATH}/groq"
    changed = send(rest, "patch", one, {"name": "Groq EU", "active": False}).json()
    assert (changed["name"], changed["active"], changed["region"]) == ("Groq EU", False, "us")
    moved = send(rest, "put", f"{one}/address", {"base_url": "https://eu.example.com/v1"}).json()
    assert moved["credential"] is None
    assert send(rest, "post", f"{one}/credentials", {"secret": SECRET}).status_code == 201
    listed = send(rest, "get", PATH).json()
    assert [p["slug"] for p in listed["data"]] == ["groq"]
    assert listed["next_cursor"] is None
    assert send(rest, "delete", one).status_code == 204
    assert send(rest, "get", one).status_code == 404
    with tenant_scope(cast.acme.id):
        assert not Provider.objects.exists()


def test_models_and_their_prices(rest: Client) -> None:
    send(rest, "post", PATH, {"preset": "openai", "secret": SECRET})
    models = f"{PATH}/openai/deployments"
    listed = send(rest, "get", models).json()["data"]
    mini = next(m for m in listed if m["model"] == "gpt-4o-mini")
    assert mini["price_source"].startswith("genai-prices")
    assert not mini["price_is_own"]
    alias = {"model": "cheap", "upstream_model": "gpt-4o-mini", "quality": 9}
    made = send(rest, "post", models, alias)
    assert made.status_code == 201
    told = made.json()
    assert told["context_window"] == mini["context_window"]
    assert told["input_usd_per_mtok"] == mini["input_usd_per_mtok"]
    one = f"{models}/{told['id']}"
    assert send(rest, "patch", one, {"quality": 10}).json()["quality"] == 10
    price = {"input_usd_per_mtok": "0.1", "output_usd_per_mtok": "0.2", "source": "contract"}
    priced = send(rest, "put", f"{one}/price", price).json()
    assert (priced["input_usd_per_mtok"], priced["price_is_own"]) == ("0.1", True)
    assert not send(rest, "delete", f"{one}/price").json()["price_is_own"]
    assert send(rest, "delete", one).status_code == 204
    assert send(rest, "get", one).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("post", "", {"preset": "nobody"}, "preset"),
        ("post", "", {"preset": "groq", "base_url": "https://10.0.0.1/v1"}, "base_url"),
        ("post", "", {"preset": "groq", "slug": "presets"}, "slug"),
        ("post", "", {"preset": "groq", "is_local": True}, "confirm_local"),
        ("patch", "/openai", {"is_local": True}, "confirm_local"),
        ("patch", "/openai", {"name": ""}, "name"),
        ("post", "/openai/credentials", {"secret": ""}, "secret"),
        ("put", "/openai/address", {"base_url": "https://[::1]/"}, "base_url"),
        ("post", "/openai/deployments", {"model": "unheard"}, "context_window"),
    ],
)
def test_what_is_wrong_is_named(
    rest: Client, settings: Any, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    settings.PRIVATE_NETWORKS = ()
    send(rest, "post", PATH, {"preset": "openai", "secret": SECRET})
    answer = send(rest, method, PATH + path, body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_a_test_tells_what_came_of_it(rest: Client, server: Server) -> None:  # noqa: F811
    box = {"preset": "local", "slug": "box", "base_url": f"{server.url}/v1", "secret": SECRET}
    send(rest, "post", PATH, box)
    told = send(rest, "post", f"{PATH}/box/test", {}).json()
    assert (told["reachable"], told["credential"]) == (True, "accepted")
    assert "sandbox-fast" in told["models"]
    away = {"preset": "local", "slug": "away", "base_url": "http://127.0.0.1:9/v1"}
    send(rest, "post", PATH, away)
    assert not send(rest, "post", f"{PATH}/away/test", {}).json()["reachable"]


def test_a_body_and_its_version_are_of_one_moment(
    rest: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(rest, "post", PATH, {"preset": "groq", "secret": SECRET})

    def meanwhile(organization_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Any]:
        Provider.objects.filter(organization_id=organization_id, slug="groq").update(name="Newer")
        return {}

    with monkeypatch.context() as patched:
        patched.setattr("routing.providers.api.read_health", meanwhile)
        shown = rest.get(f"{PATH}/groq")
    assert shown.json()["name"] == "Groq"
    late = rest.patch(
        f"{PATH}/groq",
        {"name": "Mine"},
        content_type="application/json",
        headers={"If-Match": shown["ETag"]},
    )
    assert (late.status_code, late.json()["current"]["name"]) == (412, "Newer")
