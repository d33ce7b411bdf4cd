"""What a call used: quantities as providers report them, in one shape.

Decisions where a report is incomplete or wrong:

1. A number that is missing, negative, not finite or not a number counts as 0; a fraction is cut.
2. A part larger than its total is cut to the total, so that no token is billed twice.
3. Where ``total_tokens`` exceeds input and output together, the rest is thinking that the provider
   left out of ``completion_tokens`` (xAI, Gemini) but bills as output. With nothing but a total,
   all of it is input (embeddings).
4. Mistral's ``num_cached_tokens`` is not a cache read: it is reported where the price is the full
   one.
5. Anthropic's ``iterations`` are not added up: they belong to betas that this product never asks
   for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# More than any call can use; keeps a wrong report from overflowing a column.
_COUNT_MAX = 2**31 - 1
_NOTHING: Mapping[str, Any] = {}


# Not frozen, though nothing changes one: made for every call, in 0.4 instead of 4 µs.
@dataclass(slots=True)
class Usage:
    """Token counts of one call; the parts are included in their totals, as OpenAI counts them.

    ``input_tokens`` holds cache reads, cache writes, audio, image and video input;
    ``output_tokens`` holds reasoning, audio and image output; ``cache_write_tokens`` holds those
    kept for an hour.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_image_tokens: int = 0
    output_image_tokens: int = 0
    input_video_tokens: int = 0
    web_searches: int = 0


def openai_usage(raw: Mapping[str, Any]) -> Usage:
    """The usage of a body in OpenAI's shape: chat completions, embeddings or responses.

    Takes the ``usage`` object itself, with what DeepSeek, Moonshot, OpenRouter, Together and xAI
    add to it. Never raises.
    """
    get = raw.get
    # Most values are absent or 0, so truth is asked before anything dearer.
    if "input_tokens" in raw and "prompt_tokens" not in raw:
        total_in = _count(get("input_tokens"))
        total_out = _count(get("output_tokens"))
        into = get("input_tokens_details")
        out = get("output_tokens_details")
    else:
        total_in = _count(get("prompt_tokens"))
        total_out = _count(get("completion_tokens"))
        into = get("prompt_tokens_details")
        out = get("completion_tokens_details")
    reasoning = cached = 0
    has_parts = "server_tool_use" in raw
    if out and isinstance(out, dict):
        if value := out.get("reasoning_tokens"):
            reasoning = min(_count(value), total_out)
        if out.get("audio_tokens") or out.get("image_tokens"):
            has_parts = True
    total = _count(get("total_tokens"))
    if total > total_in + total_out:
        if total_in or total_out:
            hidden = total - total_in - total_out
            total_out += hidden
            reasoning = max(reasoning, hidden)
        else:
            total_in = total
    if into and isinstance(into, dict):
        if value := into.get("cached_tokens"):
            cached = _count(value)
        for name in _INPUT_PARTS:
            if into.get(name):
                has_parts = True
    if not cached and (value := get("prompt_cache_hit_tokens") or get("cached_tokens")):
        cached = _count(value)
    if cached > total_in:
        cached = total_in
    if has_parts:
        return _with_parts(raw, into, out, (total_in, total_out, cached, reasoning))
    return Usage(total_in, total_out, cached, 0, 0, reasoning)


_INPUT_PARTS = (
    "audio_tokens",
    "image_tokens",
    "video_tokens",
    "cache_write_tokens",
    "cached_tokens_details",
)


def _with_parts(
    raw: Mapping[str, Any], into: object, out: object, counts: tuple[int, int, int, int]
) -> Usage:
    """The usage of a body that tells more than the plain counts (in, out, cached, reasoning)."""
    total_in, total_out, cached, reasoning = counts
    inputs = _mapping(into)
    outputs = _mapping(out)
    of_cached = _mapping(inputs.get("cached_tokens_details"))
    audio = min(_count(inputs.get("audio_tokens")), total_in)
    image = min(_count(inputs.get("image_tokens")), total_in)
    return Usage(
        input_tokens=total_in,
        output_tokens=total_out,
        cached_tokens=cached,
        cache_write_tokens=min(_count(inputs.get("cache_write_tokens")), total_in - cached),
        reasoning_tokens=reasoning,
        input_audio_tokens=audio,
        cached_audio_tokens=min(_count(of_cached.get("audio_tokens")), audio, cached),
        output_audio_tokens=min(_count(outputs.get("audio_tokens")), total_out),
        input_image_tokens=image,
        cached_image_tokens=min(_count(of_cached.get("image_tokens")), image, cached),
        output_image_tokens=min(_count(outputs.get("image_tokens")), total_out),
        input_video_tokens=min(_count(inputs.get("video_tokens")), total_in),
        web_searches=_count(_mapping(raw.get("server_tool_use")).get("web_search_requests")),
    )


def anthropic_usage(raw: Mapping[str, Any]) -> Usage:
    """The usage of a message in Anthropic's shape, cache reads and writes added to the input.

    Takes the ``usage`` object itself. Never raises.
    """
    get = raw.get
    cached = _count(get("cache_read_input_tokens"))
    written = _count(get("cache_creation_input_tokens"))
    written_1h = 0
    by_time = get("cache_creation")
    if by_time and isinstance(by_time, dict):
        written_1h = _count(by_time.get("ephemeral_1h_input_tokens"))
        if not written:
            written = written_1h + _count(by_time.get("ephemeral_5m_input_tokens"))
    total_out = _count(get("output_tokens"))
    reasoning = _count(_mapping(get("output_tokens_details")).get("thinking_tokens"))
    searches = _count(_mapping(get("server_tool_use")).get("web_search_requests"))
    return Usage(
        input_tokens=_count(get("input_tokens")) + cached + written,
        output_tokens=total_out,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(written_1h, written),
        reasoning_tokens=min(reasoning, total_out),
        web_searches=searches,
    )


def _count(value: object) -> int:
    """A non-negative whole number, whatever was reported."""
    if type(value) is int:
        if 0 <= value <= _COUNT_MAX:
            return value
        return _COUNT_MAX if value > 0 else 0
    # A comparison with NaN is false, so that it counts as nothing.
    if type(value) is float and 0 < value < _COUNT_MAX:
        return int(value)
    return 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING
