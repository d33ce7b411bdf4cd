"""Every provider's report becomes the same quantities, however incomplete."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.usage import Usage, anthropic_usage, openai_usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            Usage(input_tokens=10, output_tokens=5),
        ),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(input_tokens=8)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {
                    "cached_tokens": 40,
                    "audio_tokens": 20,
                    "image_tokens": 10,
                    "video_tokens": 5,
                    "cache_write_tokens": 7,
                    "cached_tokens_details": {"audio_tokens": 3, "image_tokens": 2},
                },
                "completion_tokens_details": {
                    "reasoning_tokens": 30,
                    "audio_tokens": 4,
                    "image_tokens": 6,
                },
            },
            Usage(
                input_tokens=100,
                output_tokens=50,
                cached_tokens=40,
                cache_write_tokens=7,
                reasoning_tokens=30,
                input_audio_tokens=20,
                cached_audio_tokens=3,
                output_audio_tokens=4,
                input_image_tokens=10,
                cached_image_tokens=2,
                output_image_tokens=6,
                input_video_tokens=5,
            ),
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 7,
                "total_tokens": 16,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(9, 7, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=6),
        ),
        # DeepSeek, and Moonshot or Together.
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8},
            Usage(10, 1, cached_tokens=8),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 8},
            Usage(10, 1, cached_tokens=8),
        ),
        # Mistral bills these in full.
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "num_cached_tokens": 8},
            Usage(10, 1),
        ),
        # OpenRouter.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 1,
                "server_tool_use": {"web_search_requests": 2},
            },
            Usage(10, 1, web_searches=2),
        ),
    ],
)
def test_openai_and_its_relatives(raw: dict[str, Any], usage: Usage) -> None:
    assert openai_usage(raw) == usage


def test_thinking_that_only_the_total_tells_is_output() -> None:
    # xAI names it, Gemini does not.
    xai = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    gemini = {"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}
    cut_short = {"prompt_tokens": 66, "total_tokens": 100}
    assert openai_usage(xai) == Usage(10, 25, reasoning_tokens=20)
    assert openai_usage(gemini) == Usage(66, 34, reasoning_tokens=28)
    assert openai_usage(cut_short) == Usage(66, 34, reasoning_tokens=34)
    assert openai_usage({"total_tokens": 9}) == Usage(9, 0)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 9}, Usage(3, 9)),
        (
            {
                "input_tokens": 3,
                "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": 70,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 60,
                    "ephemeral_1h_input_tokens": 10,
                },
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            },
            Usage(
                input_tokens=123,
                output_tokens=9,
                cached_tokens=50,
                cache_write_tokens=70,
                cache_write_1h_tokens=10,
                reasoning_tokens=4,
                web_searches=2,
            ),
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 1},
            },
            Usage(10, 1, cache_write_tokens=7, cache_write_1h_tokens=1),
        ),
    ],
)
def test_anthropic_counts_include_the_cache(raw: dict[str, Any], usage: Usage) -> None:
    assert anthropic_usage(raw) == usage


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (None, 0),
        (-5, 0),
        ("12", 0),
        (True, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (-1.5, 0),
        (12.7, 12),
        ([], 0),
        ({}, 0),
        (2**80, 2**31 - 1),
    ],
)
def test_a_count_that_is_none_counts_as_nothing(value: object, count: int) -> None:
    assert openai_usage({"prompt_tokens": value, "completion_tokens": 1}).input_tokens == count
    assert anthropic_usage({"input_tokens": value}).input_tokens == count


def test_a_token_is_not_both_read_from_the_cache_and_written_to_it() -> None:
    raw = {
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8},
    }
    assert openai_usage(raw) == Usage(10, 1, cached_tokens=8, cache_write_tokens=2)


_COUNTS = st.sampled_from([None, -1, 0, 1, 7, 20, 100, 3.5, float("nan"), "9", [1], {}, 2**70])
_NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "reasoning_tokens",
    "audio_tokens",
    "image_tokens",
    "video_tokens",
    "cache_write_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "thinking_tokens",
    "ephemeral_1h_input_tokens",
    "ephemeral_5m_input_tokens",
    "web_search_requests",
]
_DETAILS = [
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "cached_tokens_details",
    "cache_creation",
    "server_tool_use",
]
_FLAT = st.dictionaries(st.sampled_from(_NAMES), _COUNTS, max_size=8)
_DETAIL = st.dictionaries(st.sampled_from([*_NAMES, "cached_tokens_details"]), _COUNTS | _FLAT)
_BODIES = st.builds(
    lambda flat, details: flat | details,
    _FLAT,
    st.dictionaries(st.sampled_from(_DETAILS), _COUNTS | _DETAIL, max_size=4),
)


@given(_BODIES)
def test_whatever_is_reported_the_parts_fit_their_totals(raw: dict[str, Any]) -> None:
    for usage in (openai_usage(raw), anthropic_usage(raw)):
        values = {f.name: getattr(usage, f.name) for f in fields(usage)}
        assert all(type(value) is int and value >= 0 for value in values.values())
        for name, value in values.items():
            if name.startswith(("input_", "cache")):
                assert value <= usage.input_tokens
            elif name != "web_searches":
                assert value <= usage.output_tokens
        assert usage.cached_tokens + usage.cache_write_tokens <= usage.input_tokens
        assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
