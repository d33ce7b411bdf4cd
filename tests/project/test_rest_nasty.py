"""Whatever is sent to an operation of /api, it answers or refuses; nothing breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import transaction

from tests.project.test_openapi import operations
from tests.project.test_urls import People, people  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db

DEEP = "[" * 20_000
TEXTS = (
    "a\x00b",
    "\ud800",
    "\u202e\U0001f600\uffff",
    "x" * 5_000,
    "%s %(x)s {0} {x} ' --",
    "9" * 400,
    "1e999",
    "9999-12-31T23:59:59Z",
    "0001-01-01",
    "http://[::1",
)
# What stands in a path is an id or a word: few texts come so far.
IN_PATHS = TEXTS[:4]
VALUES: tuple[Any, ...] = (
    *TEXTS,
    None,
    True,
    -1,
    2**63,
    10**400,
    1e308,
    float("nan"),
    [None],
    ["\x00", "\ud800"],
    ["x"] * 200,
    {"\x00": "\ud800"},
)
BODIES = (
    b"",
    b"null",
    b"true",
    b"0",
    b'"x"',
    b"[]",
    b"{}",
    b"[{}]",
    b"{",
    b"\xff\xfe\x00",
    b'{"name": "\\ud800"}',
    b'{"unknown": 1}',
    b'{"name": "a", "name": 2}',
    b'{"__proto__": {}, "constructor": 1}',
    DEEP.encode(),
    b'{"name": ' + b"9" * 5_000 + b"}",
    b"\xef\xbb\xbf{}",
)
TYPES = (
    "",
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json; charset=klingon",
    "\x7f",
)
HEADERS = ("", "*", '"', 'W/"x"', "x" * 300, "\u00ff", '"a", "b"', "\x01")
JSON = "application/json"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "API_REQUESTS_PER_MINUTE", 0)


def requests_of(
    method: str, path: str, operation: dict[str, Any], ids: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Odd requests of one operation, as keywords of the test client's ``generic``."""
    good = path.format_map(ids)
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("example")
    sent = json.dumps(body or {})
    for name in ids:
        if f"{{{name}}}" in path:
            for text in IN_PATHS:
                odd = quote(text.encode("utf-8", "surrogatepass"), safe="") or "-"
                yield {"path": path.format_map(ids | {name: odd[:2000]}), "data": sent}
    for one in operation["parameters"]:
        for text in TEXTS if one["in"] == "query" else ():
            odd = quote(text.encode("utf-8", "surrogatepass"), safe="")
            yield {"path": f"{good}?{quote(one['name'])}={odd}&{quote(one['name'])}={odd}"}
        for text in HEADERS if one["in"] == "header" else ():
            yield {"path": good, "data": sent, "headers": {one["name"]: text}}
    if method == "get":
        return
    for raw in BODIES:
        yield {"path": good, "data": raw}
    for kind in TYPES:
        yield {"path": good, "data": sent, "content_type": kind}
    for name in body or {}:
        for value in VALUES:
            yield {"path": good, "data": json.dumps(body | {name: value})}


@pytest.mark.parametrize("method", ["get", "post", "patch", "put", "delete"])
def test_nothing_odd_breaks_an_operation(people: People, method: str) -> None:  # noqa: F811
    client = people.clients["key"]
    client.raise_request_exception = False
    ids = {
        "call_id": people.call,
        "key_id": people.key,
        "user_id": str(people.cast.alice.id),
        "member_id": people.ids["viewer"],
        "invitation_id": people.ids["invitation"],
        "deployment_id": people.ids["model"],
        "slug": "far",
        "connection_id": people.key,
        "domain_id": people.key,
    }
    asked = [
        one
        for _, path, operation in operations(method)
        for one in requests_of(method, path, operation, ids)
    ]
    assert asked
    assert [one for one in asked if not is_sound(client, method, one)] == []


def is_sound(client: Any, method: str, asked: dict[str, Any]) -> bool:
    """Whether it is answered or refused as it should be; nothing of it stays."""
    with transaction.atomic():
        answer = client.generic(method.upper(), **{"content_type": JSON, "data": b"", **asked})
        transaction.set_rollback(True)
    if answer.status_code < 400:
        return True
    is_problem = answer["Content-Type"] == "application/problem+json"
    told = answer.json() if is_problem else {}
    return answer.status_code < 500 and told.get("status") == answer.status_code
