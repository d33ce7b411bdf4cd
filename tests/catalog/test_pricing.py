"""Costs are exact, never negative, and never above their bound."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing import KINDS, Price, Tier, cost, cost_nano, read_price, upper_bound_nano
from catalog.usage import Usage

USD = 10**9
SONNET = Price(
    input=3 * USD,
    output=15 * USD,
    cached=300_000_000,
    cache_write=3_750_000_000,
    cache_write_1h=6 * USD,
    web_search=10_000 * USD,
    tiers=(
        Tier(start=200_000, input=6 * USD, output=22_500_000_000, cached=600_000_000),
        Tier(start=500_000, input=9 * USD, output=30 * USD),
    ),
    source="a test",
    as_of="2026-08-01",
)

_RATES = {kind: st.none() | st.integers(0, 100 * USD) for kind in KINDS}
_RATES["request"] = _RATES["reasoning"] = st.none() | st.none() | st.integers(0, 100 * USD)
_RATES["input"] = _RATES["output"] = st.integers(0, 100 * USD)
RATES = st.fixed_dictionaries(_RATES)
FLAT_PRICES = RATES.map(lambda rates: Price(**rates))
PRICES = st.builds(
    lambda base, tiers: Price(
        **base, tiers=tuple(Tier(start=start, **rates) for start, rates in sorted(tiers.items()))
    ),
    RATES,
    st.dictionaries(st.integers(0, 2000), RATES, max_size=3),
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usages whose parts fit into their totals, as the extractors make them."""

    def part(of: int) -> int:
        return draw(st.integers(0, of))

    input_tokens, output_tokens = part(3000), part(3000)
    cached = part(input_tokens)
    written = part(input_tokens - cached)
    # Most calls are text, and take the shorter way through the arithmetic.
    is_text = draw(st.booleans())
    audio = 0 if is_text else part(input_tokens)
    image = 0 if is_text else part(input_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=part(written),
        reasoning_tokens=part(output_tokens),
        input_audio_tokens=audio,
        cached_audio_tokens=part(min(audio, cached)),
        output_audio_tokens=0 if is_text else part(output_tokens),
        input_image_tokens=image,
        cached_image_tokens=part(min(image, cached)),
        output_image_tokens=0 if is_text else part(output_tokens),
        input_video_tokens=0 if is_text else part(input_tokens),
        web_searches=0 if is_text else part(3),
    )


def test_each_kind_has_its_line() -> None:
    usage = Usage(1000, 200, 500, 300, 100, web_searches=2)
    found = cost(usage, SONNET)
    assert [(line.kind, line.quantity, line.nano_per_million) for line in found.lines] == [
        ("cache_write_1h", 100, 6 * USD),
        ("cache_write", 200, 3_750_000_000),
        ("cached", 500, 300_000_000),
        ("input", 200, 3 * USD),
        ("output", 200, 15 * USD),
        ("web_search", 2, 10_000 * USD),
    ]
    assert found.input_femto == 2_100_000 * 10**6
    assert found.output_femto == 3_000_000 * 10**6
    assert found.other_femto == 20_000_000 * 10**6
    assert found.total_nano == cost_nano(usage, SONNET) == 25_100_000


def test_a_kind_without_a_rate_is_billed_as_what_contains_it() -> None:
    usage = Usage(
        100, 50, 40, 20, 10, 30, input_audio_tokens=10, cached_audio_tokens=5, web_searches=1
    )
    plain = Price(input=2, output=3)
    assert [(x.kind, x.quantity) for x in cost(usage, plain).lines] == [
        ("input", 100),
        ("output", 50),
    ]
    with_writes = Price(input=2, output=3, cache_write=5)
    assert ("cache_write", 20) in [(x.kind, x.quantity) for x in cost(usage, with_writes).lines]
    with_audio = Price(input=2, output=3, input_audio=7)
    assert ("input_audio", 10) in [(x.kind, x.quantity) for x in cost(usage, with_audio).lines]
    # The five that are both cached and audio go with the cached, once.
    overlapping = Price(input=2, cached=1, input_audio=7)
    assert [(x.kind, x.quantity) for x in cost(usage, overlapping).lines] == [
        ("cached", 40),
        ("input_audio", 5),
        ("input", 55),
        ("output", 50),
    ]


@pytest.mark.parametrize("cached", [None, 1_000_000])
@pytest.mark.parametrize("write", [None, 5_000_000])
@pytest.mark.parametrize("hour", [None, 9_000_000])
def test_the_short_way_says_the_same(
    cached: int | None, write: int | None, hour: int | None
) -> None:
    price = Price(
        input=4_000_000, output=7_000_000, cached=cached, cache_write=write, cache_write_1h=hour
    )
    for usage in (
        Usage(100, 10),
        Usage(100, 10, cached_tokens=60),
        Usage(100, 10, cached_tokens=60, cache_write_tokens=30, cache_write_1h_tokens=20),
        # More than there is: what the extractors would not let through.
        Usage(100, 10, cached_tokens=90, cache_write_tokens=30),
    ):
        assert cost_nano(usage, price) == cost(usage, price).total_nano


