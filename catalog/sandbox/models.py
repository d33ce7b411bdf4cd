"""The sandbox's models as plain data: what they cost, how fast they are, what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Wire = Literal["openai", "anthropic"]
Operation = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class SandboxModel:
    """One model. Prices are USD per million tokens; quality is 0 to 1.

    Time to the first token is log-normal: ``first_token_ms`` is its median, ``sigma`` the spread
    of its logarithm. ``error_rate`` is the share of calls that fail without being asked to.
    """

    name: str
    wire: Wire
    operation: Operation
    input_usd_per_mtok: str
    cached_usd_per_mtok: str
    output_usd_per_mtok: str
    quality: float
    context_window: int
    max_output_tokens: int
    capabilities: frozenset[str]
    first_token_ms: float
    sigma: float
    ms_per_token: float
    error_rate: float = 0.0


_CHAT = frozenset({"streaming", "tools", "json_schema"})
_SEEING = _CHAT | {"vision"}

MODELS: tuple[SandboxModel, ...] = (
    SandboxModel(
        name="sandbox-fast",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="0.10",
        cached_usd_per_mtok="0.025",
        output_usd_per_mtok="0.40",
        quality=0.62,
        context_window=128_000,
        max_output_tokens=16_384,
        capabilities=_CHAT,
        first_token_ms=30,
        sigma=0.25,
        ms_per_token=2,
    ),
    SandboxModel(
        name="sandbox-balanced",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="0.60",
        cached_usd_per_mtok="0.15",
        output_usd_per_mtok="2.40",
        quality=0.78,
        context_window=200_000,
        max_output_tokens=16_384,
        capabilities=_SEEING,
        first_token_ms=120,
        sigma=0.35,
        ms_per_token=5,
    ),
    SandboxModel(
        name="sandbox-smart",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="3.00",
        cached_usd_per_mtok="0.75",
        output_usd_per_mtok="15.00",
        quality=0.92,
        context_window=200_000,
        max_output_tokens=32_768,
        capabilities=_SEEING,
        first_token_ms=350,
        sigma=0.4,
        ms_per_token=10,
    ),
    SandboxModel(
        name="sandbox-reasoning",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="2.00",
        cached_usd_per_mtok="0.50",
        output_usd_per_mtok="8.00",
        quality=0.96,
        context_window=200_000,
        max_output_tokens=65_536,
        capabilities=_SEEING | {"reasoning"},
        first_token_ms=500,
        sigma=0.5,
        ms_per_token=8,
    ),
    SandboxModel(
        name="sandbox-vision",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="0.80",
        cached_usd_per_mtok="0.20",
        output_usd_per_mtok="3.20",
        quality=0.74,
        context_window=128_000,
        max_output_tokens=8_192,
        capabilities=_SEEING,
        first_token_ms=180,
        sigma=0.3,
        ms_per_token=6,
    ),
    SandboxModel(
        name="sandbox-flaky",
        wire="openai",
        operation="chat",
        input_usd_per_mtok="0.20",
        cached_usd_per_mtok="0.05",
        output_usd_per_mtok="0.80",
        quality=0.60,
        context_window=128_000,
        max_output_tokens=16_384,
        capabilities=_CHAT,
        first_token_ms=60,
        sigma=0.8,
        ms_per_token=3,
        error_rate=0.2,
    ),
    SandboxModel(
        name="sandbox-embed",
        wire="openai",
        operation="embeddings",
        input_usd_per_mtok="0.02",
        cached_usd_per_mtok="0.02",
        output_usd_per_mtok="0",
        quality=0.60,
        context_window=8_192,
        max_output_tokens=0,
        capabilities=frozenset(),
        first_token_ms=20,
        sigma=0.2,
        ms_per_token=0,
    ),
    SandboxModel(
        name="sandbox-claude",
        wire="anthropic",
        operation="chat",
        input_usd_per_mtok="2.80",
        cached_usd_per_mtok="0.28",
        output_usd_per_mtok="14.00",
        quality=0.93,
        context_window=200_000,
        max_output_tokens=64_000,
        capabilities=_SEEING,
        first_token_ms=320,
        sigma=0.4,
        ms_per_token=9,
    ),
    SandboxModel(
        name="sandbox-claude-mini",
        wire="anthropic",
        operation="chat",
        input_usd_per_mtok="0.75",
        cached_usd_per_mtok="0.075",
        output_usd_per_mtok="3.75",
        quality=0.76,
        context_window=200_000,
        max_output_tokens=32_000,
        capabilities=_SEEING,
        first_token_ms=90,
        sigma=0.3,
        ms_per_token=4,
    ),
)

BY_NAME: dict[str, SandboxModel] = {model.name: model for model in MODELS}
