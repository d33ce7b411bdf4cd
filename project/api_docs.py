"""/api/docs: the OpenAPI descriptions of /api and /v1 as one page, drawn by the server.

A viewer from elsewhere would need scripts and styles that the content policy forbids, and what
people look for is the text: each operation with its fields, a curl that runs, and its refusals.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from project.api import api, v1
from project.openapi import PROBLEM, REFUSALS, as_text, example_of, fields_of, kind_of
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
        "begin": _begin(settings.PUBLIC_URL),
    }
    return render(request, "api_docs.html", context)


def _begin(address: str) -> dict[str, Any]:
    """What stands at the top of the page: commands that work as they are pasted."""
    key = '-H "Authorization: Bearer $ROUTER_ADMIN_KEY"'
    is_json = '-H "Content-Type: application/json"'
    return {
        "first": f"curl {address}/api/organization \\\n  {key}",
        "pages": "cursor=\n"
        "while\n"
        f'  page=$(curl -s "{address}/api/keys?cursor=$cursor" \\\n    {key})\n'
        '  echo "$page"\n'
        '  cursor=$(echo "$page" | grep -o \'"next_cursor": *"[^"]*\' | cut -d\'"\' -f4)\n'
        '  [ -n "$cursor" ]\n'
        "do :; done",
        "once": f"curl {address}/api/keys \\\n  {key} \\\n  {is_json} \\\n"
        '  -H "Idempotency-Key: billing-service-1" \\\n'
        '  -d \'{"name": "billing-service", "scopes": ["gateway"]}\'',
        "change": f"etag=$(curl -s -o /dev/null -D - {address}/api/preferences \\\n  {key} \\\n"
        "  | tr -d '\\r' | sed -n 's/^[Ee][Tt]ag: //p')\n"
        f"curl -X PATCH {address}/api/preferences \\\n  {key} \\\n  {is_json} \\\n"
        '  -H "If-Match: $etag" \\\n'
        "  -d '{\"max_latency_ms\": 20000}'",
        "refusal": as_text(PROBLEM["example"]),
        "refusals": [(status, about) for status, (about, _) in REFUSALS.items()],
    }


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
    content = said.get("content", {})
    media: dict[str, Any] = content.get(JSON) or next(iter(content.values()), {})
    example = media.get("example")
    if example is None and "schema" in media:
        example = example_of(media["schema"], schemas)
    text = example if isinstance(example, str) else as_text(example)
    return Answer(str(status), said.get("description", ""), text if media else "")


def _curl(path: str, method: str, body: Any, key: str) -> str:
    # Braces mean something to curl; a variable says what to fill in.
    filled = re.sub(r"{(\w+)}", lambda place: f"${place[1].upper()}", path)
    address = f"{settings.PUBLIC_URL}{filled}"
    address = f'"{address}"' if "$" in address else address
    lines = [f"curl{'' if method in ('GET', 'POST') else f' -X {method}'} {address}"]
    if method == "POST" and body is None:
        lines[0] = lines[0].replace("curl ", "curl -X POST ")
    lines.append(f'  -H "Authorization: Bearer {key}"')
    if body is not None:
        text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        lines += ['  -H "Content-Type: application/json"', f"  -d '{text}'"]
    return " \\\n".join(lines)
