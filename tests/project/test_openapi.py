"""The description of /api: complete, stable, and true for every operation that reads."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
from django.conf import settings
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as often
from hypothesis import strategies as st
from ninja import Schema

from analytics.ledger import Ledger
from catalog.models import Deployment
from project.api import api, v1
from project.openapi import example_of
from tenancy.models import ApiKey, Membership
from tenancy.scope import tenant_scope
from tests.analytics.rows import after_fallback, said
from tests.conftest import Cast
from tests.tenancy.samples import make_samples

pytestmark = pytest.mark.django_db

SCHEMA = api.get_openapi_schema()
SCHEMAS = SCHEMA["components"]["schemas"]


def operations(*methods: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, found in SCHEMA["paths"].items():
        for method, operation in found.items():
            if not methods or method in methods:
                yield method, path, operation


def test_there_are_operations() -> None:
    assert len(list(operations())) >= 8


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    list(operations()),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_every_operation_says_what_it_does(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert operation["security"]
    for one in operation["parameters"]:
        assert one.get("description") or one["in"] == "path", one["name"]
    if body := operation.get("requestBody"):
        for media in body["content"].values():
            assert example_of(media["schema"], SCHEMAS) not in (None, {})
    good = [status for status in operation["responses"] if status.startswith("2")]
    assert good
    for status in good:
        for media in operation["responses"][status].get("content", {}).values():
            assert media["schema"]
    assert {"401", "403", "422"} <= set(operation["responses"])
    named = [one["name"] for one in operation["parameters"]]
    assert ("Idempotency-Key" in named) is (method == "post")


def test_examples_of_bodies_hold_as_they_are_printed() -> None:
    """No id, provider or address that only the example knows."""
    bodies = {
        path.rsplit("/", 1)[1]: operation["requestBody"]["content"]["application/json"]["schema"]
        for path, found in v1.get_openapi_schema()["paths"].items()
        for operation in found.values()
        if "requestBody" in operation
    }
    hello = [{"role": "user", "content": "Say hello"}]
    assert example_of(bodies["completions"], {}) == {"model": "auto", "messages": hello}
    assert example_of(bodies["embeddings"], {}) == {"model": "auto", "input": "Hello"}
    assert "user_id" not in example_of(SCHEMAS["KeyIn"], SCHEMAS)
    assert example_of(SCHEMAS["OrganizationPatch"], SCHEMAS)["name"]
    assert not {"is_local", "base_url"} & set(example_of(SCHEMAS["ProviderIn"], SCHEMAS))
    assert not [n for n in example_of(SCHEMAS["PreferencesIn"], SCHEMAS) if n.endswith("providers")]


def test_every_field_is_described_somewhere() -> None:
    """The name says it, or the description does; none is left without a type."""
    for name, schema in SCHEMAS.items():
        assert schema.get("description"), name
        for field, one in schema.get("properties", {}).items():
            known = {"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"}
            assert known & set(one), f"{name}.{field}"


def test_no_two_shapes_share_a_name() -> None:
    """The description keeps one of each name, so a second one would tell of the first."""
    named: dict[str, set[str]] = {}

    def walk(shape: Any) -> None:
        if isinstance(shape, type) and issubclass(shape, Schema):
            named.setdefault(shape.__name__, set()).add(shape.__module__)
            for field in shape.model_fields.values():
                walk(field.annotation)
        for inner in get_args(shape):
            walk(inner)

    for bound in api._get_bound_routers():
        for view in bound.path_operations.values():
            for operation in view.operations:
                for shape in get_type_hints(operation.view_func).values():
                    walk(shape)
                for model in operation.response_models.values():
                    if isinstance(model, type):
                        walk(model.model_fields["response"].annotation)
    assert len(named) > 10
    assert {name: where for name, where in named.items() if len(where) > 1} == {}


def test_operation_ids_are_short_and_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,39}", one) for one in ids)


def test_the_key_is_described() -> None:
    (scheme,) = SCHEMA["components"]["securitySchemes"].values()
    assert scheme["type"] == "http"
    assert scheme["scheme"] == "bearer"
    assert "admin scope" in scheme["description"]


def test_the_description_is_for_everybody_and_the_same_twice(client: Client) -> None:
    first, second = client.get("/api/openapi.json"), client.get("/api/openapi.json")
    assert first.status_code == 200
    assert first.json() == second.json()
    assert first.json()["paths"].keys() == SCHEMA["paths"].keys()


@pytest.fixture
def caller(cast: Cast) -> tuple[Client, dict[str, str]]:
    """A client with acme's key, and an id of each kind of thing that acme has."""
    make_samples(cast.acme.id)
    made = after_fallback(cast.acme.id, time.time_ns() // 1_000_000)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([made], [said(made)])
    ledger.close()
    with tenant_scope(cast.acme.id):
        key = ApiKey.objects.filter(organization_id=cast.acme.id, revoked_at=None).first()
        member = Membership.objects.filter(organization_id=cast.acme.id).first()
        model = Deployment.objects.get(provider__slug="openai")
    assert key is not None
    assert member is not None
    ids = {
        "call_id": made["id"],
        "key_id": str(key.id),
        "user_id": str(member.user_id),
        "member_id": str(member.id),
        "slug": "openai",
        "provider": "openai",
        "model": "cheap",
        "deployment_id": str(model.id),
    }
    return Client(headers={"Authorization": f"Bearer {cast.acme_key}"}), ids


def answers(ids: dict[str, str], client: Client) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Each operation that reads, with its answer; ids in its path are those of acme."""
    for _, path, operation in operations("get"):
        filled = re.sub(r"{(\w+)}", lambda m: ids.get(m[1], "00000000-0000-7000-8000-0"), path)
        yield path, operation, client.get(filled)


def test_every_read_answers_as_it_is_described(caller: tuple[Client, dict[str, str]]) -> None:
    client, ids = caller
    wrong = {}
    for path, operation, answer in answers(ids, client):
        if (
            answer.status_code == 404
            and "{" in path
            and not set(re.findall(r"{(\w+)}", path)) & (ids.keys())
        ):
            continue
        if answer.status_code != 200:
            wrong[path] = (answer.status_code, b"".join(answer)[:200])
            continue
        media = operation["responses"]["200"].get("content", {}).get("application/json")
        if media and answer["Content-Type"].startswith("application/json"):
            schema = {**media["schema"], "components": SCHEMA["components"]}
            if why := list(jsonschema.Draft202012Validator(schema).iter_errors(answer.json())):
                wrong[path] = (200, [f"{e.json_path}: {e.message[:120]}" for e in why[:3]])
    assert wrong == {}


def test_every_list_is_a_page(caller: tuple[Client, dict[str, str]]) -> None:
    client, ids = caller
    for path, operation, answer in answers(ids, client):
        if operation["operationId"].startswith("list_"):
            assert {"data", "next_cursor"} <= answer.json().keys(), path


TEXT = st.text(max_size=40)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@often(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_nonsense_breaks_an_operation(
    caller: tuple[Client, dict[str, str]], data: st.DataObject
) -> None:
    client, ids = caller
    client.raise_request_exception = False
    method, path, operation = data.draw(st.sampled_from(list(operations())))
    filled = re.sub(
        r"{(\w+)}",
        lambda m: ids.get(m[1], "x") if data.draw(st.booleans()) else "0198c5b2",
        path,
    )
    query = {
        one["name"]: data.draw(TEXT) for one in operation["parameters"] if one["in"] == "query"
    }
    body = data.draw(JUNK)
    if method != "get" and isinstance(body, dict) and data.draw(st.booleans()):
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        names = list(example_of(media["schema"], SCHEMAS) or {}) if media else []
        body = {name: data.draw(JUNK) for name in names}
    if method == "get":
        answer = client.get(filled, query)
    else:
        answer = getattr(client, method)(filled, body, content_type="application/json")
    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_the_page_shows_every_operation(client: Client) -> None:
    page = client.get("/api/docs").content.decode()
    gateway = [o for found in v1.get_openapi_schema()["paths"].values() for o in found.values()]
    for operation in [*(o for _, _, o in operations()), *gateway]:
        assert f'id="{operation["operationId"]}"' in page
        assert f'id="curl-{operation["operationId"]}"' in page
    assert "Idempotency-Key" in page
    assert "//cdn" not in page


def test_the_page_is_inside_the_frame_for_members(client: Client, as_alice: Client) -> None:
    assert b'id="side"' in as_alice.get("/api/docs").content
    assert b'id="side"' not in client.get("/api/docs").content
