"""OpenAI's own description of its API, as a check of what the product answers."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

DESCRIPTION = (
    Path(__file__).resolve().parents[2] / "shared" / "data" / "protocol" / "openai_openapi.json.gz"
)


def conforms(value: Any, name: str) -> None:
    """Fails unless the value is what OpenAI calls ``name``; skips where its description is not."""
    errors = _validator(name).iter_errors(value)
    told = [f"{error.json_path}: {error.message[:200]}" for error in errors]
    assert not told, f"{name}: {told}"


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _schemas()}}
    return jsonschema.Draft202012Validator(schema)


@cache
def _schemas() -> Any:
    if not DESCRIPTION.exists():
        pytest.skip(f"../shared/data/protocol/{DESCRIPTION.name} is not here")
    described = json.loads(gzip.decompress(DESCRIPTION.read_bytes()))
    return _with_null(described["components"]["schemas"])


def _with_null(node: Any) -> Any:
    """OpenAPI 3.0's ``nullable``, which JSON schema does not know, in its own words."""
    if isinstance(node, list):
        return [_with_null(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _with_null(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain
