"""Anthropic's Messages as chat.completion: one whole answer, its usage and its refusal."""

from __future__ import annotations

from typing import Any

import msgspec

from catalog.usage import Usage, anthropic_usage
from routing.wire.base import Answer
from routing.wire.failure import event_failure, protocol_failure

REFUSAL_TEXT = "The model declined to answer."

# OpenAI's finish reason for each stop reason.
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
EMPTY_STRING = msgspec.Raw(b'""')


class Details(msgspec.Struct):
    category: str | None = None
    explanation: str | None = None


class Block(msgspec.Struct):
    type: str
    id: str = ""
    name: str = ""
    text: msgspec.Raw = EMPTY_STRING
    thinking: msgspec.Raw = EMPTY_STRING
    input: msgspec.Raw = msgspec.Raw(b"{}")


class Message(msgspec.Struct):
    type: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_details: Details | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_MESSAGE = msgspec.json.Decoder(Message)
_STRING = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_answer(raw: bytes, *, id: str, created: int, model: str) -> Answer:
    """A Messages answer as a chat.completion; ``created`` is Unix seconds.

    Blocks that OpenAI's format has no word for (server tools, compaction, fallback marks) are left
    out. ``error`` is set when the 200 was no message.
    """
    try:
        found = _MESSAGE.decode(raw)
    except JSON_ERRORS as error:
        return Answer(raw, None, protocol_failure(f"The provider's answer is no message: {error}."))
    if found.type == "error" or found.error:
        return Answer(raw, None, event_failure(found.error))
    if found.type != "message":
        return Answer(raw, None, protocol_failure("The provider's answer is no message."))
    usage = None if found.usage is None else anthropic_usage(found.usage)
    body: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": _answer_message(found),
                "logprobs": None,
                "finish_reason": FINISH.get(found.stop_reason or "", "stop"),
            }
        ],
    }
    if usage is not None:
        body["usage"] = usage_body(usage)
    return Answer(_ENCODER.encode(body), usage)


def usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object; ``prompt_tokens`` holds cache reads and writes."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
        },
    }


def refusal_text(details: Details | None) -> str:
    """What the answer's ``refusal`` says: the provider's reason where it gave one."""
    if details is not None and details.explanation:
        return details.explanation
    if details is not None and details.category:
        return f"{REFUSAL_TEXT[:-1]} (category: {details.category})."
    return REFUSAL_TEXT


def _answer_message(found: Message) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in found.content:
        if block.type == "text":
            texts.append(_STRING.decode(block.text))
        elif block.type == "thinking":
            thoughts.append(_STRING.decode(block.thinking))
        elif block.type == "tool_use":
            function = {"name": block.name, "arguments": bytes(block.input).decode()}
            calls.append({"id": block.id, "type": "function", "function": function})
    refused = found.stop_reason == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": refusal_text(found.stop_details) if refused else None,
    }
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message
