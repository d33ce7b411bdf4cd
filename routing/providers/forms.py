"""The forms of providers and models: what a person types, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from catalog.checks import checked_model_name
from catalog.models import Deployment, Provider
from catalog.presets import OPERATIONS, PRESETS, SEES_THINKS, TOKENS_MAX, ModelPreset, Preset
from catalog.services import SANDBOX_PRICES
from catalog.versions import deployment_version, provider_version
from lib.errors import RouterError
from lib.money import dollars, nano_typed, without_thousands
from tenancy.versions import CHANGED_MEANWHILE, differences

CAPABILITIES = tuple(sorted(SEES_THINKS))
CAPABILITY_WORDS = {
    "json_schema": "answers by a JSON schema",
    "reasoning": "thinks before it answers",
    "streaming": "streams",
    "tools": "calls tools",
    "vision": "sees images",
}
# What a page calls each field, where it tells what somebody else stored.
LABELS = {
    "name": "Name",
    "model": "Model",
    "upstream_model": "Name at the provider",
    "region": "Region",
    "context_window": "Context window",
    "max_output_tokens": "Longest answer",
    "operation": "Operation",
    "quality": "Quality",
    "capabilities": "What it can do",
    "is_local": "Local",
    "input": "Input",
    "cached": "Cached input",
    "output": "Output",
    "source": "Where it is from",
    "as_of": "As of",
    "active": "Calls may go there",
}
NUMBERS = {
    "context_window": (1, TOKENS_MAX),
    "max_output_tokens": (1, TOKENS_MAX),
    "quality": (0, 100),
}
DEFAULT_QUALITY = "50"
_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True)
class Form:
    """Texts by field, and messages by field that is wrong.

    ``version`` is that of the row which its author saw; ``overtaken`` that somebody else changed
    the row since, and ``theirs`` what it says now where it differs.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    overtaken: bool = False
    theirs: Sequence[tuple[str, str]] = ()

    def refused(self, why: RouterError, *, otherwise: str, stored: Form | None = None) -> Form:
        """The same with the message at the field that the error names.

        Where the row changed meanwhile, with what is ``stored``; sent again, it overwrites that.
        """
        if stored is not None and why.code == CHANGED_MEANWHILE:
            theirs = differences(LABELS, self.values, stored.values)
            return replace(self, version=stored.version, overtaken=True, theirs=theirs)
        if isinstance(why, Wrong):
            return replace(self, errors=why.errors)
        return replace(self, errors={why.param or otherwise: why.message})


class Wrong(RouterError):
    """Several fields are wrong; each has its message."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        param, message = next(iter(errors.items()))
        super().__init__(422, "invalid_value", message, param=param)
        self.errors = errors


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
        values = {name: getattr(provider, name) for name in names}
        return Form(values, version=provider_version(provider))
    return Form(
        {
            "name": posted.get("name", ""),
            "region": posted.get("region", ""),
            "active": "active" in posted,
            "is_local": "is_local" in posted,
            "base_url": posted.get("base_url", provider.base_url).strip(),
            "confirm_local": "confirm_local" in posted,
        },
        version=posted.get("version", ""),
    )


def model_form(row: Deployment | ModelPreset | None, posted: Any = None) -> Form:
    """A model as stored, as a preset knows it, empty, or as it was sent."""
    if posted is not None:
        names = ("model", "upstream_model", "context_window", "max_output_tokens", "region")
        more = {"quality": posted.get("quality", ""), "operation": posted.get("operation", "chat")}
        chosen = {"capabilities": posted.getlist("capabilities"), "active": "active" in posted}
        typed = {name: posted.get(name, "").strip() for name in names}
        return Form({**typed, **more, **chosen}, version=posted.get("version", ""))
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
    values = {**shown, **more, "region": row.region, "active": row.active}
    return Form(values, version=deployment_version(row))


def read_model(form: Form) -> dict[str, Any]:
    """The columns of a typed model; raises ``Wrong`` with every field that is none."""
    values, errors = form.values, {}
    for name in ("model", "upstream_model"):
        try:
            if name == "model" or values[name]:
                checked_model_name(values[name], name)
        except RouterError as why:
            errors[name] = why.message
    if values["operation"] not in OPERATIONS:
        errors["operation"] = f"Choose one of: {', '.join(OPERATIONS)}."
    numbers = {}
    for name, (least, most) in NUMBERS.items():
        try:
            numbers[name] = _whole(values[name], least, most)
        except ValueError as why:
            errors[name] = str(why)
    window = numbers.get("context_window")
    if window is not None and numbers.get("max_output_tokens", 0) > window:
        errors["max_output_tokens"] = f"Enter at most the context window, {window:,}."
    if errors:
        raise Wrong(errors)
    return {
        "model": values["model"],
        "upstream_model": values["upstream_model"] or values["model"],
        "operation": values["operation"],
        **numbers,
        "capabilities": sorted(set(values["capabilities"])),
        "region": values["region"],
        "active": values["active"],
    }


def price_form(row: Deployment, posted: Any = None) -> Form:
    """The organization's own price as stored, or as it was sent; $ per million tokens.

    Empty while the price list holds: its source and day are not those of one's own price.
    """
    names = ("input", "cached", "output", "source", "as_of")
    if posted is not None:
        typed = {name: posted.get(name, "").strip() for name in names}
        return Form(typed, version=posted.get("version", ""))
    shown = {
        "input": row.input_nano_per_mtok,
        "cached": row.cached_nano_per_mtok,
        "output": row.output_nano_per_mtok,
    }
    values = {name: "" if nano is None else dollars(nano) for name, nano in shown.items()}
    since = row.price_as_of.isoformat() if row.price_as_of else ""
    is_own = bool(values["input"]) and row.price_source != SANDBOX_PRICES
    own = {"source": row.price_source, "as_of": since} if is_own else {}
    return Form({"source": "", "as_of": "", **values, **own}, version=deployment_version(row))


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


def _whole(text: object, least: int, most: int) -> int:
    """Raises ValueError with the bounds for anything else."""
    said = f"Enter a whole number from {least:,} to {most:,}."
    try:
        plain = without_thousands(str(text).strip())
    except ValueError:
        raise ValueError(said) from None
    # A bound on the digits, because Python refuses very long numbers with an error of its own.
    if not (plain.isascii() and plain.isdigit() and len(plain) <= _DIGITS_MAX):
        raise ValueError(said)
    if not least <= int(plain) <= most:
        raise ValueError(said)
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
