"""A client's request body: what routing needs from it, read once, and the rest left untouched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from lib.errors import RouterError
from routing.wire.depth import is_deeper

MESSAGES_MAX = 2000
INPUTS_MAX = 2048
N_MAX = 8
DEPTH_MAX = 64
MODEL_CHARS_MAX = 256

# Every set of needs, by the sum of its bits, so that a call makes none.
_NAMES = ("tools", "vision", "json_schema", "reasoning", "audio")
_TOOLS, _VISION, _JSON_SCHEMA, _REASONING, _AUDIO = 1, 2, 4, 8, 16
_NEEDS = tuple(
    frozenset(name for bit, name in enumerate(_NAMES) if bits >> bit & 1)
    for bits in range(1 << len(_NAMES))
)

# Every part that is not text carries one of these between quotes.
_MEDIA_MARKS = (b'"image_url"', b'"input_audio"', b'"file"', b'"video_url"')

Fields = dict[str, msgspec.Raw]
_T = TypeVar("_T")


class ChatRequest(msgspec.Struct):
    """A chat request as routing sees it; ``raw`` is the body as it came.

    ``prompt_bytes`` bounds the tokens of all text from above (a token is at least one byte);
    ``media_bytes`` is the encoded size of the images, sounds and files, which it leaves out.
    ``needs`` are capabilities: tools, vision (also for files), json_schema, reasoning, audio.
    """

    raw: bytes
    model: str
    stream: bool
    include_usage: bool
    max_output_tokens: int | None
    n: int
    needs: frozenset[str]
    prompt_bytes: int
    messages_count: int
    user: str | None
    metadata: dict[str, Any] | None
    images: int = 0
    audios: int = 0
    files: int = 0
    media_bytes: int = 0
    operation: str = "chat"
    _fields: Fields | None = None

    def fields(self) -> Fields:
        """Every top-level field as the bytes the client sent; do not change it."""
        if self._fields is None:
            self._fields = decode_part(_FIELDS, self.raw)
        return self._fields

    def texts(self) -> Iterator[str]:
        """The pieces of text that become input tokens: messages, tools and the answer's schema."""
        for message in decode_part(_ANY, self.fields()["messages"]):
            yield from _message_texts(message)
        for name in ("tools", "functions", "response_format"):
            raw = self.fields().get(name)
            if raw is not None and bytes(raw) != b"null":
                yield bytes(raw).decode()


class EmbeddingsRequest(msgspec.Struct):
    """An embeddings request; ``input_tokens`` is known when the client sent token ids."""

    raw: bytes
    model: str
    prompt_bytes: int
    inputs_count: int
    input_tokens: int | None
    user: str | None
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    n: int = 1
    needs: frozenset[str] = frozenset()
    metadata: dict[str, Any] | None = None
    operation: str = "embeddings"
    _fields: Fields | None = None

    def fields(self) -> Fields:
        """Every top-level field as the bytes the client sent; do not change it."""
        if self._fields is None:
            self._fields = decode_part(_FIELDS, self.raw)
        return self._fields

    def texts(self) -> Iterator[str]:
        """The texts to embed; nothing when the client sent token ids."""
        found = decode_part(_ANY, self.fields()["input"])
        for piece in [found] if isinstance(found, str) else found:
            if isinstance(piece, str):
                yield piece


class _Role(msgspec.Struct):
    role: str


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Typed(msgspec.Struct):
    type: str | None = None


class _Chat(msgspec.Struct):
    model: str
    messages: list[_Role]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    response_format: _Typed | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None


class _Embeddings(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    user: str | None = None


class _MediaMessage(msgspec.Struct):
    content: Any = None


class _Named(msgspec.Struct):
    model: str


_ANY = msgspec.json.Decoder()
_FIELDS = msgspec.json.Decoder(Fields)
_CHAT = msgspec.json.Decoder(_Chat)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)
_NAMED = msgspec.json.Decoder(_Named)
_MEDIA = msgspec.json.Decoder(list[_MediaMessage])


