"""Anthropic's Messages: requests into questions, answers into documents and events.

https://docs.anthropic.com/en/api/messages and /en/api/messages-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from catalog.sandbox import errors
from catalog.sandbox.answer import Choice, Question, Tool, answer
from catalog.sandbox.errors import RequestError
from catalog.sandbox.faults import NONE, Faults
from catalog.sandbox.models import MODELS, SandboxModel
from catalog.sandbox.reply import (
    IMAGE_TOKENS,
    MESSAGE_OVERHEAD_TOKENS,
    MESSAGES_MAX,
    Event,
    Reply,
    Stamp,
    check_sees,
    check_size,
    model_named,
)
from catalog.sandbox.tokens import count, split

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
}
_MODELS_CREATED = "2026-01-01T00:00:00Z"
_encode = msgspec.json.encode


class Block(msgspec.Struct):
    """A block of content."""

    type: str
    text: str | None = None
    content: Any = None
    input: Any = None
    cache_control: Any = None


class Message(msgspec.Struct):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str | list[Block]


class ToolParam(msgspec.Struct, omit_defaults=True):
    """A tool; those that run at the provider have no schema and are left alone."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    cache_control: Any = None


class ToolChoice(msgspec.Struct):
    """Whether tools may or must be used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Format(msgspec.Struct):
    """JSON by a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    """How the answer shall look."""

    format: Format | None = None


