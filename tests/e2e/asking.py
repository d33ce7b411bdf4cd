"""What the SDK tests share: the stock client, what it asks, and how chunks are read."""

from __future__ import annotations

from typing import Any

import openai

from tests.e2e.conftest import Caller

COMPLETION = "CreateChatCompletionResponse"
CHUNK = "CreateChatCompletionStreamResponse"
MOCKED = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def sync(caller: Caller, **options: Any) -> openai.OpenAI:
    """The stock client."""
    return openai.OpenAI(base_url=caller.gateway.base_url, api_key=caller.key, **options)


def says(text: str) -> Any:
    """One user message."""
    return [{"role": "user", "content": text}]


def data_of(lines: list[str]) -> list[str]:
    """The data of server-sent events."""
    return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
