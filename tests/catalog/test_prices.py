"""Costs of real usage bodies equal what an independent implementation computed, to the decimal.

The reference (``shared/data/usage``, beside the repository) holds 788 bodies that providers
really returned, each with the price by the genai-prices code and price list of August 2026. What
is not equal or not supported is listed here by reason and count, so that it cannot grow unseen.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from catalog.prices import (
    LIST_DATE,
    PROVIDERS,
    context_window,
    known_models,
    next_change,
    price_for,
)
from catalog.pricing import Cost, Price, cost
from catalog.usage import anthropic_usage, openai_usage

BODIES = Path(__file__).parents[3] / "shared/data/usage/provider_usages.json.gz"
NOON = datetime(2026, 7, 20, 12, tzinfo=UTC)
SLUGS = {theirs: ours for ours, theirs in PROVIDERS.items()}

# The list has since learned from when on these aliases cost more; the reference has the price of
# before.
PRICED_EARLIER = {
    "mistral-medium-latest": datetime(2026, 6, 1, 12, tzinfo=UTC),
    "mistral-small-latest": datetime(2026, 3, 1, 12, tzinfo=UTC),
}
# Where ours differs on purpose or by a correction of the list, with both (input, output) prices.
DIFFERENT = {
    # The total says 28 tokens more than input and output: thinking, which Gemini bills as output.
    ("google", "chat", "gemini-2.5-pro-preview-05-06"): (
        ("0.0000825", "0.00034"),
        ("0.0000825", "0.00006"),
    ),
    # The list has since got the rates above 200,000 input tokens on Vertex.
    ("google", "anthropic", "claude-sonnet-4-5-20250929"): (
        ("2.408808", "0.01782"),
        ("1.204404", "0.01188"),
    ),
    # The list has since got the rate of cache writes on Azure: 4,012 of these 4,020 tokens.
    ("azure", "chat", "gpt-5.6-sol"): (("0.025115", "0.00012"), ("0.0201", "0.00012")),
}


@dataclass(frozen=True)
class Expected:
    """A price of the reference for one body at one of our providers."""

    slug: str
    flavor: str
    model: str
    raw: dict[str, Any]
    input: Decimal
    output: Decimal


@cache
def _bodies() -> list[dict[str, Any]]:
    if not BODIES.exists():
        pytest.skip(f"{BODIES.name} is absent")
    return json.loads(gzip.decompress(BODIES.read_bytes()))


def _shape(body: dict[str, Any]) -> str:
    """Which API answered with this body."""
    if "usageMetadata" in body:
        return "gemini native"
    if "meta" in body:
        return "cohere native"
    usage = body["usage"]
    if "inputTokens" in usage:
        return "bedrock converse"
    if "billed_units" in usage:
        return "cohere native"
    if "prompt_tokens" in usage:
        return "openai" if "completion_tokens" in usage else "openai embeddings"
    return "openai responses" if "total_tokens" in usage else "anthropic"


def _expected(record: dict[str, Any]) -> Iterator[Expected]:
    for extracted in record["extracted"]:
        for found in extracted["extractors"]:
            slug = SLUGS.get(found["provider_id"])
            if slug and "input_price" in found:
                yield Expected(
                    slug,
                    found["api_flavor"],
                    record["model"],
                    record["body"].get("usage", {}),
                    Decimal(found["input_price"]),
                    Decimal(found.get("output_price", 0)),
                )


def _cost(expected: Expected) -> Cost:
    """Our cost, with the extractor that the expected flavour stands for."""
    is_anthropic = expected.flavor == "anthropic" or expected.slug == "anthropic"
    usage = (anthropic_usage if is_anthropic else openai_usage)(expected.raw)
    at = PRICED_EARLIER.get(expected.model, NOON)
    price = price_for(expected.slug, expected.model, at=at)
    assert price is not None, expected
    return cost(usage, price)


def _usd(femto: int) -> Decimal:
    return Decimal(f"{femto}e-15")


def test_costs_equal_the_reference_to_the_decimal() -> None:
    bodies: Counter[str] = Counter()
    prices: Counter[str] = Counter()
    for record in _bodies():
        shape = _shape(record["body"])
        outcomes = set()
        for expected in _expected(record):
            if shape == "gemini native":
                outcome = "gemini native"
            elif expected.flavor == "embeddings" and shape != "openai embeddings":
                # The reference tries each extractor on each body; this one leaves out the output.
                outcome = "embeddings flavour on a chat body"
            else:
                ours = _cost(expected)
                pair = (_usd(ours.input_femto), _usd(ours.output_femto))
                outcome = _compare(expected, pair)
            prices[outcome] += 1
            outcomes.add(outcome)
        outcomes.discard("embeddings flavour on a chat body")
        assert len(outcomes - {"equal"}) <= 1
        bodies[next(iter(outcomes - {"equal"} or outcomes), f"no price: {shape}")] += 1
    assert prices == {
        "equal": 1244,
        "different, as listed": 3,
        "embeddings flavour on a chat body": 172,
        "gemini native": 209,
    }
    assert bodies == {
        "equal": 434,
        "different, as listed": 3,
        # Gemini is reached over its OpenAI-compatible endpoint.
        "gemini native": 209,
        # Without a price of the reference for any of our providers.
        "no price: openai": 18,
        "no price: openai responses": 1,
        "no price: gemini native": 10,
        "no price: bedrock converse": 105,
        "no price: cohere native": 8,
    }
    assert sum(bodies.values()) == len(_bodies()) == 788


def _compare(expected: Expected, ours: tuple[Decimal, Decimal]) -> str:
    theirs = (expected.input, expected.output)
    if ours == theirs:
        return "equal"
    listed = DIFFERENT.get((expected.slug, expected.flavor, expected.model))
    assert listed is not None, (expected, ours)
    assert ours == tuple(map(Decimal, listed[0])), expected
    assert theirs == tuple(map(Decimal, listed[1])), expected
    return "different, as listed"


def test_a_price_says_where_it_comes_from() -> None:
    price = price_for("openai", "gpt-4o-mini", at=NOON)
    assert price is not None
    assert (price.input, price.cached, price.output) == (150_000_000, 75_000_000, 600_000_000)
    assert price.source.startswith(f"genai-prices {version('genai-prices')} https://")
    assert price.as_of == LIST_DATE
    assert price.currency == "USD"


def test_the_date_of_the_list_belongs_to_the_installed_version() -> None:
    assert (version("genai-prices"), LIST_DATE) == ("0.2.3", "2026-11-09")


@pytest.mark.parametrize("slug", list(PROVIDERS))
def test_every_provider_has_priced_models(slug: str) -> None:
    models = known_models(slug)
    assert models == sorted(models)
    assert models
    for model in models:
        price = price_for(slug, model, at=NOON)
        assert isinstance(price, Price)
        assert price.input >= 0


def test_prices_change_on_their_day() -> None:
    before = price_for("openai", "gpt-5.6-sol", at=datetime(2026, 8, 20, 23, 59, tzinfo=UTC))
    after = price_for("openai", "gpt-5.6-sol", at=datetime(2026, 8, 21, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert (before.input, before.as_of) == (5 * 10**9, LIST_DATE)
    assert (after.input, after.as_of) == (4 * 10**9, "2026-08-21")
    change = next_change("openai", "gpt-5.6-sol", at=NOON)
    assert change == datetime(2026, 8, 21, tzinfo=UTC)
    assert next_change("openai", "gpt-5.6-sol", at=change) is None


def test_prices_change_with_the_hour() -> None:
    night = datetime(2026, 7, 20, 20, tzinfo=UTC)
    by_day, by_night = (price_for("deepseek", "deepseek-chat", at=at) for at in (NOON, night))
    assert by_day is not None
    assert by_night is not None
    assert (by_day.input, by_night.input) == (270_000_000, 135_000_000)
    assert next_change("deepseek", "deepseek-chat", at=NOON) == NOON.replace(hour=16, minute=30)
    assert next_change("deepseek", "deepseek-chat", at=night) == datetime(
        2026, 7, 21, 0, 30, tzinfo=UTC
    )


def test_long_contexts_keep_their_tier() -> None:
    price = price_for("google", "gemini-2.5-pro", at=NOON)
    assert price is not None
    (tier,) = price.tiers
    assert (price.input, tier.start, tier.input) == (1_250_000_000, 200_000, 2_500_000_000)
    # What has no tier of its own keeps its price in every tier.
    assert tier.web_search == price.web_search == 35_000 * 10**9


def test_what_the_list_does_not_say_has_no_price() -> None:
    assert price_for("openai", "gpt-nonsense", at=NOON) is None
    assert price_for("local", "llama3", at=NOON) is None
    assert price_for("openai", "", at=NOON) is None
    assert price_for("groq", "whisper-large-v3", at=NOON) is None
    assert known_models("local") == []
    assert next_change("openai", "gpt-4o", at=NOON) is None
    assert context_window("openai", "gpt-4o") == 128_000
    assert context_window("openai", "gpt-nonsense") is None
