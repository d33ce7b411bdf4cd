"""What a call used: quantities as providers report them, in one shape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call; the parts are included in their totals, as OpenAI counts them.

    ``input_tokens`` holds cache reads, cache writes, audio, image and video input;
    ``output_tokens`` holds reasoning, audio and image output.
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
