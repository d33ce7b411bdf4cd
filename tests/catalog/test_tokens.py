"""Counting is exact where the tokenizer is public; the bound holds everywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.tokens import _encoding, bound, count, image_bound

TEXTS = st.lists(st.text(max_size=200), max_size=4)


def test_the_reference_values() -> None:
    assert _encoding("cl100k_base").encode("hello world") == [15339, 1917]
    assert count(["hello world"], "gpt-4", messages=0) == 2
    assert count(["hello world"], "gpt-4o") == 2 + 7
    assert count(["hello", " world"], "gpt-4o", messages=3) == 2 + 7 + 4 + 4
    assert count([], "text-embedding-3-small", messages=0) == 0


def test_models_count_with_their_own_tokenizer() -> None:
    text = ["\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e"]
    older, newer = count(text, "gpt-4", messages=0), count(text, "gpt-4o", messages=0)
    assert older > newer
    for model in ("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "text-embedding-3-large"):
        assert count(text, model, messages=0) == older
    for model in ("gpt-4o", "gpt-4.1", "gpt-5", "o3-mini", "openai/gpt-oss-120b"):
        assert count(text, model, messages=0) == newer
    assert count(text, "openai.gpt-oss-120b-1:0", messages=0) == newer


def test_other_families_take_a_margin() -> None:
    text = ["hello world " * 50]
    plain = count(text, "gpt-4o", messages=0)
    assert count(text, "claude-sonnet-4-5") == -(-plain * 109 // 100) + 9
    assert count(text, "anthropic/claude-sonnet-4.5") == count(text, "claude-sonnet-4-5")
    assert count(text, "us.anthropic.claude-sonnet-4") == count(text, "claude-sonnet-4-5")
    assert count(text, "llama-3.3-70b-versatile", messages=0) > plain


def test_special_tokens_are_text() -> None:
    assert count(["<|endoftext|>"], "gpt-4o", messages=0) == 7


def test_half_a_surrogate_pair_does_not_stop_the_count() -> None:
    assert count(["a\ud800b"], "gpt-4o", messages=0) >= 2


def test_a_text_of_two_million_characters_is_counted() -> None:
    assert count(["a" * 2_000_000], "gpt-4o", messages=0) == 250_000


@given(
    TEXTS,
    st.integers(1, 5),
    st.integers(0, 2),
    st.sampled_from(["gpt-4o", "gpt-4", "gpt-4o-mini", "gpt-5"]),
)
def test_no_count_exceeds_the_bound(
    texts: list[str], messages: int, images: int, model: str
) -> None:
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    counted = count(texts, model, messages=messages, images=images)
    assert counted <= bound(size, messages, images=images, model=model)
    assert counted <= bound(size, messages, images=images)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o", 1_445),
        ("openai/gpt-4o-mini-2024-07-18", 48_169),
        ("claude-opus-4-1", 5_000),
        ("anthropic.claude-haiku-4-5-v1:0", 5_000),
        ("google/gemini-2.5-flash", 4_128),
        ("some-new-model", 48_169),
        ("", 48_169),
    ],
)
def test_an_image_has_the_bound_of_its_family(model: str, tokens: int) -> None:
    assert image_bound(model) == tokens
    assert bound(0, 0, images=3, model=model) == 3 * tokens


def test_tools_add_what_providers_put_before_them() -> None:
    assert bound(100, 1, tools=True) - bound(100, 1) == 800


def test_the_tokenizer_is_loaded_only_to_count() -> None:
    script = (
        "from catalog.tokens import _encoding, bound; bound(9, 1);"
        "print(_encoding.cache_info().misses)"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"
