"""The paid endpoints: which body becomes which accepted request."""

from __future__ import annotations

from collections.abc import Callable

from catalog.sandbox import anthropic_wire, embeddings, openai_reply, openai_request
from catalog.sandbox.models import Wire
from catalog.sandbox.reply import Accepted


def accept_chat(body: bytes) -> Accepted:
    """POST /v1/chat/completions. Raises RequestError."""
    request, model, question = openai_request.read(body)
    return Accepted(
        wire="openai",
        model=model,
        stream=bool(request.stream),
        texts=question.texts,
        input_tokens=question.input_tokens,
        caches=True,
        faults=request.faults,
        build=lambda stamp, tokens: openai_reply.chat(
            request, model, question, stamp, tokens=tokens
        ),
    )


def accept_embeddings(body: bytes) -> Accepted:
    """POST /v1/embeddings. Raises RequestError."""
    request, model, texts, tokens = embeddings.read(body)
    return Accepted(
        wire="openai",
        model=model,
        stream=False,
        texts=texts,
        input_tokens=tokens,
        caches=False,
        faults=request.faults,
        build=lambda _stamp, _tokens: embeddings.reply(request, model, texts, tokens),
    )


def accept_messages(body: bytes) -> Accepted:
    """POST /v1/messages. Raises RequestError."""
    request, model, question = anthropic_wire.read(body)
    return Accepted(
        wire="anthropic",
        model=model,
        stream=bool(request.stream),
        texts=question.texts,
        input_tokens=question.input_tokens,
        caches=request.caches,
        faults=request.faults,
        build=lambda stamp, tokens: anthropic_wire.reply(
            request, model, question, stamp, tokens=tokens
        ),
    )


PAID: dict[str, tuple[Wire, Callable[[bytes], Accepted]]] = {
    "/v1/chat/completions": ("openai", accept_chat),
    "/v1/embeddings": ("openai", accept_embeddings),
    "/v1/messages": ("anthropic", accept_messages),
}
