"""Anthropic's event stream as OpenAI's chunks."""

from __future__ import annotations

from typing import Any

import msgspec

from catalog.usage import Usage, anthropic_usage
from routing.wire.anthropic_answer import (
    EMPTY_STRING,
    FINISH,
    JSON_ERRORS,
    Block,
    Details,
    Message,
    refusal_text,
    usage_body,
)
from routing.wire.base import UpstreamFailure
from routing.wire.failure import event_failure, protocol_failure
from routing.wire.sse import DONE_EVENT, EVENT_BYTES_MAX, event_end, payload


class _Delta(msgspec.Struct):
    type: str = ""
    text: msgspec.Raw = EMPTY_STRING
    thinking: msgspec.Raw = EMPTY_STRING
    partial_json: msgspec.Raw = EMPTY_STRING
    stop_reason: str | None = None
    stop_details: Details | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Kind(msgspec.Struct):
    type: str = ""


_KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)
_EVENT = msgspec.json.Decoder(_Event)
_KIND = msgspec.json.Decoder(_Kind)
_ENCODER = msgspec.json.Encoder()


class AnthropicStream:
    """Messages events in, chat.completion.chunk events out. See ``base.Stream`` for the attributes.

    Texts and pieces of tool arguments are copied as the JSON strings they came as.
    """

    __slots__ = (
        "_arguments",
        "_finish",
        "_head",
        "_include_usage",
        "_output_bytes",
        "_rest",
        "_started",
        "_tools",
        "_usage_raw",
        "done",
        "error",
        "has_content",
        "partial_usage",
        "usage",
    )

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool) -> None:
        self.usage: Usage | None = None
        self.partial_usage: Usage | None = None
        self.has_content = False
        self.error: UpstreamFailure | None = None
        self.done = False
        named = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + _ENCODER.encode(named)[:-1]
        self._include_usage = include_usage
        self._rest = bytearray()
        self._started = False
        self._output_bytes = 0
        self._finish: str | None = None
        self._usage_raw: dict[str, Any] = {}
        # Content blocks that are the client's tool calls: block index -> index of the call.
        self._tools: dict[int, int] = {}
        self._arguments: dict[int, bytes] = {}

    @property
    def output_bytes(self) -> int:
        """Bytes of text, thinking and tool arguments that came so far, as JSON escapes them."""
        return self._output_bytes

    def feed(self, data: bytes) -> bytes:
        """The chunks for one read; an event that is not whole yet waits for the next."""
        if self.done or self.error is not None:
            return b""
        seen = len(self._rest)
        self._rest += data
        out: list[bytes] = []
        start = 0
        end = event_end(self._rest, max(0, seen - 3))
        while end >= 0:
            if not self._translate(payload(bytes(self._rest[start:end])), out):
                self._rest.clear()
                return b"".join(out)
            start = end
            end = event_end(self._rest, start)
        del self._rest[:start]
        if len(self._rest) > EVENT_BYTES_MAX:
            self._fail(f"An event of the stream is larger than {EVENT_BYTES_MAX:,} bytes.")
        return b"".join(out)

    def finish(self) -> bytes:
        """The last event where the provider forgot its blank line; a cut one is left out."""
        data = payload(bytes(self._rest))
        self._rest.clear()
        if self.done or self.error is not None or not data:
            return b""
        try:
            _KIND.decode(data)
        except JSON_ERRORS:
            return b""
        out: list[bytes] = []
        self._translate(data, out)
        return b"".join(out)

    def _translate(self, data: bytes, out: list[bytes]) -> bool:
        """Adds the chunks of one event; False when the stream is over."""
        if not data:
            return True
        try:
            event = _EVENT.decode(data)
        except JSON_ERRORS as error:
            # The format grows; what is not known here may have any shape.
            if _kind(data) in _KNOWN | {None}:
                self._fail(f"An event of the stream cannot be read: {error}.")
            return self.error is None
        kind = event.type
        if kind == "content_block_delta":
            if event.delta is not None:
                self._block_delta(event.index, event.delta, out)
        elif kind == "content_block_start":
            if event.content_block is not None:
                self._block_start(event.index, event.content_block, out)
        elif kind == "content_block_stop":
            self._block_stop(event.index, out)
        elif kind == "message_start":
            if event.message is not None and event.message.usage is not None:
                self._usage_raw.update(event.message.usage)
                self.partial_usage = anthropic_usage(self._usage_raw)
            self._start(out)
        elif kind == "message_delta":
            self._message_delta(event, out)
        elif kind == "message_stop":
            self._stop(out)
        elif kind == "error":
            self.error = event_failure(event.error)
        return not self.done and self.error is None

    def _start(self, out: list[bytes]) -> None:
        if not self._started:
            self._started = True
            out.append(self._chunk(b'{"role":"assistant","content":"","refusal":null}'))

    def _block_start(self, index: int, block: Block, out: list[bytes]) -> None:
        self._start(out)
        if block.type == "tool_use":
            call = len(self._tools)
            self._tools[index] = call
            self._arguments[index] = bytes(block.input)
            head = _ENCODER.encode(
                {
                    "index": call,
                    "id": block.id,
                    "type": "function",
                    "function": {"name": block.name, "arguments": ""},
                }
            )
            self.has_content = True
            self._output_bytes += len(block.name)
            out.append(self._chunk(b'{"tool_calls":[' + head + b"]}"))
        elif block.type == "text":
            self._say(b"content", bytes(block.text), out)
        elif block.type == "thinking":
            self._say(b"reasoning_content", bytes(block.thinking), out)

    def _block_delta(self, index: int, delta: _Delta, out: list[bytes]) -> None:
        self._start(out)
        if delta.type == "text_delta":
            self._say(b"content", bytes(delta.text), out)
        elif delta.type == "thinking_delta":
            self._say(b"reasoning_content", bytes(delta.thinking), out)
        elif delta.type == "input_json_delta" and index in self._tools:
            piece = bytes(delta.partial_json)
            if len(piece) > 2:
                self._arguments.pop(index, None)
                self._argue(index, piece, out)

    def _block_stop(self, index: int, out: list[bytes]) -> None:
        # A call without arguments sends none there; here they must still parse as JSON.
        whole = self._arguments.pop(index, None)
        if whole is not None:
            self._argue(index, _ENCODER.encode(whole.decode()), out)

    def _argue(self, index: int, piece: bytes, out: list[bytes]) -> None:
        self._output_bytes += len(piece) - 2
        call = b"%d" % self._tools[index]
        out.append(
            self._chunk(
                b'{"tool_calls":[{"index":' + call + b',"function":{"arguments":' + piece + b"}}]}"
            )
        )

    def _say(self, field: bytes, text: bytes, out: list[bytes]) -> None:
        # The shortest string with anything in it is three bytes long, and null is none.
        if len(text) > 2 and text != b"null":
            self.has_content = True
            self._output_bytes += len(text) - 2
            out.append(self._chunk(b'{"' + field + b'":' + text + b"}"))

    def _message_delta(self, event: _Event, out: list[bytes]) -> None:
        self._start(out)
        if event.usage is not None:
            told = {key: value for key, value in event.usage.items() if value is not None}
            self._usage_raw.update(told)
            self.usage = self.partial_usage = anthropic_usage(self._usage_raw)
        delta = event.delta
        if delta is not None and delta.stop_reason is not None and self._finish is None:
            if delta.stop_reason == "refusal":
                text = _ENCODER.encode(refusal_text(delta.stop_details))
                out.append(self._chunk(b'{"refusal":' + text + b"}"))
            self._end(FINISH.get(delta.stop_reason, "stop"), out)

    def _end(self, finish: str, out: list[bytes]) -> None:
        self._finish = finish
        self.has_content = True
        out.append(self._chunk(b"{}", b'"' + finish.encode() + b'"'))

    def _stop(self, out: list[bytes]) -> None:
        self._start(out)
        if self._finish is None:
            self._end("stop", out)
        if self._include_usage and self.usage is not None:
            counts = _ENCODER.encode(usage_body(self.usage))
            out.append(self._head + b',"choices":[],"usage":' + counts + b"}\n\n")
        out.append(DONE_EVENT)
        self.done = True

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":0,"delta":',
                delta,
                b',"finish_reason":',
                finish,
                b"}]}\n\n",
            )
        )

    def _fail(self, message: str) -> None:
        self.error = protocol_failure(message)
        self._rest.clear()


def _kind(data: bytes) -> str | None:
    try:
        return _KIND.decode(data).type
    except JSON_ERRORS:
        return None
