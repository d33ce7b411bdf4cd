"""OpenAI chat requests, read into questions. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from catalog.sandbox import errors
from catalog.sandbox.answer import Question, Tool
from catalog.sandbox.errors import RequestError
from catalog.sandbox.faults import NONE, Faults
from catalog.sandbox.models import SandboxModel
from catalog.sandbox.reply import (
    IMAGE_TOKENS,
    MESSAGE_OVERHEAD_TOKENS,
    MESSAGES_MAX,
    check_sees,
    check_size,
    model_named,
)
from catalog.sandbox.tokens import count

CHOICES_MAX = 8
_PRIMING_TOKENS = 3
_REASONING_TOKENS = {"none": 0, "minimal": 0, "low": 64, "medium": 128, "high": 256, "xhigh": 512}


class Part(msgspec.Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Any = None


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, omit_defaults=True):
    """A function's name and the JSON schema of its arguments."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionTool(msgspec.Struct):
    """A tool; only functions are served."""

    type: Literal["function"]
    function: Function


class StreamOptions(msgspec.Struct):
    """What a stream carries beside the text."""

    include_usage: bool | None = None


class JsonSchema(msgspec.Struct):
    """A named schema for the answer."""

    name: str
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct):
    """Prose, any JSON or JSON by a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(msgspec.Struct):
    """The fields that the sandbox heeds; others are accepted and ignored."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    seed: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    reasoning_effort: str | None = None
    sandbox: Faults | None = None

    @property
    def faults(self) -> Faults:
        """What the body asks to go wrong."""
        return self.sandbox or NONE


_decoder = msgspec.json.Decoder(ChatRequest)


def read(body: bytes) -> tuple[ChatRequest, SandboxModel, Question]:
    """The request, its model and its question. Raises RequestError naming the field."""
    try:
        request = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise errors.invalid(error) from error
    model = model_named(request.model, wire="openai", operation="chat")
    if request.top_logprobs and not request.logprobs:
        raise RequestError(400, "top_logprobs: needs logprobs: true.", param="top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise RequestError(400, "stream_options: needs stream: true.", param="stream_options")
    question = _question(request, model)
    asked = request.max_completion_tokens or request.max_tokens or 0
    param = "max_completion_tokens" if request.max_completion_tokens else "max_tokens"
    check_size(model, input_tokens=question.input_tokens, limit_tokens=asked, param=param)
    return request, model, question


def _question(request: ChatRequest, model: SandboxModel) -> Question:
    texts: list[str] = []
    tokens = _PRIMING_TOKENS
    if request.tools:
        texts.append(msgspec.json.encode(request.tools).decode())
    for at, message in enumerate(request.messages):
        text, images = _content(message, at, model)
        if message.tool_calls:
            text += msgspec.json.encode(message.tool_calls).decode()
        texts += (message.role, text)
        tokens += MESSAGE_OVERHEAD_TOKENS - 1 + images * IMAGE_TOKENS
    tokens += sum(map(count, texts))
    last = request.messages[-1]
    user = next((m for m in reversed(request.messages) if m.role == "user"), None)
    tools, must_call = _tools(request)
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Question(
        texts=tuple(texts),
        input_tokens=tokens,
        user_text=_text(user) if user else "",
        tool_result=_text(last) if last.role in ("tool", "function") else None,
        tools=tools,
        must_call=must_call,
        parallel=request.parallel_tool_calls is not False,
        schema=_schema(request.response_format),
        stop=stop,
        limit_tokens=request.max_completion_tokens or request.max_tokens or model.max_output_tokens,
        reasoning_tokens=_REASONING_TOKENS.get(request.reasoning_effort or "medium", 128)
        if "reasoning" in model.capabilities
        else 0,
    )


def _content(message: Message, at: int, model: SandboxModel) -> tuple[str, int]:
    if not isinstance(message.content, list):
        return message.content or "", 0
    images = 0
    for part_at, part in enumerate(message.content):
        where = f"messages[{at}].content[{part_at}]"
        if part.type == "image_url":
            check_sees(model, param=where)
            if not (isinstance(part.image_url, dict) and part.image_url.get("url")):
                raise RequestError(400, f"{where}.image_url.url: missing.", param=where)
            images += 1
        elif part.type not in ("text", "refusal"):
            message_text = f'{where}: the sandbox takes no "{part.type[:40]}" parts.'
            raise RequestError(400, message_text, param=where)
    return _text(message), images


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text or part.refusal or "" for part in message.content)
    return message.content or ""


def _tools(request: ChatRequest) -> tuple[tuple[Tool, ...], bool]:
    tools = tuple(
        Tool(tool.function.name, tool.function.parameters) for tool in request.tools or ()
    )
    choice = request.tool_choice
    if choice is None or choice == "auto":
        return tools, False
    if choice == "none":
        return (), False
    if not tools:
        raise RequestError(400, "tool_choice: needs tools.", param="tool_choice")
    if choice == "required":
        return tools, True
    names, must_call = _chosen(choice)
    chosen = tuple(tool for tool in tools if tool.name in names)
    if not chosen:
        message = "tool_choice: none, auto, required, or a function that is among the tools."
        raise RequestError(400, message, param="tool_choice")
    return chosen, must_call


def _chosen(choice: str | dict[str, Any]) -> tuple[set[str], bool]:
    if not isinstance(choice, dict):
        return set(), False
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        entries = allowed.get("tools")
        entries = entries if isinstance(entries, list) else []
        return {name for entry in entries for name in _named(entry)}, (
            allowed.get("mode") == "required"
        )
    return _named(choice), True


def _named(entry: object) -> set[str]:
    function = entry.get("function") if isinstance(entry, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return {name} if isinstance(name, str) else set()


def _schema(response_format: ResponseFormat | None) -> Any:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return True
    if response_format.json_schema is None:
        message = "response_format.json_schema: missing."
        raise RequestError(400, message, param="response_format.json_schema")
    return response_format.json_schema.schema or True
