"""What routing needs to know of a request: bounds at once, counts where they matter."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from catalog import tokens
from routing.model import Call
from routing.wire import WIRES
from routing.wire.base import Request
from routing.wire.request import ChatRequest

COUNT_IN_THREAD_BYTES = 50_000
BYTES_PER_TOKEN = 4
PROMPT_OVERHEAD_TOKENS = 8


def prompt_estimate(request: Request) -> int:
    """About how many input tokens a request has, without counting."""
    return request.prompt_bytes // BYTES_PER_TOKEN + PROMPT_OVERHEAD_TOKENS


def call_of(request: Request, operation: str, foreign_wires: tuple[str, ...]) -> Call:
    unsupported = {}
    for wire in foreign_wires:
        if fields := WIRES[wire].unsupported(request):
            unsupported[wire] = fields
    bound = _token_bound(request)
    return Call(
        operation=operation,
        model=request.model,
        stream=request.stream,
        needs=request.needs,
        prompt_estimate=min(bound, prompt_estimate(request)),
        input_tokens=bound,
        counted=False,
        max_output_tokens=request.max_output_tokens,
        n=request.n,
        text_only=not isinstance(request, ChatRequest)
        or not (request.images or request.audios or request.files),
        unsupported=unsupported,
    )


def _token_bound(request: Request) -> int:
    """More tokens than these the input cannot have; nothing is counted for it."""
    if isinstance(request, ChatRequest):
        bound = tokens.bound(
            request.prompt_bytes,
            request.messages_count,
            images=request.images,
            model=request.model,
            tools="tools" in request.needs,
        )
        return bound + _heard_bytes(request)
    return request.prompt_bytes if request.input_tokens is None else request.input_tokens


def _heard_bytes(request: ChatRequest) -> int:
    # Sound and files become fewer tokens than their encoding has bytes.
    return request.media_bytes if request.audios or request.files else 0


async def counted(call: Call, request: Request) -> Call:
    """The call with its input tokens counted; a long prompt is counted in a thread."""
    if not isinstance(request, ChatRequest) and request.input_tokens is not None:
        return replace(call, counted=True)
    if request.prompt_bytes > COUNT_IN_THREAD_BYTES:
        count = await asyncio.to_thread(_count, request)
    else:
        count = _count(request)
    return replace(call, input_tokens=count, prompt_estimate=count, counted=True)


def _count(request: Request) -> int:
    if not isinstance(request, ChatRequest):
        return tokens.count(request.texts(), request.model, messages=0)
    counted = tokens.count(
        request.texts(), request.model, messages=request.messages_count, images=request.images
    )
    return counted + _heard_bytes(request)
