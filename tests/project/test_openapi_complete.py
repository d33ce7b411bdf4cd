"""The description of /api says everything: each field, parameter, answer and refusal, by example.

And what it says holds: examples pass their schemas, and bodies work as they are printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.project.test_openapi import SCHEMA, SCHEMAS, operations
from tests.project.test_urls import People, people  # noqa: F401  (a fixture)

OPERATIONS = [
    pytest.param(method, path, operation, id=f"{method} {path}")
    for method, path, operation in operations()
]
KNOWN = re.compile(r"^(uuid|date|date-time)$")
WORDS_MIN = 4


def _has_example(schema: dict[str, Any]) -> bool:
    """Whether an example of it is somebody's, and not only a value of the type."""
    if {"example", "examples", "const", "enum", "$ref"} & set(schema):
        return True
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return any(_has_example(one) for one in schema[name] if one.get("type") != "null")
    if schema.get("type") == "array":
        return _has_example(schema["items"])
    return schema.get("type") in ("boolean", "null") or bool(KNOWN.match(schema.get("format", "")))


def _media(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent and answered, by what it is."""
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f"body {kind}", media
    for status, said in operation["responses"].items():
        for kind, media in said.get("content", {}).items():
            yield f"{status} {kind}", media


def test_every_field_is_described_by_example() -> None:
    wrong = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, one in schema.get("properties", {}).items()
        if not one.get("description")
        or not (_has_example(one) or field in schema.get("example", {}))
        if (name, field) != ("Problem", "current")
    ]
    assert wrong == []


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_operation_is_described_whole(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    assert len(operation["summary"].split()) >= 2
    assert len(operation["description"].split()) >= WORDS_MIN
    for one in operation.get("parameters", []):
        assert one.get("description"), one["name"]
    statuses = set(operation["responses"])
    assert [status for status in statuses if status < "3"]
    assert {"401", "403", "422", "429"} <= statuses
    assert "404" in statuses or "{" not in path
    assert "409" in statuses or method == "get"
    assert "413" in statuses or "requestBody" not in operation
    for status, said in operation["responses"].items():
        assert said["description"]
        assert said.get("content") or status == "204", status
    for what, media in _media(operation):
        assert media.get("example") not in (None, ""), what


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_examples_are_what_they_are_examples_of(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    for what, media in _media(operation):
        schema = {**media["schema"], "components": SCHEMA["components"]}
        checked = jsonschema.Draft202012Validator(schema)
        wrong = [f"{e.json_path}: {e.message}" for e in checked.iter_errors(media["example"])]
        assert wrong == [], what


def test_the_description_is_sound() -> None:
    """By hand what a validator of OpenAPI 3.1 asks: ids, places and references."""
    assert SCHEMA["openapi"].startswith("3.1")
    assert {"title", "version"} <= set(SCHEMA["info"])
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in references(SCHEMA):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in SCHEMAS
    for method, path, operation in operations():
        places = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert places == set(re.findall(r"{(\w+)}", path)), path
        named = [(one["in"], one["name"]) for one in operation["parameters"]]
        assert len(named) == len(set(named)), path
        assert all(one.get("required") for one in operation["parameters"] if one["in"] == "path")
        assert method in ("get", "put", "post", "patch", "delete")


# What an example cannot know: an identity provider, a model of the price list, an owner's phone.
ELSEWHERE = {"create_connection", "change_security", "change_connection", "add_domain"}


@pytest.mark.django_db
def test_a_body_works_as_it_is_printed(people: People) -> None:  # noqa: F811
    """The path aside, a pasted request is carried out."""
    known = {
        "key_id": people.key,
        "user_id": str(people.cast.alice.id),
        "member_id": people.ids["viewer"],
        "deployment_id": people.ids["model"],
    }
    client, refused = people.clients["key"], {}
    for method, path, operation in operations("patch", "put", "post"):
        if "requestBody" not in operation or operation["operationId"] in ELSEWHERE:
            continue
        body = operation["requestBody"]["content"]["application/json"]["example"]
        # What the local provider may not do, the one that an example connected may.
        slug = "openai" if path.endswith("/address") else "far"
        filled = path.format(**known | {"slug": slug})
        answer = getattr(client, method)(filled, body, content_type="application/json")
        if answer.status_code not in (200, 201):
            refused[f"{method} {path}"] = answer.content.decode()
    assert refused == {}
