"""The sandbox's own endpoints: what it is, what it was asked, and faults for a while."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qs

import msgspec

from catalog.sandbox import faults
from catalog.sandbox.errors import RequestError
from catalog.sandbox.faults import Rules
from catalog.sandbox.ledger import Ledger
from catalog.sandbox.models import MODELS
from catalog.sandbox.tokens import Prefixes

METHODS = {
    "/health": "GET",
    "/sandbox": "GET",
    "/sandbox/calls": "GET",
    "/sandbox/faults": "GET, POST, DELETE",
    "/sandbox/reset": "POST",
}


class Control:
    """What the control endpoints act on."""

    def __init__(self, ledger: Ledger, rules: Rules, prefixes: Prefixes) -> None:
        self._ledger = ledger
        self._rules = rules
        self._prefixes = prefixes

    def answer(self, method: str, path: str, query: bytes, body: bytes) -> bytes:
        """The JSON answer of a path in METHODS. Raises RequestError."""
        if path == "/health":
            return b'{"status":"ok"}'
        if path == "/sandbox/calls":
            since = _whole_number(query, "since")
            calls = list(self._ledger.since(since))
            return msgspec.json.encode({"count": self._ledger.count, "calls": calls})
        if path == "/sandbox/reset":
            self._ledger.reset()
            self._rules.clear()
            self._prefixes.clear()
            return b'{"count":0}'
        if path == "/sandbox":
            return msgspec.json.format(msgspec.json.encode(_DESCRIPTION), indent=2)
        if method == "POST":
            self._rules.put(faults.parse_rule(body))
        elif method == "DELETE":
            model = parse_qs(query.decode("latin-1")).get("model")
            self._rules.clear(model[0] if model else None)
        return msgspec.json.encode({"faults": self._active()})

    def _active(self) -> list[dict[str, Any]]:
        return [
            {
                "model": model,
                **msgspec.to_builtins(asked),
                "for_s": None if math.isinf(left_s) else round(left_s, 1),
            }
            for model, (asked, left_s) in self._rules.active().items()
        ]


def _whole_number(query: bytes, name: str) -> int:
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name, ["0"])[0]
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise RequestError(400, f'{name}: "{given[:40]}" is not a whole number.', param=name)
    return int(given)


_DESCRIPTION: dict[str, Any] = {
    "what": "A practice provider. It speaks like OpenAI and Anthropic, costs nothing, calls "
    "nobody, and fails on demand. Nothing it says comes from a real model.",
    "keys": "Any key is right: `Authorization: Bearer anything` for the OpenAI endpoints, "
    "either that or `x-api-key: anything` for /v1/messages. Without one the answer is 401.",
    "endpoints": {
        "POST /v1/chat/completions": "OpenAI's chat, plain and streaming",
        "POST /v1/embeddings": "OpenAI's embeddings",
        "POST /v1/messages": "Anthropic's messages, plain and streaming",
        "GET /v1/models": "the models, in the shape of the API whose key is sent",
        "GET /sandbox": "this page",
        "GET /sandbox/calls?since=0": "the calls so far: how many, and each one after `since`",
        "POST /sandbox/reset": "forget calls, faults and cached prompts",
        "GET /sandbox/faults": "the faults that are on",
        "POST /sandbox/faults": 'turn faults on: {"model": "sandbox-fast", "status": 503, '
        '"for_s": 30}; "*" means every model, without for_s they stay',
        "DELETE /sandbox/faults": "turn them off, or only those of ?model=",
        "GET /health": "whether the server is up",
    },
    "faults": {
        "where": "In the request's body as `sandbox`, in its x-sandbox header (the same as "
        "JSON), or at POST /sandbox/faults. Field by field, the body goes before the header, "
        "and both before the control endpoint.",
        "fields": faults.VOCABULARY,
    },
    "models": [
        {
            "model": model.name,
            "endpoint": "/v1/messages"
            if model.wire == "anthropic"
            else "/v1/embeddings"
            if model.operation == "embeddings"
            else "/v1/chat/completions",
            "usd_per_million_tokens": {
                "input": model.input_usd_per_mtok,
                "cached": model.cached_usd_per_mtok,
                "output": model.output_usd_per_mtok,
            },
            "first_token_ms": model.first_token_ms,
            "ms_per_token": model.ms_per_token,
            "quality": model.quality,
            "context_window": model.context_window,
            "max_output_tokens": model.max_output_tokens,
            "capabilities": sorted(model.capabilities),
            "error_rate": model.error_rate,
        }
        for model in MODELS
    ],
    "links": [
        "/sandbox",
        "/sandbox/calls?since=0",
        "/sandbox/faults",
        "/v1/models",
        "/health",
    ],
}