def test_a_request_may_have_a_fee_of_its_own() -> None:
    price = Price(input=1_000_000, request=5_000_000)
    assert cost_nano(Usage(3, 0), price) == cost(Usage(3, 0), price).total_nano == 8
    assert upper_bound_nano(3, 0, 1, price) == 8


def test_a_fee_that_only_a_tier_asks_is_in_the_bound() -> None:
    price = Price(input=0, tiers=(Tier(start=0, input=0, request=5_000_000),))
    assert cost_nano(Usage(1, 0), price) == upper_bound_nano(1, 0, 1, price) == 5


def test_a_tier_holds_for_the_whole_call_once_its_start_is_exceeded() -> None:
    assert cost_nano(Usage(200_000, 0), SONNET) == 200_000 * 3_000
    assert cost_nano(Usage(200_001, 1), SONNET) == 200_001 * 6_000 + 22_500
    assert cost_nano(Usage(500_001, 0, 1), SONNET) == 500_001 * 9_000


def test_only_the_total_is_rounded_and_half_goes_up() -> None:
    price = Price(input=500_000, output=250_000)
    assert cost_nano(Usage(1, 0), price) == 1
    assert cost_nano(Usage(0, 1), price) == 0
    assert cost_nano(Usage(0, 2), price) == 1
    assert cost(Usage(1, 2), price).total_nano == 1


@given(usages(), PRICES)
def test_no_cost_is_negative_or_above_its_bound(usage: Usage, price: Price) -> None:
    found = cost(usage, price)
    assert all(line.quantity > 0 and line.femto_usd >= 0 for line in found.lines)
    assert found.total_nano == cost_nano(usage, price) >= 0
    without_searches = found.total_nano - sum(
        -(-line.femto_usd // 10**6) for line in found.lines if line.kind == "web_search"
    )
    bound = upper_bound_nano(usage.input_tokens, usage.output_tokens, 1, price)
    assert without_searches <= bound
    assert bound <= upper_bound_nano(usage.input_tokens + 1, usage.output_tokens, 2, price)
    if not (usage.input_audio_tokens or usage.input_image_tokens or usage.input_video_tokens):
        text = upper_bound_nano(usage.input_tokens, usage.output_tokens, 1, price, text_only=True)
        assert without_searches <= text <= bound


@given(usages(), FLAT_PRICES)
def test_every_token_is_billed_once(usage: Usage, price: Price) -> None:
    lines = cost(usage, price).lines
    outputs = {"output", "reasoning", "output_audio", "output_image"}
    others = {"web_search", "request"}
    assert sum(x.quantity for x in lines if x.kind in outputs) == usage.output_tokens
    billed = sum(x.quantity for x in lines if x.kind not in outputs | others)
    assert billed == usage.input_tokens


_PLAIN = st.builds(
    lambda cached, more, output: Usage(cached + more, output, cached),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)


@given(_PLAIN, _PLAIN, FLAT_PRICES)
def test_costs_add_up_where_there_are_no_tiers(one: Usage, two: Usage, price: Price) -> None:
    both = Usage(**{f.name: getattr(one, f.name) + getattr(two, f.name) for f in fields(Usage)})
    left, right, sum_ = cost(one, price), cost(two, price), cost(both, price)
    assert left.input_femto + right.input_femto == sum_.input_femto
    assert left.output_femto + right.output_femto == sum_.output_femto


def test_the_bound_takes_every_choice_the_dearest_kind_and_the_tier_in_reach() -> None:
    assert upper_bound_nano(100, 10, 1, SONNET) == 100 * 6_000 + 10 * 15_000
    assert upper_bound_nano(100, 10, 3, SONNET) == 100 * 6_000 + 30 * 15_000
    assert upper_bound_nano(200_001, 10, 1, SONNET) == 200_001 * 6_000 + 10 * 22_500
    falling = Price(input=9, output=9, tiers=(Tier(start=10, input=1, output=1),))
    assert upper_bound_nano(10**6, 0, 1, falling) == 9
    assert upper_bound_nano(10**6, 0, 1, falling, text_only=True) == 9
    spoken = Price(input=1_000_000, input_audio=9_000_000)
    assert upper_bound_nano(10, 0, 1, spoken) == 90
    assert upper_bound_nano(10, 0, 1, spoken, text_only=True) == 10


@given(PRICES)
def test_a_price_survives_its_record(price: Price) -> None:
    assert read_price(json.loads(json.dumps(price.record()))) == price
    assert None not in price.record().values()


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": -1},
        {"input": 0.5},
        {"output": None, "cached": True},
        {"tiers": (Tier(start=5), Tier(start=5))},
        {"tiers": (Tier(start=9), Tier(start=5))},
        {"tiers": (Tier(start=-1),)},
        {"tiers": (Tier(start=1, cached=-1),)},
    ],
)
def test_a_price_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"whole number|ascend"):
        Price(**wrong)  # type: ignore[arg-type]