def parse_chat(raw: bytes) -> ChatRequest:
    """The request of POST /v1/chat/completions. Raises RouterError (400) naming the field."""
    chat = _decode(_CHAT, raw)
    _check_chat(chat)
    needs = 0
    if chat.tools or chat.functions:
        needs |= _TOOLS
    if chat.response_format is not None and chat.response_format.type == "json_schema":
        needs |= _JSON_SCHEMA
    if chat.reasoning_effort is not None and chat.reasoning_effort != "none":
        needs |= _REASONING
    if chat.modalities is not None and "audio" in chat.modalities:
        needs |= _AUDIO
    # Servers know one name or the other: the larger one bounds what can come.
    limits = [n for n in (chat.max_completion_tokens, chat.max_tokens) if n is not None]
    request = ChatRequest(
        raw,
        chat.model,
        chat.stream is True,
        chat.stream_options is not None and chat.stream_options.include_usage is True,
        max(limits) if limits else None,
        1 if chat.n is None else chat.n,
        _NEEDS[needs],
        len(raw),
        len(chat.messages),
        chat.user,
        chat.metadata,
    )
    # Parts need an array of their own; a body with one bracket has none.
    second = raw.find(b"[", raw.find(b"[") + 1)
    if second > 0 and any(mark in raw for mark in _MEDIA_MARKS):
        _count_media(request)
    return request


def parse_embeddings(raw: bytes) -> EmbeddingsRequest:
    """The request of POST /v1/embeddings. Raises RouterError (400) naming the field."""
    found = _decode(_EMBEDDINGS, raw)
    _check_model(found.model)
    tokens: int | None = None
    count = 1
    if not isinstance(found.input, str):
        kinds = {type(piece) for piece in found.input}
        if len(kinds) > 1:
            raise _invalid(
                "input", "'input' mixes texts and token ids. Send one kind.", "invalid_type"
            )
        if int in kinds:
            tokens = len(found.input)
        else:
            count = len(found.input)
            if list in kinds:
                tokens = sum(len(piece) for piece in found.input if isinstance(piece, list))
        if count > INPUTS_MAX:
            message = f"'input' has {count} entries; at most {INPUTS_MAX} fit. Send several calls."
            raise _invalid("input", message, "array_above_max_length")
    if not found.input:
        raise _invalid("input", "'input' is empty. Send a text or a list of texts.", "empty_array")
    return EmbeddingsRequest(raw, found.model, len(raw), count, tokens, found.user)


def model_asked(raw: bytes) -> str:
    """The model that a body asks for, be the rest of it wrong; empty where it names none."""
    try:
        return decode_part(_NAMED, raw).model[:MODEL_CHARS_MAX]
    except RouterError:
        return ""


