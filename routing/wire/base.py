"""The shapes every wire format shares: answers, failures, streams, and the table of one format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from catalog.usage import Usage
from routing.wire.request import ChatRequest, EmbeddingsRequest

Request = ChatRequest | EmbeddingsRequest
Headers = tuple[tuple[bytes, bytes], ...]

AUTH_STYLES = ("bearer", "api-key", "x-api-key")


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """What went wrong at a provider, in one shape for every wire format.

    ``kind`` is ``answer`` (an HTTP error), ``event`` (an error inside a 200) or ``protocol`` (bytes
    that are no answer at all). ``status`` is the provider's, or the nearest one when it sent none.
    """

    status: int
    code: str | None
    type: str
    message: str
    retry_after_s: float | None = None
    kind: str = "answer"
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in OpenAI's shape; ``error`` is set when a 200 was none."""

    body: bytes
    usage: Usage | None
    error: UpstreamFailure | None = None


class Stream(Protocol):
    """Turns a provider's event stream into OpenAI's; give it bytes, send on what it returns.

    ``has_content``: content or a finish reason went by, so nothing may be sent twice any more.
    ``usage``: the provider's final count. ``partial_usage``: what it said before the end (the input
    of a stream that is cut). ``output_bytes``: UTF-8 bytes of output so far, for the same case.
    ``done``: the provider said that this was all. After ``done`` or ``error`` nothing comes out.
    """

    usage: Usage | None
    partial_usage: Usage | None
    has_content: bool
    error: UpstreamFailure | None
    done: bool

    @property
    def output_bytes(self) -> int:
        """UTF-8 bytes of output so far (an estimate where events are forwarded unread)."""

    def feed(self, data: bytes) -> bytes:
        """Bytes to send on, whole events only, for one network read."""

    def finish(self) -> bytes:
        """The rest, once the provider closed; an event that was cut short is left out."""


class Encode(Protocol):
    def __call__(
        self, request: Request, *, model: str, max_output_tokens: int | None = None
    ) -> bytes:
        """The provider's body for a request. Raises RouterError where it cannot be said."""


class DecodeAnswer(Protocol):
    def __call__(self, raw: bytes, *, id: str, created: int, model: str) -> Answer:
        """A provider's whole 200 body in OpenAI's shape."""


class NewStream(Protocol):
    def __call__(self, *, id: str, created: int, model: str, include_usage: bool) -> Stream:
        """A decoder for one stream; ``include_usage`` is what the client asked for."""


class DecodeError(Protocol):
    def __call__(
        self,
        status: int,
        body: bytes,
        headers: Mapping[bytes, bytes] = ...,
        *,
        now: float | None = None,
    ) -> UpstreamFailure:
        """A provider's error answer; ``now`` (Unix seconds) is needed for dates in Retry-After."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format: where its operations live and how to speak it."""

    name: str
    paths: Mapping[str, str]
    auth: str
    encode: Encode
    decode_answer: DecodeAnswer
    new_stream: NewStream
    decode_error: DecodeError
    unsupported: Callable[[Request], tuple[str, ...]]
    extra_headers: Headers = ()

    def path(self, operation: str) -> str | None:
        """Path below the provider's base address for ``chat`` or ``embeddings``; None if absent."""
        return self.paths.get(operation)

    def headers(self, secret: str, auth: str | None = None) -> Headers:
        """Authentication and version headers; ``auth`` overrides the format's own style.

        An empty secret (a local server) gives no authentication header. Raises ValueError for an
        unknown style or for a secret that cannot stand in a header.
        """
        style = auth or self.auth
        if style not in AUTH_STYLES:
            raise ValueError(f"Unknown authentication style {style!r}; use one of {AUTH_STYLES}.")
        if not secret:
            return self.extra_headers
        if not (secret.isascii() and secret.isprintable()):
            raise ValueError("The secret holds characters that cannot be sent in a header.")
        value = secret.encode()
        if style == "bearer":
            return ((b"authorization", b"Bearer " + value), *self.extra_headers)
        return ((style.encode(), value), *self.extra_headers)
