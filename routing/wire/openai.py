"""The OpenAI wire format: bodies pass through, only the model and the usage are looked at."""

from __future__ import annotations

from typing import Any

import msgspec

from catalog.usage import Usage, openai_usage
from routing.wire.base import Answer, Request, UpstreamFailure, Wire
from routing.wire.failure import decode_error, event_failure, protocol_failure
from routing.wire.request import decode_part
from routing.wire.sse import (
    EVENT_BYTES_MAX,
    event_end,
    last_event_end,
    last_event_start,
    payload,
)

# Up to here a read is searched whole; a longer one from its end, where streams say what matters.
SEARCH_BYTES_MAX = 2048

# A later piece of a tool call lacks the id, the type and the name that its first piece had.
_TOOL_HEAD_BYTES = 64


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Whole(msgspec.Struct):
    usage: dict[str, Any] | None = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_WHOLE = msgspec.json.Decoder(_Whole)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(request: Request, *, model: str, max_output_tokens: int | None = None) -> bytes:
    """The client's body with ``model`` replaced and usage asked for when streaming.

    Every other field is byte for byte what the client sent; when nothing changes, so is the whole.
    """
    asks_usage = request.stream and not request.include_usage
    if model == request.model and not asks_usage:
        return request.raw
    fields = request.fields()
    body: dict[str, Any] = {**fields, "model": model}
    if asks_usage:
        options = fields.get("stream_options")
        asked = None if options is None else decode_part(_ANY, options)
        body["stream_options"] = {**(asked or {}), "include_usage": True}
    return _ENCODER.encode(body)


def decode_answer(raw: bytes, *, id: str = "", created: int = 0, model: str = "") -> Answer:
    """The provider's answer as it came, with its usage; ``error`` when the 200 was no answer."""
    try:
        found = _WHOLE.decode(raw)
    except msgspec.ValidationError:
        try:
            loose = _ANY.decode(raw)
        except _JSON_ERRORS:
            loose = None
        if not isinstance(loose, dict):
            return Answer(raw, None, protocol_failure("The provider's answer is no JSON object."))
        found = _Whole(None, loose.get("error"))
    except _JSON_ERRORS as error:
        return Answer(raw, None, protocol_failure(f"The provider's answer is not JSON: {error}."))
    if found.error:
        return Answer(raw, None, event_failure(found.error))
    return Answer(raw, None if found.usage is None else openai_usage(found.usage))


