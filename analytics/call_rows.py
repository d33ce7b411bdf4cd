"""A call as lists and its own page show it: badge, figures, cost in words, the same as curl."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from analytics.bodies import Body
from analytics.call_selectors import Cursor
from analytics.core import INTERRUPTED, REQUEST
from analytics.costs import cost_lines
from analytics.models import Call
from analytics.story import Told
from catalog.pricing import FEMTO_PER_NANO
from lib.figures import count, duration
from lib.money import format_usd

PLAYGROUND = "Playground"
KINDS = {"cached": "cached input", "request": "per request"}
PATHS = {"chat": "chat/completions", "embeddings": "embeddings"}
# A longer body is sent from its file: a command has less room.
CURL_CHARS_MAX = 20_000


def shown(call: Call, names: Mapping[UUID, str]) -> dict[str, Any]:
    """A call with its figures in words; ``names`` are those of the API keys."""
    return {
        "call": call,
        "status": _status(call),
        "key": _caller(call, names),
        "input": count(call.input_tokens),
        "output": count(call.output_tokens),
        "cost": format_usd(call.cost_nano),
        "latency": latency(call),
        "first_token": "" if call.first_token_ms is None else duration(call.first_token_ms),
        # A live row finds its place by this, be it late.
        "cursor": str(Cursor(call.created_at, call.id)),
    }


def told_of(call: Call) -> Told:
    """What the story of a call is told from."""
    return Told(
        status=call.status,
        error_code=call.error_code,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        decision=call.decision,
        latency_ms=call.latency_ms,
        sent_to=f"{call.provider} / {call.model_used}",
    )


def is_interrupted(call: Call) -> bool:
    """Whether the process ended before the call did, so that its end is not known."""
    return call.error_code == INTERRUPTED and not call.latency_ms


def latency(call: Call) -> str:
    """How long the call took, in words."""
    return "not known" if is_interrupted(call) else duration(call.latency_ms)


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
    """A command that asks the same of a model; it says hello."""
    body: dict[str, Any] = {"model": model}
    if operation == "embeddings":
        body["input"] = "Hello"
    else:
        body["messages"] = [{"role": "user", "content": "Say hello"}]
    if stream:
        body["stream"] = True
    return _curl(operation, f"-d {_quoted(json.dumps(body))}")


def curl_again(call: Call, body: Body) -> str:
    """A command that sends the stored body of a call again, and says what of it is missing."""
    notes = []
    if body.is_cut:
        notes.append(f"# Only the beginning of the body's {body.size:,} bytes was stored.")
    # Control characters could leave the quotes of a terminal that they are pasted into.
    is_plain = not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in body.text)
    if is_plain and len(body.text) <= CURL_CHARS_MAX:
        # Unlike -d it reads no file, whatever the body begins with.
        data = f"--data-raw {_quoted(body.text)}"
    else:
        name = body.file_name(call.id, REQUEST)
        notes.append(f"# Download the request from its page first: {name}.")
        data = f"--data-binary @{name}"
    return "\n".join([*notes, _curl(call.task_type, data)])


def _quoted(text: str) -> str:
    # In single quotes only a single quote has to be written another way.
    return "'" + text.replace("'", "'\\''") + "'"


def _curl(operation: str, data: str) -> str:
    return (
        f"curl {settings.PUBLIC_URL}/v1/{PATHS.get(operation, PATHS['chat'])} \\\n"
        '  -H "Authorization: Bearer $ROUTER_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  {data}"
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
