"""OpenAI chat replies: the whole document, or its events in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from catalog.sandbox.answer import Choice, Question, ToolCall, answer
from catalog.sandbox.models import MODELS, SandboxModel
from catalog.sandbox.openai_request import ChatRequest
from catalog.sandbox.reply import Event, Reply, Stamp
from catalog.sandbox.tokens import split

DONE = Event(b"data: [DONE]\n\n")
_FINGERPRINT = "fp_sandbox"
_MODELS_CREATED = 1_767_225_600  # 2026-01-01
_encode = msgspec.json.encode


def chat(
    request: ChatRequest,
    model: SandboxModel,
    question: Question,
    stamp: Stamp,
    *,
    tokens: int | None = None,
) -> Reply:
    """The reply to a chat request. ``tokens`` sets the answer's length."""
    seed = request.seed
    if seed is None:
        seed = 0 if request.temperature == 0 else stamp.seed
    choices = [
        answer(model, question, seed=seed + at, tokens=tokens) for at in range(request.n or 1)
    ]
    usage = _usage(question, choices, stamp)
    head = {
        "id": f"chatcmpl-{stamp.identity}",
        "object": "chat.completion.chunk" if request.stream else "chat.completion",
        "created": stamp.created,
        "model": model.name,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }
    top = (request.top_logprobs or 0) if request.logprobs else None
    if request.stream:
        options = request.stream_options
        with_usage = options is not None and bool(options.include_usage)
        events, body = _events(head, choices, usage if with_usage else None, top), b""
    else:
        events, body = None, _document(head, choices, usage, top)
    return Reply(
        body=body,
        events=events,
        last=DONE,
        output_tokens=usage["completion_tokens"],
        paced_tokens=max(choice.output_tokens - choice.reasoning_tokens for choice in choices),
    )


def models() -> bytes:
    """GET /v1/models."""
    data = [_model(model) for model in MODELS if model.wire == "openai"]
    return _encode({"object": "list", "data": data})


def model(one: SandboxModel) -> bytes:
    """GET /v1/models/{id}."""
    return _encode(_model(one))


def _model(one: SandboxModel) -> dict[str, Any]:
    return {
        "id": one.name,
        "object": "model",
        "created": _MODELS_CREATED,
        "owned_by": "sandbox",
    }


def _usage(question: Question, choices: list[Choice], stamp: Stamp) -> dict[str, Any]:
    output = sum(choice.output_tokens for choice in choices)
    return {
        "prompt_tokens": question.input_tokens,
        "completion_tokens": output,
        "total_tokens": question.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": stamp.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(choice.reasoning_tokens for choice in choices),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _document(
    head: dict[str, Any], choices: list[Choice], usage: dict[str, Any], top: int | None
) -> bytes:
    documents = []
    for at, choice in enumerate(choices):
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if choice.calls else choice.text,
            "refusal": None,
            "annotations": [],
        }
        if choice.calls:
            message["tool_calls"] = [_call(call) for call in choice.calls]
        logprobs = None if top is None else _logprobs(choice.pieces, top)
        documents.append(
            {
                "index": at,
                "message": message,
                "logprobs": logprobs,
                "finish_reason": _finish(choice),
            }
        )
    return _encode({**head, "choices": documents, "usage": usage})


def _events(
    head: dict[str, Any], choices: list[Choice], usage: dict[str, Any] | None, top: int | None
) -> Iterator[Event]:
    # With include_usage every chunk has the field, and only the last one a value.
    tail: dict[str, Any] = {} if usage is None else {"usage": None}

    def event(at: int, delta: dict[str, Any], tokens: int = 0, **more: Any) -> Event:
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return _event({**head, "choices": [choice], **tail}, tokens)

    for at, choice in enumerate(choices):
        content = None if choice.calls else ""
        yield event(at, {"role": "assistant", "content": content, "refusal": None})
    for step in range(max(len(choice.pieces) for choice in choices)):
        for at, choice in enumerate(choices):
            if step < len(choice.pieces):
                piece = choice.pieces[step]
                logprobs = None if top is None else _logprobs((piece,), top)
                yield event(at, {"content": piece}, 1, logprobs=logprobs)
    for at, choice in enumerate(choices):
        for call_at, call in enumerate(choice.calls):
            opening = {**_call(call), "index": call_at}
            opening["function"] = {"name": call.name, "arguments": ""}
            yield event(at, {"tool_calls": [opening]})
            for piece in split(call.arguments):
                part = {"index": call_at, "function": {"arguments": piece}}
                yield event(at, {"tool_calls": [part]}, 1)
    for at, choice in enumerate(choices):
        yield event(at, {}, finish_reason=_finish(choice))
    if usage is not None:
        yield _event({**head, "choices": [], "usage": usage}, 0)


def _event(document: dict[str, Any], tokens: int) -> Event:
    return Event(b"data: " + _encode(document) + b"\n\n", tokens)


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": f"call_{call.id}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _finish(choice: Choice) -> str:
    return "stop" if choice.finish == "stop_sequence" else choice.finish


def _logprobs(pieces: tuple[str, ...], top: int) -> dict[str, Any]:
    return {"content": [_logprob(piece, top) for piece in pieces], "refusal": None}


def _logprob(piece: str, top: int) -> dict[str, Any]:
    own = {
        "token": piece,
        "logprob": -round(len(piece) / 64, 6),
        "bytes": list(piece.encode()),
    }
    others = [
        {
            "token": f"{piece}~{at}",
            "logprob": -float(at + 1),
            "bytes": list(f"{piece}~{at}".encode()),
        }
        for at in range(1, top)
    ]
    return {**own, "top_logprobs": [own, *others] if top else []}