class OpenAIStream:
    """Forwards a stream as it comes and reads only the events that say more than text.

    Until the first content every event is read; after it, a read is forwarded unread unless it
    may hold a usage, an error or the end. See ``base.Stream`` for the attributes.
    """

    __slots__ = (
        "_bytes",
        "_envelope",
        "_events",
        "_include_usage",
        "_rest",
        "done",
        "error",
        "has_content",
        "partial_usage",
        "usage",
    )

    def __init__(self, *, include_usage: bool) -> None:
        self.usage: Usage | None = None
        self.partial_usage: Usage | None = None
        self.has_content = False
        self.error: UpstreamFailure | None = None
        self.done = False
        self._include_usage = include_usage
        self._rest = bytearray()
        self._bytes = 0
        self._events = 0.0
        self._envelope = 0

    @property
    def output_bytes(self) -> int:
        """Bytes of output, from the size of what went by less what each event wraps around it."""
        return max(0, round(self._bytes - self._events * self._envelope))

    def feed(self, data: bytes) -> bytes:
        """Bytes to forward for one read; an event that is not whole yet waits for the next."""
        if self.done or self.error is not None:
            return b""
        if not self._rest and data.endswith(b"\n\n"):
            return self._forward(data)
        seen = len(self._rest)
        self._rest += data
        end = last_event_end(self._rest, max(0, seen - 3))
        if end < 0:
            if len(self._rest) > EVENT_BYTES_MAX:
                self._fail(f"An event of the stream is larger than {EVENT_BYTES_MAX:,} bytes.")
            return b""
        block = bytes(self._rest[:end])
        del self._rest[:end]
        return self._forward(block)

    def finish(self) -> bytes:
        """The last event where the provider forgot its blank line; a cut one is left out."""
        rest = bytes(self._rest)
        self._rest.clear()
        if self.done or self.error is not None:
            return b""
        if not rest.strip():
            return rest
        try:
            whole = payload(rest) == b"[DONE]" or _ANY.decode(payload(rest)) is not None
        except _JSON_ERRORS:
            return b""
        return self._forward(rest.rstrip(b"\r\n") + b"\n\n") if whole else b""

    def _forward(self, block: bytes) -> bytes:
        size = len(block)
        start = 0
        out: list[bytes] = []
        while not self.has_content:
            end = event_end(block, start)
            if end < 0:
                return b"".join(out)
            out.append(self._look(block[start:end]))
            if self.done or self.error is not None:
                return b"".join(out)
            start = end
        special = self._first_special(block, start)
        if special == size and start == 0:
            return block
        out.append(block[start:special])
        while special < size:
            end = event_end(block, special)
            end = size if end < 0 else end
            out.append(self._look(block[special:end]))
            if self.done or self.error is not None:
                break
            special = end
        return b"".join(out)

    def _first_special(self, block: bytes, start: int) -> int:
        """Where events must be read from here on; the events before it are counted as text."""
        size = len(block)
        if size - start <= SEARCH_BYTES_MAX:
            if size > start and not _is_plain(block if start == 0 else block[start:]):
                return start
            self._bytes += size - start
            self._events += block.count(b"\n\n", start) or block.count(b"\n\r\n", start)
            return size
        # Usage, errors and the end close a stream, so a plain event has none of them before it.
        special = size
        last = 0
        while special > start:
            before = last_event_start(block, start, special)
            if _is_plain(block[before:special], one=True):
                last = special - before
                break
            special = before
        if last:
            self._bytes += special - start
            self._events += (special - start) / last
        return special

    def _look(self, event: bytes) -> bytes:
        # JSON may end in blank lines, so the usual event is decoded without being taken apart.
        if event.startswith(b"data: {"):
            try:
                return self._take(_CHUNK.decode(event[6:]), event)
            except _JSON_ERRORS:
                pass
        data = payload(event)
        if not data:
            return event
        if data == b"[DONE]":
            self.done = True
            return event
        try:
            return self._take(_CHUNK.decode(data), event)
        except msgspec.ValidationError:
            return self._look_loosely(event, data)
        except _JSON_ERRORS as error:
            return self._fail(f"An event of the stream is not JSON: {error}.")

    def _take(self, chunk: _Chunk, event: bytes) -> bytes:
        if chunk.error:
            self.error = event_failure(chunk.error)
            return b""
        size = len(event)
        self._bytes += size
        self._events += 1
        if chunk.choices:
            for choice in chunk.choices:
                self._note(choice, size)
        if chunk.usage is not None:
            self.usage = openai_usage(chunk.usage)
            if not chunk.choices and not self._include_usage:
                return b""
        return event

    def _look_loosely(self, event: bytes, data: bytes) -> bytes:
        # JSON of an unknown shape is the client's to judge, unless it says that it is an error.
        try:
            found = _ANY.decode(data)
        except _JSON_ERRORS as error:
            return self._fail(f"An event of the stream is not JSON: {error}.")
        if isinstance(found, dict) and found.get("error"):
            self.error = event_failure(found["error"])
            return b""
        return event

    def _note(self, choice: _Choice, event_bytes: int) -> None:
        if choice.finish_reason is not None:
            self.has_content = True
        delta = choice.delta
        if delta is None:
            return
        content = delta.content
        spoken = len(content.encode()) if isinstance(content, str) else _size(content)
        spoken += _size(delta.refusal) + _size(delta.reasoning_content) + _size(delta.reasoning)
        for piece in (delta.tool_calls, delta.function_call, delta.audio):
            if piece:
                spoken += _TOOL_HEAD_BYTES + len(_arguments(piece))
        if spoken:
            self.has_content = True
        if self._envelope == 0 or spoken:
            self._envelope = max(0, event_bytes - spoken)

    def _fail(self, message: str) -> bytes:
        self.error = protocol_failure(message)
        self._rest.clear()
        return b""


def new_stream(
    *, id: str = "", created: int = 0, model: str = "", include_usage: bool
) -> OpenAIStream:
    """A decoder for one stream; id, time and model stay the provider's."""
    return OpenAIStream(include_usage=include_usage)


def _is_plain(events: bytes, *, one: bool = False) -> bool:
    """Whether nothing but text goes by: no usage, no error, no end."""
    # A quote inside a text is escaped, so these marks are never part of one; a text that is
    # nothing but the word is read like any other event that must be looked at.
    if not events.startswith(b"data: {") or b'"error"' in events:
        return False
    if not one and b"[DONE]" in events:
        return False
    named = events.count(b'"usage"')
    return named == 0 or named == events.count(b'"usage":null') + events.count(b'"usage": null')


def _size(value: Any) -> int:
    if not value:
        return 0
    return len(value.encode()) if isinstance(value, str) else len(_ENCODER.encode(value))


def _arguments(piece: Any) -> str:
    calls = piece if isinstance(piece, list) else [piece]
    found = ""
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else {}
        text = function.get("arguments") if isinstance(function, dict) else None
        found += text if isinstance(text, str) else ""
    return found


def _nothing(request: Request) -> tuple[str, ...]:
    return ()


WIRE = Wire(
    name="openai",
    paths={"chat": "/chat/completions", "embeddings": "/embeddings"},
    auth="bearer",
    encode=encode,
    decode_answer=decode_answer,
    new_stream=new_stream,
    decode_error=decode_error,
    unsupported=_nothing,
)
