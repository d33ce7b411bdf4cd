"""Deployments and calls for tests of decisions: everything fits unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from catalog.pricing import Price
from preferences.core import Preferences, Priority
from routing.model import Call, Deployment
from routing.upstream import Target

TARGET = Target(scheme="https", host="api.example.com", port=443, path="/v1/chat", headers=())
WANTED = Preferences(priority=Priority.BALANCED)


def price(input_usd: float, output_usd: float) -> Price:
    """A price in USD per million tokens."""
    return Price(input=int(input_usd * 10**9), output=int(output_usd * 10**9))


def deployment(id: str = "d1", **fields: Any) -> Deployment:
    """A deployment that may answer ``call()``."""
    values: dict[str, Any] = {
        "provider": id,
        "model": "m",
        "upstream_model": "m",
        "operation": "chat",
        "wire": "openai",
        "capabilities": frozenset({"streaming", "tools"}),
        "streams": True,
        "context_window": 8_000,
        "max_output_tokens": 1_000,
        "region": "",
        "quality": 50,
        "is_local": False,
        "price": price(1, 2),
        "target": TARGET,
    }
    return Deployment(id=id, **(values | fields))


def call(**fields: Any) -> Call:
    """A plain chat call of about a hundred tokens."""
    values: dict[str, Any] = {
        "operation": "chat",
        "model": "m",
        "stream": False,
        "needs": frozenset(),
        "prompt_estimate": 100,
        "input_tokens": 150,
        "counted": True,
        "max_output_tokens": 100,
        "n": 1,
    }
    return Call(**(values | fields))
