"""JSON Schemas as Anthropic's structured outputs take them: closed objects, no numeric bounds."""

from __future__ import annotations

from typing import Any

# What constrained decoding accepts beside the structure; the rest moves into the description.
# Source: the limits listed on Anthropic's structured outputs page.
_KEPT = frozenset(
    {
        "$ref",
        "$defs",
        "definitions",
        "type",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "properties",
        "required",
        "items",
        "description",
        "title",
        "default",
    }
)
_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)


def constrained(schema: Any) -> Any:
    """``schema`` so that the API accepts it; everything that fits the result fits the original.

    Objects are closed. Bounds that cannot be enforced are told to the model in the description.
    """
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    told: list[str] = []
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            kept[key] = {name: constrained(inner) for name, inner in value.items()}
        elif key in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            kept["allOf" if key == "allOf" else "anyOf"] = [constrained(inner) for inner in value]
        elif key == "items":
            kept[key] = constrained(value)
        elif key in _KEPT or _is_kept_bound(key, value):
            kept[key] = value
        elif key not in ("additionalProperties", "$schema", "strict"):
            told.append(f"{key}: {value}")
    if "properties" in kept or schema.get("type") == "object":
        kept.setdefault("properties", {})
        kept["additionalProperties"] = False
    if told:
        lines = [str(kept["description"])] if kept.get("description") else []
        kept["description"] = "\n\n".join([*lines, "{" + ", ".join(told) + "}"])
    return kept


def _is_kept_bound(key: str, value: Any) -> bool:
    return (key == "format" and value in _FORMATS) or (key == "minItems" and value in (0, 1))
