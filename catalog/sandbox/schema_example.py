"""The simplest value that a JSON schema accepts."""

from __future__ import annotations

import math
from typing import Any

DEPTH_MAX = 16
ITEMS_MAX = 64
VALUES_MAX = 2_000
TEXT_CHARS_MAX = 10_000

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "sandbox@example.com",
    "hostname": "sandbox.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://sandbox.example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: object, *, name: str = "sandbox") -> Any:
    """A value for the schema: required properties only, constants and first choices where given.

    ``name`` is what a plain string says. Patterns are not followed; recursion and very large
    schemas end in null.
    """
    return _Example(schema).value(schema, name, DEPTH_MAX)


class _Example:
    """One value in the making: the document that references point into, and what may be spent."""

    def __init__(self, root: object) -> None:
        self.root = root
        self.values_left = VALUES_MAX

    def value(self, schema: object, name: str, depth: int) -> Any:
        self.values_left -= 1
        if not isinstance(schema, dict) or depth == 0 or self.values_left < 0:
            return {} if schema is True else None
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][0]
        if "default" in schema:
            return schema["default"]
        if "$ref" in schema:
            return self.value(_target(schema["$ref"], self.root), name, depth - 1)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                rest = {field: part for field, part in schema.items() if field != key}
                chosen = self.resolved(_plainest(schema[key]))
                return self.value(_merged([rest, chosen]), name, depth - 1)
        if isinstance(schema.get("allOf"), list):
            parts = [self.resolved(part) for part in schema["allOf"]]
            rest = {field: part for field, part in schema.items() if field != "allOf"}
            return self.value(_merged([rest, *parts]), name, depth - 1)
        return self.typed(schema, name, depth)

    def typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind == "object" or (kind is None and "properties" in schema):
            properties = _mapping(schema.get("properties"))
            return {
                field: self.value(properties.get(field, {"type": "string"}), field, depth - 1)
                for field in _names(schema.get("required"))
            }
        if kind == "array":
            return self.items(schema, name, depth)
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else _string(schema, name)

    def items(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        items = schema.get("items", {"type": "string"})
        wanted = max(_bound(schema, "minItems", 1), len(first))
        wanted = min(wanted, _bound(schema, "maxItems", ITEMS_MAX), ITEMS_MAX)
        return [
            self.value(first[at] if at < len(first) else items, name, depth - 1)
            for at in range(int(wanted))
        ]

    def resolved(self, schema: Any) -> Any:
        if isinstance(schema, dict) and "$ref" in schema:
            return _target(schema["$ref"], self.root)
        return schema


def _string(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = f"sandbox {name}" if name != "sandbox" else name
    text = text.ljust(int(min(_bound(schema, "minLength", 0), TEXT_CHARS_MAX)), ".")
    return text[: int(min(_bound(schema, "maxLength", TEXT_CHARS_MAX), TEXT_CHARS_MAX))]


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    step = _bound(schema, "multipleOf", 1 if whole else 0)
    gap = step or 0.5
    low = max(
        _bound(schema, "minimum", -math.inf), _bound(schema, "exclusiveMinimum", -math.inf) + gap
    )
    high = min(
        _bound(schema, "maximum", math.inf), _bound(schema, "exclusiveMaximum", math.inf) - gap
    )
    value = min(max(1, low), high)
    if step > 0:
        value = math.ceil(value / step) * step
        if value > high:
            value -= step
    return int(value) if whole else value


def _bound(schema: dict[str, Any], key: str, default: float) -> float:
    value = schema.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _plainest(options: list[Any]) -> Any:
    for option in options:
        if not (isinstance(option, dict) and option.get("type") == "null"):
            return option
    return options[0]


def _merged(parts: list[Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            continue
        properties = _mapping(merged.get("properties")) | _mapping(part.get("properties"))
        required = _names(merged.get("required")) + _names(part.get("required"))
        merged.update(part)
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged


def _target(reference: object, root: object) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return True
    found: Any = root
    for step in reference[1:].strip("/").split("/") if len(reference) > 1 else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            return True
        found = found[key]
    return found
