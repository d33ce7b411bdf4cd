"""OpenAI chat requests as Anthropic Messages requests, and what cannot be said there."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from lib.errors import RouterError
from routing.wire.anthropic_messages import Block, Function, Message, conversation, marked, unsaid
from routing.wire.anthropic_schema import constrained
from routing.wire.base import Request
from routing.wire.request import ChatRequest, decode_part

MAX_TOKENS_DEFAULT = 4096
THINKING_TOKENS_MIN = 1024

# Share of the output that may be spent on thinking, where a model takes a budget.
_THINKING_SHARE = {
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.9,
    "max": 0.95,
}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "max": "max"}
_JSON_ONLY = "Answer with one JSON object and nothing else: no code fence, no explanation."

_SAID = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "stop",
        "user",
        "safety_identifier",
        "reasoning_effort",
        "response_format",
        "modalities",
        "logprobs",
    }
)


class _Tool(msgspec.Struct):
    type: str = "function"
    function: Function | None = None
    cache_control: dict[str, Any] | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _ToolChoice(msgspec.Struct):
    type: str
    function: _Named | None = None


class _JsonSchema(msgspec.Struct):
    schema: dict[str, Any] | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _Body(msgspec.Struct):
    messages: list[Message]
    tools: list[_Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    reasoning_effort: str | None = None
    response_format: _ResponseFormat | None = None


class _Traits(NamedTuple):
    adaptive: bool
    samples: bool
    xhigh: bool


_BODY = msgspec.json.Decoder(_Body)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def encode(request: Request, *, model: str, max_output_tokens: int | None = None) -> bytes:
    """The Messages request for a chat request; ``max_output_tokens`` is the deployment's bound.

    JSON schemas become ``output_config.format``, which constrains the answer itself; a forced tool
    would rule out thinking and the client's own tools. Raises RouterError (400) for parts that have
    no counterpart.
    """
    if not isinstance(request, ChatRequest):
        raise RouterError(
            400, "unsupported_operation", "Anthropic serves no embeddings. Ask another provider."
        )
    chat = decode_part(_BODY, request.raw)
    bound = max_output_tokens or MAX_TOKENS_DEFAULT
    limit = min(request.max_output_tokens or bound, max_output_tokens or 2**31)
    system, messages = conversation(chat.messages)
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": messages}
    if request.stream:
        body["stream"] = True
    if system:
        body["system"] = system
    stops = [chat.stop] if isinstance(chat.stop, str) else chat.stop
    if stops:
        body["stop_sequences"] = stops
    end_user = chat.safety_identifier or chat.user
    if end_user:
        body["metadata"] = {"user_id": end_user}
    _add_tools(body, chat)
    _add_format(body, chat)
    _add_thinking(body, chat, _traits(model))
    _add_sampling(body, chat, _traits(model))
    return _ENCODER.encode(body)


def unsupported(request: Request) -> tuple[str, ...]:
    """Fields of this request that change the answer and that Anthropic has no word for."""
    if not isinstance(request, ChatRequest):
        return ("input",)
    fields = request.fields()
    found = ["n"] if request.n > 1 else []
    found += [name for name in ("functions", "web_search_options") if _given(fields.get(name))]
    if bytes(fields.get("logprobs", b"")) == b"true":
        found.append("logprobs")
    if "audio" in request.needs:
        found.append("modalities" if not request.audios else "messages")
    if _given(fields.get("stop")):
        stop = decode_part(_ANY, fields["stop"])
        pieces = [stop] if isinstance(stop, str) else stop
        # The API refuses stop sequences of nothing but space.
        if isinstance(pieces, list) and any(isinstance(p, str) and not p.strip() for p in pieces):
            found.append("stop")
    if _given(fields.get("tools")):
        tools = decode_part(_ANY, fields["tools"])
        if any(not isinstance(t, dict) or t.get("type", "function") != "function" for t in tools):
            found.append("tools")
        choice = decode_part(_ANY, fields["tool_choice"]) if "tool_choice" in fields else None
        if isinstance(choice, dict) and choice.get("type") != "function":
            found.append("tool_choice")
    return tuple(found)


def _given(value: msgspec.Raw | None) -> bool:
    return value is not None and bytes(value) not in (b"null", b"[]", b"false")


@lru_cache(maxsize=1024)
def _traits(model: str) -> _Traits:
    # Claude before 4.6 takes a thinking budget; from 4.6 on it chooses itself, told an effort; from
    # 4.7 on it takes no temperature. Other makers who speak this format follow the older shape.
    found = re.search(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)", model)
    if found is None:
        newest = "claude-mythos" in model
        return _Traits(adaptive=newest, samples=not newest, xhigh=newest)
    version = (int(found[1]), int(found[2] or 0))
    return _Traits(adaptive=version >= (4, 6), samples=version < (4, 7), xhigh=version >= (4, 7))


def _add_tools(body: dict[str, Any], chat: _Body) -> None:
    if not chat.tools:
        return
    tools = []
    for at, tool in enumerate(chat.tools):
        if tool.function is None:
            raise unsaid(f"tools[{at}]", f"a tool of type '{tool.type}'")
        tools.append(_tool(tool.function, tool.cache_control or tool.function.cache_control))
    body["tools"] = tools
    choice = chat.tool_choice
    if isinstance(choice, _ToolChoice):
        if choice.function is None:
            raise unsaid("tool_choice", f"a choice of type '{choice.type}'")
        said: dict[str, Any] = {"type": "tool", "name": choice.function.name}
    elif choice in (None, "auto", "none", "required"):
        said = {"type": "any" if choice == "required" else choice or "auto"}
    else:
        raise unsaid("tool_choice", f"the value '{choice}'")
    if chat.parallel_tool_calls is False and choice != "none":
        said["disable_parallel_tool_use"] = True
    if choice is not None or len(said) > 1:
        body["tool_choice"] = said


def _tool(function: Function, cache_control: dict[str, Any] | None) -> Block:
    tool: Block = {"name": function.name}
    if function.description:
        tool["description"] = function.description
    schema = bytes(function.parameters)
    if schema in (b"", b"null", b"{}"):
        tool["input_schema"] = {"type": "object", "properties": {}}
    elif function.strict:
        tool["input_schema"] = constrained(decode_part(_ANY, schema))
    else:
        tool["input_schema"] = function.parameters
    if function.strict:
        tool["strict"] = True
    return marked(tool, cache_control)


def _add_format(body: dict[str, Any], chat: _Body) -> None:
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return
    if wanted.type == "json_object":
        body["system"] = [*body.get("system", ()), {"type": "text", "text": _JSON_ONLY}]
    elif wanted.json_schema is not None and wanted.json_schema.schema is not None:
        schema = constrained(wanted.json_schema.schema)
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    else:
        raise unsaid("response_format", f"type '{wanted.type}' without a schema")


def _add_thinking(body: dict[str, Any], chat: _Body, traits: _Traits) -> None:
    effort = chat.reasoning_effort
    if effort not in _THINKING_SHARE:
        return
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if traits.adaptive:
        level = _EFFORTS.get(effort) or ("xhigh" if traits.xhigh else "high")
        body["output_config"] = {**body.get("output_config", {}), "effort": level}
        if not forced:
            body["thinking"] = {"type": "adaptive"}
        return
    # Inside a tool loop the API wants the earlier thinking back, signed, which OpenAI's format
    # cannot carry; and it does not think before a tool that is forced.
    limit = body["max_tokens"]
    if forced or chat.messages[-1].role == "tool" or limit <= THINKING_TOKENS_MIN:
        return
    budget = max(THINKING_TOKENS_MIN, int(limit * _THINKING_SHARE[effort]))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _add_sampling(body: dict[str, Any], chat: _Body, traits: _Traits) -> None:
    if not traits.samples or "thinking" in body:
        return
    # Newer models take one of the two only; the temperature is what people turn.
    if chat.temperature is not None:
        body["temperature"] = min(max(chat.temperature, 0.0), 1.0)
    elif chat.top_p is not None:
        body["top_p"] = chat.top_p