def decode_part(decoder: msgspec.json.Decoder[_T], raw: bytes | msgspec.Raw) -> _T:
    """``raw`` by ``decoder``; what does not fit becomes a RouterError (400) naming the field."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _wrong_shape(str(error)) from error
    except msgspec.DecodeError as error:
        raise _bad_json(str(error)) from error
    except UnicodeDecodeError as error:
        raise _bad_json("a string is not valid UTF-8") from error
    except RecursionError as error:
        raise _too_deep() from error


def _decode(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    found = decode_part(decoder, raw)
    if is_deeper(raw, DEPTH_MAX):
        raise _too_deep()
    if not raw.isascii():
        # Fields that pass through unread are not looked at by the decoder.
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise _bad_json(f"not valid UTF-8 (byte {error.start})") from error
    return found


def _check_chat(chat: _Chat) -> None:
    _check_model(chat.model)
    count = len(chat.messages)
    if count == 0:
        raise _invalid("messages", "'messages' is empty. Send at least one message.", "empty_array")
    if count > MESSAGES_MAX:
        message = (
            f"'messages' has {count} entries; at most {MESSAGES_MAX} fit. Shorten the history."
        )
        raise _invalid("messages", message, "array_above_max_length")
    if chat.n is not None and not 1 <= chat.n <= N_MAX:
        message = f"'n' is {chat.n}. Send a number from 1 to {N_MAX}."
        code = "integer_below_min_value" if chat.n < 1 else "integer_above_max_value"
        raise _invalid("n", message, code)
    for name in ("max_completion_tokens", "max_tokens"):
        limit = getattr(chat, name)
        if limit is not None and limit < 1:
            message = f"'{name}' is {limit}. Send at least 1, or leave it out."
            raise _invalid(name, message, "integer_below_min_value")


def _check_model(model: str) -> None:
    if not model:
        message = "'model' is empty. Send a model's name, 'provider/model' or 'auto'."
        raise _invalid("model", message, "missing_required_parameter")
    if len(model) > MODEL_CHARS_MAX:
        message = f"'model' has {len(model)} characters; no model's name is longer than "
        raise _invalid("model", f"{message}{MODEL_CHARS_MAX}.", "string_above_max_length")


def _count_media(request: ChatRequest) -> None:
    for message in decode_part(_MEDIA, request.fields()["messages"]):
        if not isinstance(message.content, list):
            continue
        for part in message.content:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in ("image_url", "video_url"):
                request.images += 1
            elif kind == "input_audio":
                request.audios += 1
            elif kind == "file":
                request.files += 1
            else:
                continue
            request.media_bytes += _encoded_bytes(part[kind]) if kind in part else 0
    request.prompt_bytes -= request.media_bytes
    bits = _VISION if request.images or request.files else 0
    request.needs |= _NEEDS[bits | (_AUDIO if request.audios else 0)]


def _encoded_bytes(value: Any) -> int:
    # Only what is written out as data: an address is short, and text elsewhere stays counted.
    if isinstance(value, str):
        return len(value) if value.startswith("data:") else 0
    if not isinstance(value, dict):
        return 0
    sizes = [_encoded_bytes(value.get("url"))]
    for name in ("data", "file_data"):
        found = value.get(name)
        sizes.append(len(found) if isinstance(found, str) and found.isascii() else 0)
    return sum(sizes)


def _message_texts(message: Any) -> Iterator[str]:
    for name in ("content", "refusal", "name", "reasoning_content"):
        value = message.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for part in value:
                for key in ("text", "refusal"):
                    text = part.get(key) if isinstance(part, dict) else None
                    if isinstance(text, str):
                        yield text
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from (v for k in ("name", "arguments") if isinstance(v := function.get(k), str))


_SHAPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")
_PLAIN = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


def _wrong_shape(problem: str) -> RouterError:
    at = _PATH.search(problem)
    path = at["path"] if at else ""
    missing = _MISSING.search(problem)
    if missing:
        name = f"{path}.{missing['name']}" if path else missing["name"]
        hint = " Send a model's name, 'provider/model' or 'auto'." if name == "model" else ""
        message = f"Missing required parameter: '{name}'.{hint}"
        return _invalid(name, message, "missing_required_parameter")
    shape = _SHAPE.search(problem)
    if shape is None:
        return _invalid(path or None, f"The request does not fit: {problem}.", "invalid_type")
    expected = " or ".join(
        _PLAIN.get(name, name) for name in shape["expected"].split(" | ") if name != "null"
    )
    got = _PLAIN.get(shape["got"], shape["got"])
    if not path:
        return _invalid(None, f"The body must be a JSON object, but it is {got}.", "invalid_type")
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return _invalid(path, message, "invalid_type")


def _bad_json(problem: str) -> RouterError:
    message = f"The body is not valid JSON: {problem}. Send one JSON object, encoded as UTF-8."
    return _invalid(None, message, "invalid_json")


def _too_deep() -> RouterError:
    message = f"The body is nested deeper than {DEPTH_MAX} levels. Flatten it."
    return _invalid(None, message, "json_too_deep")


def _invalid(param: str | None, message: str, code: str) -> RouterError:
    return RouterError(400, code, message, param=param)
