"""The messages of an OpenAI chat as Anthropic's: roles, parts, tool calls and their results."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from lib.errors import RouterError

Block = dict[str, Any]


class _ImageUrl(msgspec.Struct):
    url: str


class _File(msgspec.Struct):
    filename: str | None = None
    file_data: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | str | None = None
    file: _File | None = None
    cache_control: dict[str, Any] | None = None


class Function(msgspec.Struct):
    name: str
    arguments: str = ""
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    cache_control: dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    id: str
    function: Function


class Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    cache_control: dict[str, Any] | None = None


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def conversation(given: list[Message]) -> tuple[list[Block], list[Block]]:
    """System blocks, and messages with neighbours of one role put together.

    Raises RouterError (400) for roles and parts without a counterpart.
    """
    system: list[Block] = []
    messages: list[Block] = []
    for at, message in enumerate(given):
        if message.role in ("system", "developer"):
            system += _blocks(message, at)
            continue
        if message.role == "tool":
            role, blocks = "user", [_tool_result(message, at)]
        elif message.role == "assistant":
            role, blocks = "assistant", [*_blocks(message, at), *_tool_uses(message)]
        elif message.role == "user":
            role, blocks = "user", _blocks(message, at)
        else:
            raise unsaid(f"messages[{at}].role", f"role '{message.role}'")
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})
    if not messages:
        # A conversation cannot be empty there: what stands alone is what is asked.
        messages, system = [{"role": "user", "content": system}], []
    return system, messages


def _blocks(message: Message, at: int) -> list[Block]:
    content = message.content
    if not content:
        return []
    if isinstance(content, str):
        return [marked({"type": "text", "text": content}, message.cache_control)]
    blocks = [
        marked(block, part.cache_control)
        for index, part in enumerate(content)
        if (block := _block(part, f"messages[{at}].content[{index}]")) is not None
    ]
    if message.cache_control and blocks:
        blocks[-1]["cache_control"] = message.cache_control
    return blocks


def _block(part: _Part, where: str) -> Block | None:
    if part.type in ("text", "refusal"):
        text = part.text or part.refusal
        return {"type": "text", "text": text} if text else None
    if part.type == "image_url" and part.image_url is not None:
        url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
        if not url.startswith("data:"):
            return {"type": "image", "source": {"type": "url", "url": url}}
        media_type, data = _data_url(url, where)
        return {"type": "image", "source": _base64(media_type, data)}
    if part.type == "file" and part.file is not None and part.file.file_data:
        media_type, data = _data_url(part.file.file_data, where)
        block: Block = {"type": "document", "source": _base64(media_type, data)}
        if media_type.startswith("text/"):
            text = _decoded(data, where)
            block["source"] = {"type": "text", "media_type": "text/plain", "data": text}
        if part.file.filename:
            block["title"] = part.file.filename
        return block
    raise unsaid(where, f"a part of type '{part.type}'")


def _data_url(url: str, where: str) -> tuple[str, str]:
    head, comma, data = url.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    if not comma or not head.startswith("data:") or not coding.endswith("base64"):
        message = f"'{where}' is no base64 data URL. Send data:<media type>;base64,<data>."
        raise RouterError(400, "invalid_value", message, param=where)
    return kind.lower(), data


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        message = f"'{where}' holds no UTF-8 text in base64: {error}."
        raise RouterError(400, "invalid_value", message, param=where) from error


def _base64(media_type: str, data: str) -> Block:
    return {"type": "base64", "media_type": media_type, "data": data}


def _tool_result(message: Message, at: int) -> Block:
    if not message.tool_call_id:
        message_ = f"Missing required parameter: 'messages[{at}].tool_call_id'."
        raise RouterError(
            400,
            "missing_required_parameter",
            message_,
            param=f"messages[{at}].tool_call_id",
        )
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if message.content:
        text = message.content
        block["content"] = text if isinstance(text, str) else _blocks(message, at)
    return marked(block, message.cache_control)


def _tool_uses(message: Message) -> list[Block]:
    return [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.function.name,
            "input": _arguments(call.function.arguments),
        }
        for call in message.tool_calls or ()
    ]


def _arguments(text: str) -> Any:
    # The API wants an object. What a model left unfinished is handed back under one name.
    raw = text.encode()
    if not raw.strip():
        return {}
    try:
        _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"arguments": text}
    return msgspec.Raw(raw)


def marked(block: Block, cache_control: dict[str, Any] | None) -> Block:
    """The block with the client's cache breakpoint, where it set one."""
    if cache_control:
        block["cache_control"] = cache_control
    return block


def unsaid(param: str, what: str) -> RouterError:
    """The refusal of something that the Messages format has no word for."""
    message = (
        f"'{param}': {what} has no counterpart at Anthropic. Choose another model or leave it out."
    )
    return RouterError(400, "unsupported_parameter", message, param=param)
