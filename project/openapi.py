"""The OpenAPI description of /api, completed with what holds for every operation. Pure."""

from __future__ import annotations

import json
from typing import Any, TypeVar

S = TypeVar("S", bound=dict[str, Any])

DEPTH_MAX = 8
PROBLEM_TYPE = "application/problem+json"
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 255},
    "description": "A name of your choice for this request, such as a random UUID. Sent again "
    "within 24 hours it gets the same answer, with Idempotency-Replayed: true, and nothing is "
    "done twice.",
    "example": "0d5f6f0e-8a3f-4c39-9d57-6a1c2f9f4c11",
}
IF_MATCH = "If-Match"
ETAG = {
    "description": "The version, to send as If-Match with a change.",
    "schema": {"type": "string"},
    "example": '"1795256867331000"',
}
PROBLEM = {
    "title": "Problem",
    "type": "object",
    "description": "Why a request was refused (RFC 9457), and the way out.",
    "required": ["type", "status", "title", "detail", "code", "field"],
    "properties": {
        "type": {"type": "string", "description": "Always about:blank."},
        "status": {"type": "integer", "description": "The HTTP status again."},
        "title": {"type": "string", "description": "The code in words."},
        "detail": {"type": "string", "description": "What is wrong and what to do instead."},
        "code": {"type": "string", "description": "What is wrong, for programs."},
        "field": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "The field or parameter that is wrong.",
        },
        "current": {
            "type": "object",
            "description": "What there is now, where a change was built on what is no more.",
            "additionalProperties": True,
        },
        "errors": {
            "type": "array",
            "description": "Every field that is wrong, where there are several.",
            "example": [{"field": "name", "message": "Field required"}],
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "example": {
        "type": "about:blank",
        "status": 422,
        "title": "invalid value",
        "detail": "Enter 50 to 600,000 ms.",
        "code": "invalid_value",
        "field": "max_latency_ms",
    },
}
# What a refusal means, and one as an example: code, detail and field.
REFUSALS = {
    "401": (
        "The key is missing, unknown, revoked or expired.",
        ("invalid_api_key", "This API key is not known here.", None),
    ),
    "403": (
        "The key lacks the admin scope, or may not be used from this address.",
        ("scope_missing", 'This needs a key with the "admin" scope.', None),
    ),
    "404": (
        "There is no such thing in this organization.",
        ("not_found", "There is no such thing here.", "id"),
    ),
    "409": (
        "Something changed meanwhile, or is in the way.",
        ("already_exists", "There is one of that name already.", "name"),
    ),
    "412": (
        "It was changed since the answer whose ETag stands in If-Match; current says to what.",
        ("changed_meanwhile", "This was changed since you read it.", "If-Match"),
    ),
    "413": (
        "The body is larger than 1 MiB.",
        ("request_too_large", "A body has at most 1,048,576 bytes here.", None),
    ),
    "422": (
        "A value is wrong; field says which.",
        ("invalid_value", "Enter 50 to 600,000 ms.", "max_latency_ms"),
    ),
    "429": (
        "Too many requests; Retry-After says how long to wait.",
        ("rate_limit_exceeded", "This key may send 600 requests a minute to /api.", None),
    ),
}
# What stands in the braces of a path.
PLACES = {
    "call_id": "The call's id: the x-router-call-id of its answer.",
    "key_id": "The API key's id, as the list of keys tells it.",
    "user_id": "The user's id, as the list of members tells it.",
    "member_id": "The membership's id, as the list of members tells it.",
    "invitation_id": "The invitation's id, as the list of invitations tells it.",
    "connection_id": "The connection's id, as the list of connections tells it.",
    "domain_id": "The domain's id, as its connection tells it.",
    "slug": "The provider's word, as the list of providers tells it.",
    "deployment_id": "The model's id at the provider, as the list of its models tells it.",
}
_CHANGED_IN_PART = ("Patch", "Change", "PreferencesIn")


def complete(schema: S) -> S:
    """The description with problems, idempotency keys, examples and what paths hold filled in."""
    schemas = schema["components"].setdefault("schemas", {})
    for name, one in schemas.items():
        if name.endswith(_CHANGED_IN_PART):
            # What is not sent stays; a default would say otherwise.
            for field in one.get("properties", {}).values():
                field.pop("default", None)
    schemas["Problem"] = PROBLEM
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete_operation(operation, method, path)
            _show_examples(operation, schemas)
        if any(_names(operation) & {IF_MATCH} for operation in operations.values()):
            _tell_versions(operations)
    return schema


def example_of(schema: dict[str, Any], schemas: dict[str, Any], *, depth: int = 0) -> Any:
    """A value that the schema describes: its own example, or one put together from its parts."""
    if depth > DEPTH_MAX:
        return None
    if "$ref" in schema:
        named = schemas.get(schema["$ref"].rsplit("/", 1)[1], {})
        return example_of({**named, **{k: v for k, v in schema.items() if k != "$ref"}}, schemas)
    for name in ("example", "const"):
        if schema.get(name) is not None:
            return schema[name]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") is not None:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            said = [one for one in schema[name] if one.get("type") != "null"] or schema[name]
            return example_of(said[0], schemas, depth=depth + 1)
    return _by_type(schema, schemas, depth)


def fields_of(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of an object: name, kind, whether it must be sent, and what it is for."""
    whole = _resolved(schema, schemas)
    required = whole.get("required", [])
    return [
        {
            "name": name,
            "kind": kind_of(one, schemas),
            "required": name in required,
            "about": one.get("description") or _resolved(one, schemas).get("description", ""),
        }
        for name, one in whole.get("properties", {}).items()
    ]


def kind_of(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """What kind of value a schema takes, in a word or two."""
    for name in ("anyOf", "oneOf"):
        if name in schema:
            kinds = [kind_of(one, schemas) for one in schema[name]]
            return " or ".join(dict.fromkeys(kinds))
    found = _resolved(schema, schemas)
    if found.get("enum"):
        return " | ".join(str(one) for one in found["enum"])
    if found.get("type") == "array":
        return f"list of {kind_of(found.get('items', {}), schemas)}"
    return str(found.get("format") or found.get("type") or "any")


def as_text(value: Any) -> str:
    """A value as people read JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _complete_operation(operation: dict[str, Any], method: str, path: str) -> None:
    for one in operation.get("parameters", []):
        if one["in"] == "path" and one["name"] in PLACES:
            one["description"] = PLACES[one["name"]]
    if method == "post":
        operation["parameters"] = [*operation.get("parameters", []), IDEMPOTENCY_KEY]
    responses = {str(status): said for status, said in operation["responses"].items()}
    statuses = ["401", "403", "422", "429"]
    statuses += ["413"] if "requestBody" in operation else []
    statuses += ["404"] if "{" in path else []
    statuses += ["409"] if method != "get" else []
    for status in sorted(statuses):
        responses.setdefault(status, _refusal(status))
    operation["responses"] = responses


def _names(operation: dict[str, Any]) -> set[str]:
    return {one["name"] for one in operation.get("parameters", [])}


def _tell_versions(operations: dict[str, Any]) -> None:
    """What has versions tells them in answers, and may refuse a change of an older one."""
    for method, operation in operations.items():
        if IF_MATCH in _names(operation):
            operation["responses"].setdefault("412", _refusal("412"))
            operation["responses"] = dict(sorted(operation["responses"].items()))
        if method in ("get", "patch", "put") and "200" in operation["responses"]:
            operation["responses"]["200"].setdefault("headers", {})["ETag"] = ETAG


def _refusal(status: str) -> dict[str, Any]:
    description, (code, detail, field) = REFUSALS[status]
    example = {
        "type": "about:blank",
        "status": int(status),
        "title": code.replace("_", " "),
        "detail": detail,
        "code": code,
        "field": field,
    }
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": description, "content": {PROBLEM_TYPE: problem}}


def _show_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What is sent and what is answered, each as one whole."""
    answers = [said for status, said in operation["responses"].items() if status < "3"]
    for said in (operation.get("requestBody", {}), *answers):
        for media in said.get("content", {}).values():
            if "example" not in media:
                media["example"] = example_of(media["schema"], schemas)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(schemas.get(schema["$ref"].rsplit("/", 1)[1], {}), schemas)
    if len(schema.get("allOf", [])) == 1:
        return _resolved(schema["allOf"][0], schemas)
    return schema


_SAMPLES = {
    "uuid": "0198c5b2-7a10-7c3e-9b1d-2f6d0c9a4e55",
    "date-time": "2026-11-09T14:02:10Z",
    "date": "2026-11-09",
    "email": "jana@example.com",
    "uri": "https://example.com",
}


def _by_type(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {n: example_of(one, schemas, depth=depth + 1) for n, one in properties.items()}
    if kind == "array":
        one = example_of(schema.get("items", {}), schemas, depth=depth + 1)
        return [] if one is None else [one]
    if kind == "string":
        return _SAMPLES.get(schema.get("format", ""), "text")
    return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind))
