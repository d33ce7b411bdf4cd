"""Ledger rows as the gateway records them, for tests that need calls to look at."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from lib.ids import uuid7_text
from routing.record import Record
from routing.tape import NONCES_BYTES, Tape

PRICE = {
    "input": 150_000_000,
    "output": 600_000_000,
    "source": "test",
    "as_of": "2026-11-01",
    "currency": "USD",
}
FAST = {
    "provider": "sandbox",
    "model": "sandbox-small",
    "score": 0.8123,
    "estimate_nano": 3_800_000,
}
GOOD = {"provider": "sandbox-claude", "model": "sandbox-large", "score": 0.7811, "p95_ms": 980}
BLOCKED = {
    "provider": "groq",
    "model": "llama",
    "reason": "blocked",
    "detail": "groq is blocked",
    "estimate_nano": 2_100_000,
}
DEAR = {
    "provider": "openai",
    "model": "gpt-large",
    "reason": "max_cost",
    "detail": "could cost 61000000 of 50000000 nano-USD",
    "estimate_nano": 61_000_000,
}
POLICY = {"priority": "cost", "max_cost_nano": 50_000_000, "blocked_providers": ["groq"]}
OVERLOADED = {
    "provider": "sandbox",
    "model": "sandbox-small",
    "ms": 1900,
    "status": 529,
    "error": "overloaded_error",
    "message": "Overloaded.",
}


def row(
    organization_id: UUID, created_ms: int, *, chance: int = 0, **changes: Any
) -> dict[str, Any]:
    """A call that was answered at the first attempt; ``changes`` replace its columns."""
    made = {
        "id": uuid7_text(created_ms, chance),
        "organization_id": str(organization_id),
        "created_ms": created_ms,
        "task_type": "chat",
        "api_key_id": None,
        "user_id": None,
        "model_requested": "auto",
        "stream": False,
        "metadata": {},
        "provider": "sandbox",
        "model_used": "sandbox-small",
        "region": "",
        "price": PRICE,
        "priority": "cost",
        "success": True,
        "status": 200,
        "error_code": "",
        "latency_ms": 412,
        "first_token_ms": None,
        "overhead_us": 120,
        "input_tokens": 1204,
        "output_tokens": 312,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "usage": {"input_tokens": 1204, "output_tokens": 312},
        "cost_nano": 367_800,
        "cost_estimated": False,
        "fallback_used": False,
        "attempts": 1,
        "decision": {
            "policy": POLICY,
            "candidates": [FAST, GOOD],
            "out": [BLOCKED, DEAR],
            "attempts": [
                {"provider": "sandbox", "model": "sandbox-small", "ms": 412, "status": 200}
            ],
        },
    }
    return {**made, **changes}


def after_fallback(organization_id: UUID, created_ms: int, **changes: Any) -> dict[str, Any]:
    """A streamed call that the first choice refused and the second one answered."""
    second = {
        "provider": "sandbox-claude",
        "model": "sandbox-large",
        "ms": 410,
        "status": 200,
        "first_token_ms": 180,
    }
    decision = {
        "policy": POLICY,
        "candidates": [FAST, GOOD],
        "out": [BLOCKED, DEAR],
        "attempts": [OVERLOADED, second],
    }
    made = {
        "provider": "sandbox-claude",
        "model_used": "sandbox-large",
        "fallback_used": True,
        "attempts": 2,
        "stream": True,
        "latency_ms": 2310,
        "first_token_ms": 2080,
        "metadata": {"team": "legal", "trace_id": "9f1c22"},
        "decision": decision,
    }
    return row(organization_id, created_ms, **{**made, **changes})


def refused(organization_id: UUID, created_ms: int, **changes: Any) -> dict[str, Any]:
    """A call that no candidate was allowed to answer."""
    made = {
        "provider": "",
        "model_used": "",
        "model_requested": "gpt-large",
        "price": None,
        "usage": {},
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_nano": 0,
        "success": False,
        "status": 400,
        "error_code": "max_cost_exceeded",
        "attempts": 0,
        "decision": {
            "refused": "max_cost_exceeded",
            "out": [DEAR],
            "policy": POLICY,
            "attempts": [],
        },
    }
    return row(organization_id, created_ms, **{**made, **changes})


def failed(organization_id: UUID, created_ms: int, **changes: Any) -> dict[str, Any]:
    """A call whose every attempt failed."""
    other = {**OVERLOADED, "provider": "sandbox-claude", "model": "sandbox-large", "ms": 90}
    made = {
        "provider": "",
        "model_used": "",
        "price": None,
        "usage": {},
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_nano": 0,
        "success": False,
        "status": 502,
        "error_code": "upstream_failed",
        "fallback_used": True,
        "attempts": 2,
        "decision": {
            "policy": POLICY,
            "candidates": [FAST, GOOD],
            "out": [],
            "attempts": [OVERLOADED, other],
        },
    }
    return row(organization_id, created_ms, **{**made, **changes})


def said(call: dict[str, Any], asked: bytes = b"{}", answered: bytes = b"{}") -> dict[str, Any]:
    """The row of what was asked and answered in a call, sealed as the gateway seals it."""
    record = Record(
        id=call["id"],
        organization_id=UUID(str(call["organization_id"])).hex,
        created_ms=call["created_ms"],
        operation="chat",
        api_key_id="",
        user_id=None,
    )
    tape = Tape(asked)
    tape.add(answered)
    key, nonces = settings.ENCRYPTION_KEY, os.urandom(NONCES_BYTES)
    row: dict[str, Any] = orjson.loads(tape.sealed(record, key=key, nonces=nonces))
    return row
