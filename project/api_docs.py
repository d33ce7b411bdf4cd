"""/api/docs: the OpenAPI descriptions of /api and /v1 as one page, drawn by the server.

A viewer from elsewhere would need scripts and styles that the content policy forbids, and what
people look for is the text: each operation with its fields, a curl that runs, and its refusals.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from project.api import api, v1
from project.openapi import as_text, example_of, fields_of, kind_of
from project.rest import API_BODY_BYTES_MAX

JSON = "application/json"
TITLES = {"calls": "Requests", "gateway": "Gateway (/v1)"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation may answer."""

    status: str
    about: str
    example: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[dict[str, Any], ...]
    fields: tuple[dict[str, Any], ...]
    curl: str
    answers: tuple[Answer, ...]
    refusals: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations on one kind of thing."""

    id: str
    title: str
    entries: tuple[Entry, ...]


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Every operation, for everybody: the description holds nothing of anybody."""
    context = {
        "title": "API",
        "groups": groups(),
        "about": api.description,
        "body_mib": API_BODY_BYTES_MAX // 2**20,
        "requests_per_minute": f"{settings.API_REQUESTS_PER_MINUTE:,}"
        if settings.API_REQUESTS_PER_MINUTE
        else "",
        "address": settings.PUBLIC_URL,
    }
    return render(request, "api_docs.html", context)


@cache
def groups() -> tuple[Group, ...]:
    """Operations by tag, those of the gateway last; from the descriptions, once a process."""
    found: dict[str, list[Entry]] = {}
    for described, key in ((api, "$ROUTER_ADMIN_KEY"), (v1, "$ROUTER_API_KEY")):
        schema = described.get_openapi_schema()
        schemas = schema["components"].get("schemas", {})
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                tag = operation.get("tags", ["other"])[0]
                found.setdefault(tag, []).append(_entry(path, method, operation, schemas, key))
    return tuple(
        Group(tag, TITLES.get(tag, tag.replace("-", " ").replace("_", " ").capitalize()), tuple(e))
        for tag, e in found.items()
    )


def _entry(
    path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any], key: str
) -> Entry:
    parameters = [
        {
            "name": one["name"],
            "place": one["in"],
            "kind": kind_of(one.get("schema", {}), schemas),
            "required": one.get("required", False),
            "about": one.get("description") or one.get("schema", {}).get("description", ""),
        }
        for one in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    answers = [_answer(status, said, schemas) for status, said in operation["responses"].items()]
    return Entry(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        about=operation.get("description", ""),
        parameters=tuple(parameters),
        fields=tuple(fields_of(body, schemas)) if body else (),
        curl=_curl(path, method.upper(), body and example_of(body, schemas), key),
        answers=tuple(one for one in answers if one.status < "3"),
        refusals=tuple(one for one in answers if one.status >= "3"),
    )


def _answer(status: Any, said: dict[str, Any], schemas: dict[str, Any]) -> Answer:
    schema = said.get("content", {}).get(JSON, {}).get("schema")
    example = as_text(example_of(schema, schemas)) if schema else ""
    return Answer(str(status), said.get("description", ""), example)


def _curl(path: str, method: str, body: Any, key: str) -> str:
    lines = [
        f"curl{'' if method in ('GET', 'POST') else f' -X {method}'} {settings.PUBLIC_URL}{path}"
    ]
    if method == "POST" and body is None:
        lines[0] = lines[0].replace("curl ", "curl -X POST ")
    lines.append(f'  -H "Authorization: Bearer {key}"')
    if body is not None:
        text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        lines += ['  -H "Content-Type: application/json"', f"  -d '{text}'"]
    return " \\\n".join(lines)