class MessagesRequest(msgspec.Struct):
    """The fields that the sandbox heeds; others are accepted and ignored."""

    model: str
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=16)] | None = None
    tools: Annotated[list[ToolParam], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    output_config: OutputConfig | None = None
    cache_control: Any = None
    sandbox: Faults | None = None

    @property
    def faults(self) -> Faults:
        """What the body asks to go wrong."""
        return self.sandbox or NONE

    @property
    def caches(self) -> bool:
        """Whether the prompt is marked to be cached; unlike OpenAI, Anthropic wants to be told."""
        blocks = [self.system, *(message.content for message in self.messages)]
        marked = [block for part in blocks if isinstance(part, list) for block in part]
        holders = (self, *marked, *(self.tools or ()))
        return any(holder.cache_control is not None for holder in holders)


_decoder = msgspec.json.Decoder(MessagesRequest)


def read(body: bytes) -> tuple[MessagesRequest, SandboxModel, Question]:
    """The request, its model and its question. Raises RequestError naming the field."""
    try:
        request = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise errors.invalid(error) from error
    model = model_named(request.model, wire="anthropic", operation="chat")
    question = _question(request, model)
    check_size(
        model,
        input_tokens=question.input_tokens,
        limit_tokens=request.max_tokens,
        param="max_tokens",
    )
    return request, model, question


def reply(
    request: MessagesRequest,
    model: SandboxModel,
    question: Question,
    stamp: Stamp,
    *,
    tokens: int | None = None,
) -> Reply:
    """The reply to a Messages request. ``tokens`` sets the answer's length."""
    seed = 0 if request.temperature == 0 else stamp.seed
    choice = answer(model, question, seed=seed, tokens=tokens)
    usage = _usage(question, choice, stamp)
    message: dict[str, Any] = {
        "id": f"msg_{stamp.identity}",
        "type": "message",
        "role": "assistant",
        "model": model.name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    ending = {
        "stop_reason": _STOP_REASONS[choice.finish],
        "stop_sequence": choice.stop_sequence,
    }
    return Reply(
        body=b"" if request.stream else _encode({**message, **ending, "content": _content(choice)}),
        events=_events(message, choice, usage, ending) if request.stream else None,
        last=_event("message_stop"),
        output_tokens=choice.output_tokens,
        paced_tokens=choice.output_tokens,
    )


def models() -> bytes:
    """GET /v1/models as Anthropic's clients read it."""
    data = [_model(model) for model in MODELS if model.wire == "anthropic"]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return _encode({"data": data, "has_more": False, **ends})


def model(one: SandboxModel) -> bytes:
    """GET /v1/models/{id} as Anthropic's clients read it."""
    return _encode(_model(one))


def _model(one: SandboxModel) -> dict[str, str]:
    title = one.name.replace("-", " ").title()
    return {
        "type": "model",
        "id": one.name,
        "display_name": title,
        "created_at": _MODELS_CREATED,
    }


def _question(request: MessagesRequest, model: SandboxModel) -> Question:
    texts: list[str] = []
    tokens = 0
    if request.tools:
        texts.append(_encode(request.tools).decode())
    if request.system:
        texts.append(_text(request.system))
    for at, message in enumerate(request.messages):
        texts += (message.role, _text(message.content))
        tokens += MESSAGE_OVERHEAD_TOKENS - 1
        tokens += _images(message, at, model) * IMAGE_TOKENS
    tokens += sum(map(count, texts))
    last = request.messages[-1]
    results = [
        block
        for block in (last.content if isinstance(last.content, list) else ())
        if block.type == "tool_result"
    ]
    said = next((m for m in reversed(request.messages) if m.role == "user"), None)
    choice = request.tool_choice or ToolChoice("auto")
    output_format = request.output_config.format if request.output_config else None
    return Question(
        texts=tuple(texts),
        input_tokens=tokens,
        user_text=_text(said.content) if said else "",
        tool_result="\n".join(map(_result, results)) if results else None,
        tools=_tools(request, choice),
        must_call=choice.type in ("any", "tool"),
        parallel=not choice.disable_parallel_tool_use,
        schema=output_format.schema if output_format else None,
        stop=tuple(request.stop_sequences or ()),
        limit_tokens=request.max_tokens,
        reasoning_tokens=0,
    )


def _images(message: Message, at: int, model: SandboxModel) -> int:
    if not isinstance(message.content, list):
        return 0
    images = 0
    for block_at, block in enumerate(message.content):
        if block.type == "image":
            check_sees(model, param=f"messages.{at}.content.{block_at}")
            images += 1
    return images


def _text(content: str | list[Block]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(map(_block_text, content))


def _block_text(block: Block) -> str:
    if block.type == "tool_result":
        return _result(block)
    if block.type == "tool_use":
        return _encode(block.input).decode()
    return block.text or ""


def _result(block: Block) -> str:
    if isinstance(block.content, list):
        parts = [part.get("text") for part in block.content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return block.content if isinstance(block.content, str) else ""


def _tools(request: MessagesRequest, choice: ToolChoice) -> tuple[Tool, ...]:
    tools = tuple(
        Tool(tool.name, tool.input_schema)
        for tool in request.tools or ()
        if tool.input_schema is not None
    )
    if choice.type == "none":
        return ()
    if choice.type in ("any", "tool") and not tools:
        raise RequestError(400, "tool_choice: needs tools.", param="tool_choice")
    if choice.type == "tool":
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            message = f'tool_choice.name: "{choice.name}" is not among the tools.'
            raise RequestError(400, message, param="tool_choice.name")
    return tools


def _usage(question: Question, choice: Choice, stamp: Stamp) -> dict[str, Any]:
    # Unlike OpenAI's, these input tokens leave out what was read from or written to the cache.
    return {
        "input_tokens": question.input_tokens - stamp.kept_tokens,
        "cache_creation_input_tokens": stamp.kept_tokens - stamp.cached_tokens,
        "cache_read_input_tokens": stamp.cached_tokens,
        "output_tokens": choice.output_tokens,
        "service_tier": "standard",
    }


def _content(choice: Choice) -> list[dict[str, Any]]:
    if not choice.calls:
        return [{"type": "text", "text": choice.text}]
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{call.id}",
            "name": call.name,
            # Cut by max_tokens the arguments are no JSON; a real model's are lost as well.
            "input": {} if choice.finish == "length" else msgspec.json.decode(call.arguments),
        }
        for call in choice.calls
    ]


def _events(
    message: dict[str, Any], choice: Choice, usage: dict[str, Any], ending: dict[str, Any]
) -> Iterator[Event]:
    opening = {**message, "usage": {**usage, "output_tokens": 1}}
    yield _event("message_start", message=opening)
    blocks: list[tuple[dict[str, Any], str, str, list[str]]] = [
        (
            {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": {}},
            "input_json_delta",
            "partial_json",
            ["", *split(call.arguments)],
        )
        for call in choice.calls
    ] or [({"type": "text", "text": ""}, "text_delta", "text", list(choice.pieces))]
    for at, (block, kind, field, pieces) in enumerate(blocks):
        yield _event("content_block_start", index=at, content_block=block)
        if at == 0:
            yield _event("ping")
        for piece in pieces:
            delta = {"type": kind, field: piece}
            yield _event("content_block_delta", tokens=1, index=at, delta=delta)
        yield _event("content_block_stop", index=at)
    final = {key: value for key, value in usage.items() if key != "service_tier"}
    yield _event("message_delta", delta=ending, usage=final)


def _event(kind: str, *, tokens: int = 0, **fields: Any) -> Event:
    data = _encode({"type": kind, **fields})
    return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), tokens)
