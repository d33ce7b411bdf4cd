"""The Anthropic Messages wire format: where it lives, and the parts that speak it."""

from __future__ import annotations

from routing.wire.anthropic_answer import decode_answer
from routing.wire.anthropic_request import encode, unsupported
from routing.wire.anthropic_stream import AnthropicStream
from routing.wire.base import Wire
from routing.wire.failure import decode_error

VERSION = b"2023-06-01"

WIRE = Wire(
    name="anthropic",
    paths={"chat": "/messages"},
    auth="x-api-key",
    encode=encode,
    decode_answer=decode_answer,
    new_stream=AnthropicStream,
    decode_error=decode_error,
    unsupported=unsupported,
    extra_headers=((b"anthropic-version", VERSION),),
)
