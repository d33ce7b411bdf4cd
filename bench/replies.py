"""What the fixed-reply upstream answers, and what the load asks it for."""

from __future__ import annotations

import json
from typing import Any

CHUNKS = 20
PACE_S = 0.005
PATH = "/v1/chat/completions"
KINDS = ("json", "stream", "paced")
MIME = {"json": "application/json", "stream": "text/event-stream", "paced": "text/event-stream"}
TEXT = (
    "Every organization has its own budget, kept where all processes see it. Before a call leaves, "
    "an estimate of its cost is set aside; when the reply is complete, the estimate is replaced by "
    "what the reported tokens cost. So no organization can spend what belongs to another, and a "
    "call that was cut short is still paid for by whoever made it."
)
_WORDS = TEXT.split()
_HEAD = {
    "id": "chatcmpl-7QkT2v9LwXc4BnM1ZsRy8HdE",
    "created": 1_767_225_600,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
}
_USAGE = {
    "prompt_tokens": 118,
    "completion_tokens": 74,
    "total_tokens": 192,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_MESSAGES = [
    {"role": "system", "content": "Answer in one paragraph that a newcomer can follow."},
    {"role": "user", "content": "What is a gateway in front of several model providers good for?"},
    {
        "role": "assistant",
        "content": "It is one address for all of them: it knows who asks, what they may spend, "
        "and which provider is able to answer at this moment.",
    },
    {"role": "user", "content": "And how does it stop one team from spending another's budget?"},
]


def completion() -> str:
    """The JSON reply."""
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _compact({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def events() -> list[str]:
    """The data of each server-sent event: ``CHUNKS`` of them, then [DONE]."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": f"{word} "} for word in _WORDS[: CHUNKS - 2]]
    told = []
    for delta in [*deltas, {}]:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": None if delta else "stop",
        }
        chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
        told.append(_compact(chunk if delta else {**chunk, "usage": _USAGE}))
    return [*told, "[DONE]"]


def request_body(kind: str, model: str, *, drop: tuple[str, ...] = ()) -> bytes:
    """The body that asks for one kind of reply."""
    body: dict[str, Any] = {
        "model": model,
        "messages": _MESSAGES,
        "temperature": 0.7,
        "max_tokens": 256,
        "user": "somebody",
    }
    if kind != "json":
        body["stream"] = True
    return _compact({k: v for k, v in body.items() if k not in drop}).encode()


def check(kind: str, status: int, text: str) -> str:
    """Why an answer is not what the upstream said; empty when it is."""
    if status != 200:
        return f"HTTP {status}: {text[:200]}"
    if kind == "json":
        try:
            said = json.loads(text)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            return f"no chat completion: {text[:200]}"
        return "" if said == TEXT else "another text than the upstream's"
    data = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    if len(data) < CHUNKS or data[-1] != "[DONE]":
        return f"{len(data)} events, the last {data[-1:]}; wanted {CHUNKS} and [DONE]"
    return ""


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
