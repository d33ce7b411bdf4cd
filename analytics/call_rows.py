"""A call as lists and its own page show it: badge, figures, cost in words, the same as curl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from analytics.call_selectors import Cursor
from analytics.costs import cost_lines
from analytics.models import Call
from catalog.pricing import FEMTO_PER_NANO
from lib.figures import count, duration
from lib.money import format_usd

PLAYGROUND = "Playground"
KINDS = {"cached": "cached input", "request": "per request"}
PATHS = {"chat": "chat/completions", "embeddings": "embeddings"}


def shown(call: Call, names: Mapping[UUID, str]) -> dict[str, Any]:
    """A call with its figures in words; ``names`` are those of the API keys."""
    return {
        "call": call,
        "status": _status(call),
        "key": _caller(call, names),
        "input": count(call.input_tokens),
        "output": count(call.output_tokens),
        "cost": format_usd(call.cost_nano),
        "latency": duration(call.latency_ms),
        "first_token": "" if call.first_token_ms is None else duration(call.first_token_ms),
        # A live row finds its place by this, be it late.
        "cursor": str(Cursor(call.created_at, call.id)),
    }


def cost_in_words(call: Call) -> list[dict[str, str]]:
    """What was used, with its part of the cost where the call's price is known."""
    lines = cost_lines(call)
    if not lines:
        used = (("input", call.input_tokens), ("output", call.output_tokens))
        return [{"label": _used(kind, count), "amount": ""} for kind, count in used if count]
    return [
        {
            "label": _used(line.kind, line.quantity),
            "amount": format_usd(line.femto_usd // FEMTO_PER_NANO),
        }
        for line in lines
    ]


def curl(model: str, operation: str, *, stream: bool = False) -> str:
    """A command that asks for the same again; what was said is not stored, so it says hello."""
    body: dict[str, Any] = {"model": model}
    if operation == "embeddings":
        body["input"] = "Hello"
    else:
        body["messages"] = [{"role": "user", "content": "Say hello"}]
    if stream:
        body["stream"] = True
    # In single quotes only a single quote has to be written another way.
    text = json.dumps(body).replace("'", "'\\''")
    return (
        f"curl {settings.PUBLIC_URL}/v1/{PATHS.get(operation, PATHS['chat'])} \\\n"
        '  -H "Authorization: Bearer $ROUTER_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{text}'"
    )


def _caller(call: Call, names: Mapping[UUID, str]) -> str:
    """The name of the key; a member without one called from the dashboard."""
    if call.api_key:
        return names.get(call.api_key, "")
    return PLAYGROUND if call.user else ""


def _used(kind: str, quantity: int) -> str:
    """A kind of usage with its quantity: ``Input 1,204 tokens``."""
    words = KINDS.get(kind, kind.replace("_", " "))
    unit = {"web_search": "searches", "request": ""}.get(kind, "tokens")
    return f"{words.capitalize()} {count(quantity)} {unit}".rstrip()


def _status(call: Call) -> tuple[str, str]:
    """The badge's tone and its text."""
    if call.success:
        return ("warn", f"{call.status} after fallback") if call.fallback_used else ("ok", "200")
    if call.status == 499:
        return "plain", "Client left"
    return "bad", f"{call.status} {call.error_code.replace('_', ' ')}".strip()
