"""Embeddings: unit vectors that depend on the text alone; texts that share words lie close."""

from __future__ import annotations

import base64
import hashlib
import math
import sys
from array import array
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from catalog.sandbox import errors
from catalog.sandbox.errors import RequestError
from catalog.sandbox.faults import NONE, Faults
from catalog.sandbox.models import SandboxModel
from catalog.sandbox.reply import Event, Reply, model_named
from catalog.sandbox.tokens import count, split

DIMENSIONS = 1_536
INPUTS_MAX = 2_048
INPUT_TOKENS_MAX = 300_000
_FEATURES_PER_WORD = 8
_GRAIN = 0.0003  # of the hash of the whole text, against 1 for each of a word's features


class EmbeddingRequest(msgspec.Struct):
    """The fields that the sandbox heeds."""

    model: str
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=DIMENSIONS)] | None = None
    sandbox: Faults | None = None

    @property
    def faults(self) -> Faults:
        """What the body asks to go wrong."""
        return self.sandbox or NONE


_decoder = msgspec.json.Decoder(EmbeddingRequest)


def read(body: bytes) -> tuple[EmbeddingRequest, SandboxModel, tuple[str, ...], int]:
    """The request, its model, its texts and its tokens. Raises RequestError naming the field."""
    try:
        request = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise errors.invalid(error) from error
    model = model_named(request.model, wire="openai", operation="embeddings")
    inputs = _inputs(request.input)
    sizes = [count(one) if isinstance(one, str) else len(one) for one in inputs]
    for at, tokens in enumerate(sizes):
        if tokens > model.context_window:
            message = f"input[{at}]: {tokens} tokens, of at most {model.context_window}."
            raise RequestError(400, message, param="input", code="context_length_exceeded")
    if sum(sizes) > INPUT_TOKENS_MAX:
        message = f"input: {sum(sizes)} tokens in all, of at most {INPUT_TOKENS_MAX}."
        raise RequestError(400, message, param="input", code="max_tokens_per_request")
    texts = tuple(one if isinstance(one, str) else " ".join(map(str, one)) for one in inputs)
    return request, model, texts, sum(sizes)


def reply(
    request: EmbeddingRequest, model: SandboxModel, texts: tuple[str, ...], tokens: int
) -> Reply:
    """The vectors as a document."""
    data = [
        {"object": "embedding", "index": at, "embedding": _encoded(text, request)}
        for at, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    document = {"object": "list", "data": data, "model": model.name, "usage": usage}
    return Reply(msgspec.json.encode(document), None, Event(b""), 0, 0)


def vector(text: str, dimensions: int = DIMENSIONS) -> array[float]:
    """The text's unit vector, of 32-bit floats."""
    grain = hashlib.shake_256(text.encode()).digest(dimensions)
    values = [(byte - 127.5) * _GRAIN for byte in grain]
    for word in split(text.lower()):
        marks = hashlib.shake_256(word.strip().encode()).digest(_FEATURES_PER_WORD * 3)
        for at in range(0, len(marks), 3):
            place = (marks[at] << 8 | marks[at + 1]) % dimensions
            values[place] += 1.0 if marks[at + 2] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in values))
    return array("f", [value / length for value in values])


def _encoded(text: str, request: EmbeddingRequest) -> list[float] | str:
    found = vector(text, request.dimensions or DIMENSIONS)
    if request.encoding_format == "base64":
        if sys.byteorder == "big":
            found.byteswap()
        return base64.b64encode(found.tobytes()).decode()
    return found.tolist()


def _inputs(given: Any) -> list[str | list[int]]:
    is_tokens = isinstance(given, list) and all(type(one) is int for one in given)
    if isinstance(given, str) or (is_tokens and given):
        given = [given]
    if not isinstance(given, list) or not 1 <= len(given) <= INPUTS_MAX:
        raise RequestError(400, f"input: a string, or 1 to {INPUTS_MAX} of them.", param="input")
    for at, one in enumerate(given):
        is_tokens = isinstance(one, list) and all(type(token) is int for token in one)
        if not one or not (is_tokens or isinstance(one, str)):
            message = f"input[{at}]: a text or a list of token numbers, not empty."
            raise RequestError(400, message, param="input")
    return given
