"""The forms of providers and models: what a person types, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from catalog.models import Deployment, Provider
from catalog.presets import OPERATIONS, PRESETS, SEES_THINKS, ModelPreset, Preset
from lib.errors import RouterError
from lib.money import dollars, nano_typed, without_thousands

CAPABILITIES = tuple(sorted(SEES_THINKS))
CAPABILITY_WORDS = {
    "json_schema": "answers by a JSON schema",
    "reasoning": "thinks before it answers",
    "streaming": "streams",
    "tools": "calls tools",
    "vision": "sees images",
}
DEFAULT_QUALITY = "50"
_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True)
class Form:
    """Texts by field, and messages by field that is wrong."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def refused(self, why: RouterError, *, otherwise: str) -> Form:
        """The same with the message at the field that the error names."""
        return Form(self.values, {why.param or otherwise: why.message})


def needs(preset: Preset) -> str:
    """What somebody needs to connect a preset, as its list says."""
    said = []
    if "{" in preset.base_url:
        said.append("its address" if preset.base_url == "{address}" else f"your {_gap(preset)}")
    if not preset.is_local:
        said.append("an API key")
    if not preset.models:
        said.append("the names of its models")
    return ", ".join(said)


def found_presets(text: str) -> list[Preset]:
    """The presets whose name, slug or models hold a text."""
    wanted = text.strip().lower()
    return [
        p
        for p in PRESETS.values()
        if wanted in f"{p.name} {p.slug} {' '.join(m.name for m in p.models)}".lower()
    ]


def new_form(preset: Preset, posted: Any = None) -> Form:
    """The form that connects a preset, as it opens or as it was sent."""
    if posted is None:
        return Form(
            {
                "slug": preset.slug,
                "name": preset.name,
                "base_url": preset.base_url if preset.base_url != "{address}" else "",
                "region": "",
                "is_local": preset.is_local,
                "confirm_local": False,
            }
        )
    return Form(
        {
            "slug": posted.get("slug", "").strip(),
            "name": posted.get("name", ""),
            "base_url": posted.get("base_url", "").strip(),
            "region": posted.get("region", ""),
            "is_local": "is_local" in posted,
            "confirm_local": "confirm_local" in posted,
        }
    )


def provider_form(provider: Provider, posted: Any = None) -> Form:
    """A provider's settings as stored, or as they were sent."""
    if posted is None:
        names = ("name", "region", "active", "is_local", "base_url")
        return Form({name: getattr(provider, name) for name in names})
    return Form(
        {
            "name": posted.get("name", ""),
            "region": posted.get("region", ""),
            "active": "active" in posted,
            "is_local": "is_local" in posted,
            "base_url": posted.get("base_url", provider.base_url).strip(),
            "confirm_local": "confirm_local" in posted,
        }
    )


def model_form(row: Deployment | ModelPreset | None, posted: Any = None) -> Form:
    """A model as stored, as a preset knows it, empty, or as it was sent."""
    if posted is not None:
        names = ("model", "upstream_model", "context_window", "max_output_tokens", "region")
        more = {"quality": posted.get("quality", ""), "operation": posted.get("operation", "chat")}
        chosen = {"capabilities": posted.getlist("capabilities"), "active": "active" in posted}
        return Form({**{name: posted.get(name, "").strip() for name in names}, **more, **chosen})
    if row is None:
        return Form(
            {"operation": "chat", "quality": DEFAULT_QUALITY, "capabilities": ["streaming"]}
        )
    shown: dict[str, Any] = {
        "operation": row.operation,
        "context_window": row.context_window,
        "max_output_tokens": row.max_output_tokens,
        "capabilities": sorted(row.capabilities),
        "quality": row.quality,
    }
    if isinstance(row, ModelPreset):
        return Form({**shown, "model": row.name, "active": True})
    there = "" if row.upstream_model == row.model else row.upstream_model
    more = {"model": row.model, "upstream_model": there}
    return Form({**shown, **more, "region": row.region, "active": row.active})


def read_model(form: Form) -> dict[str, Any]:
    """The columns of a typed model; raises ``RouterError`` (422)."""
    values = form.values
    if values["operation"] not in OPERATIONS:
        raise invalid("operation", f"Choose one of: {', '.join(OPERATIONS)}.")
    return {
        "model": values["model"],
        "upstream_model": values["upstream_model"] or values["model"],
        "operation": values["operation"],
        "context_window": _whole("context_window", values["context_window"]),
        "max_output_tokens": _whole("max_output_tokens", values["max_output_tokens"]),
        "capabilities": sorted(set(values["capabilities"])),
        "region": values["region"],
        "quality": _whole("quality", values["quality"]),
        "active": values["active"],
    }


def price_form(row: Deployment, posted: Any = None) -> Form:
    """The organization's own price as stored, or as it was sent; $ per million tokens."""
    names = ("input", "cached", "output", "source", "as_of")
    if posted is not None:
        return Form({name: posted.get(name, "").strip() for name in names})
    shown = {
        "input": row.input_nano_per_mtok,
        "cached": row.cached_nano_per_mtok,
        "output": row.output_nano_per_mtok,
    }
    return Form(
        {
            **{name: "" if nano is None else dollars(nano) for name, nano in shown.items()},
            "source": row.price_source,
            "as_of": row.price_as_of.isoformat() if row.price_as_of else "",
        }
    )


def read_price(form: Form, *, today: date) -> dict[str, Any]:
    """What ``set_price`` takes of a typed price; raises ``RouterError`` (422)."""
    values = form.values
    return {
        "input_nano": _nano("input", values["input"]),
        "output_nano": _nano("output", values["output"]),
        "cached_nano": _nano("cached", values["cached"]) if values["cached"] else None,
        "source": values["source"],
        "as_of": _day(values["as_of"]) if values["as_of"] else today,
    }


def invalid(param: str, message: str) -> RouterError:
    """The error about one field."""
    return RouterError(422, "invalid_value", message, param=param)


def _whole(name: str, text: object) -> int:
    try:
        plain = without_thousands(str(text).strip())
    except ValueError:
        raise invalid(name, "Enter a whole number.") from None
    # A bound on the digits, because Python refuses very long numbers with an error of its own.
    if not (plain.isascii() and plain.isdigit() and len(plain) <= _DIGITS_MAX):
        raise invalid(name, "Enter a whole number.")
    return int(plain)


def _nano(name: str, text: str) -> int:
    try:
        nano = nano_typed(text, example="2.50")
    except ValueError as why:
        raise invalid(name, str(why)) from None
    if nano is None:
        raise invalid(name, "Enter dollars per million tokens, such as 2.50.")
    return nano


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid("as_of", "Write a day as 2026-11-21.") from None


def _gap(preset: Preset) -> str:
    return preset.base_url.partition("{")[2].partition("}")[0]
