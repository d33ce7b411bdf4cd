"""What a wire hands to the server: an accepted request, then the reply to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from catalog.sandbox.errors import RequestError
from catalog.sandbox.faults import Faults
from catalog.sandbox.models import BY_NAME, MODELS, Operation, SandboxModel, Wire

BODY_BYTES_MAX = 10 * 1024 * 1024
MESSAGES_MAX = 2_000
IMAGE_TOKENS = 765
MESSAGE_OVERHEAD_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, and how many tokens it brings."""

    payload: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """What chance and the clock add to a reply: an identifier, a seed, the time in Unix seconds.

    ``cached_tokens`` were known before, ``kept_tokens`` are known from now on.
    """

    identity: str
    seed: int
    created: int
    cached_tokens: int = 0
    kept_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. Streams have ``events`` and then ``last``; others have only a ``body``.

    ``paced_tokens`` is the longest choice, since choices are written side by side.
    """

    body: bytes
    events: Iterator[Event] | None
    last: Event
    output_tokens: int
    paced_tokens: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid request to a paid endpoint. ``build`` makes the reply; its second argument is the
    length of the answer in tokens, if that was asked for."""

    wire: Wire
    model: SandboxModel
    stream: bool
    texts: tuple[str, ...]
    input_tokens: int
    caches: bool
    faults: Faults
    build: Callable[[Stamp, int | None], Reply]


def model_named(name: str, *, wire: Wire, operation: Operation) -> SandboxModel:
    """The model. Raises RequestError 404 naming those that are served here."""
    model = BY_NAME.get(name)
    if model is not None and model.wire == wire and model.operation == operation:
        return model
    known = ", ".join(m.name for m in MODELS if m.wire == wire and m.operation == operation)
    message = f'Sandbox: model "{name[:100]}" is not served here. Ask for one of: {known}.'
    raise RequestError(404, message, param="model", code="model_not_found")


def check_size(model: SandboxModel, *, input_tokens: int, limit_tokens: int, param: str) -> None:
    """Raise RequestError 400 if prompt or answer exceed what the model takes."""
    if limit_tokens > model.max_output_tokens > 0:
        message = (
            f"{param}: {limit_tokens} is more than the {model.max_output_tokens} tokens that "
            f"{model.name} can write."
        )
        raise RequestError(400, message, param=param)
    if input_tokens > model.context_window:
        message = (
            f"This model's maximum context length is {model.context_window} tokens, but your "
            f"input has {input_tokens}. Shorten it."
        )
        raise RequestError(400, message, param="messages", code="context_length_exceeded")


def check_sees(model: SandboxModel, *, param: str) -> None:
    """Raise RequestError 400 if the model takes no pictures."""
    if "vision" not in model.capabilities:
        seeing = ", ".join(
            m.name for m in MODELS if m.wire == model.wire and "vision" in m.capabilities
        )
        message = f"{param}: {model.name} takes no images. Ask one of: {seeing}."
        raise RequestError(400, message, param=param)
