"""What a call costs: exact integers from quantities and prices. Pure.

Rates are nano-USD per million units, so tokens times rate is a whole number of femto-USD (1e-15).
Only the total is rounded, once, half up, to nano-USD.

1. A kind without a rate of its own is billed as the kind that contains it: cache writes for an hour
   as cache writes, cached audio as cached or audio, all else as plain input or output.
2. A tier holds for the whole call as soon as the input exceeds its start, as providers bill it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from catalog.usage import Usage

FEMTO_PER_NANO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-USD per million tokens of each kind; None where the containing kind's rate holds.

    ``web_search`` is per million searches (a thousand times the price per 1,000), ``request`` per
    million requests.
    """

    input: int = 0
    output: int = 0
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    cached_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    cached_image: int | None = None
    output_image: int | None = None
    input_video: int | None = None
    web_search: int | None = None
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Rates):
    """The rates of a call with more than ``start`` input tokens."""

    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """A model's rates with where they come from; ``tiers`` ascend by their start."""

    tiers: tuple[Tier, ...] = ()
    source: str = ""
    as_of: str = ""
    currency: str = "USD"
    # (start, worst input, worst input of text alone, worst output, worst fee) per tier, dearest so
    # far.
    _bounds: tuple[tuple[int, int, int, int, int], ...] = field(
        init=False, repr=False, compare=False, default=()
    )

    def __post_init__(self) -> None:
        for rates in (self, *self.tiers):
            for name in KINDS:
                rate = getattr(rates, name)
                if rate is not None and (type(rate) is not int or rate < 0):
                    raise ValueError(f"The rate of {name} must be a whole number of 0 or more.")
        starts = [tier.start for tier in self.tiers]
        if starts != sorted(set(starts)) or (starts and starts[0] < 0):
            raise ValueError("Tiers must ascend by their start.")
        object.__setattr__(self, "_bounds", _bounds_of(self))

    def record(self) -> dict[str, Any]:
        """The price as JSON without empty fields, to keep beside a call; see ``read_price``."""
        record = _written(self)
        if self.tiers:
            record["tiers"] = [_written(tier) | {"start": tier.start} for tier in self.tiers]
        return record | {"source": self.source, "as_of": self.as_of, "currency": self.currency}


KINDS = tuple(f.name for f in fields(Rates))
_TEXT_KINDS = ("input", "cached", "cache_write", "cache_write_1h")
_MEDIA_KINDS = ("input_audio", "cached_audio", "input_image", "cached_image", "input_video")
_OUTPUT_KINDS = ("output", "reasoning", "output_audio", "output_image")


def read_price(record: Mapping[str, Any]) -> Price:
    """The price that ``Price.record`` wrote."""
    values = dict(record)
    tiers = tuple(Tier(**tier) for tier in values.pop("tiers", ()))
    return Price(**values, tiers=tiers)


def _written(rates: Rates) -> dict[str, Any]:
    return {name: rate for name in KINDS if (rate := getattr(rates, name)) is not None}


def _bounds_of(price: Price) -> tuple[tuple[int, int, int, int, int], ...]:
    bounds: list[tuple[int, int, int, int, int]] = []
    text = media = output = fee = 0
    for start, rates in ((-1, price), *((tier.start, tier) for tier in price.tiers)):
        # A higher tier may be the cheaper one; the call may still end up in the lower.
        text = max(text, _worst(rates, _TEXT_KINDS))
        media = max(media, text, _worst(rates, _MEDIA_KINDS))
        output = max(output, _worst(rates, _OUTPUT_KINDS))
        fee = max(fee, rates.request or 0)
        bounds.append((start, media, text, output, fee))
    return tuple(reversed(bounds))


def _worst(rates: Rates, kinds: tuple[str, ...]) -> int:
    return max(getattr(rates, kind) or 0 for kind in kinds)


@dataclass(frozen=True, slots=True)
class Line:
    """One kind's part: ``quantity`` times ``nano_per_million`` is ``femto_usd``."""

    kind: str
    quantity: int
    nano_per_million: int
    femto_usd: int


@dataclass(frozen=True, slots=True)
class Cost:
    """A call's cost by line; sums are exact in femto-USD, ``total_nano`` is rounded once."""

    lines: tuple[Line, ...]
    input_femto: int
    output_femto: int
    other_femto: int
    total_nano: int


def cost(usage: Usage, price: Price) -> Cost:
    """The cost with its lines, for people and for proofs. Never negative."""
    rates = _rates_for(usage.input_tokens, price)
    inputs = _lines(_input_parts(usage, rates))
    outputs = _lines(_output_parts(usage, rates))
    others = _lines(_other_parts(usage, rates))
    sums = [sum(line.femto_usd for line in lines) for lines in (inputs, outputs, others)]
    return Cost(
        lines=(*inputs, *outputs, *others),
        input_femto=sums[0],
        output_femto=sums[1],
        other_femto=sums[2],
        total_nano=_rounded(sum(sums)),
    )


def cost_nano(usage: Usage, price: Price) -> int:
    """The cost in nano-USD: what ``cost`` says, sooner."""
    rates: Rates = price
    count = usage.input_tokens
    if price.tiers:
        rates = _rates_for(count, price)
    written = usage.cache_write_tokens
    if (
        usage.web_searches
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
        or usage.input_video_tokens
        or rates.reasoning is not None
        or rates.request is not None
        or (written and rates.cache_write is None)
    ):
        parts = _input_parts(usage, rates) + _output_parts(usage, rates)
        parts += _other_parts(usage, rates)
        return _rounded(sum(quantity * rate for _, quantity, rate in parts))
    plain = rates.input
    femto = count * plain + usage.output_tokens * rates.output
    if written and (rate := rates.cache_write) is not None:
        femto += written * (rate - plain)
        if (hour := usage.cache_write_1h_tokens) and rates.cache_write_1h is not None:
            femto += hour * (rates.cache_write_1h - rate)
        count -= written
    if (cached := usage.cached_tokens) and (rate := rates.cached) is not None:
        femto += (cached if cached < count else count) * (rate - plain)
    return (femto + 500_000) // FEMTO_PER_NANO


def upper_bound_nano(
    input_tokens: int, output_tokens: int, n: int, price: Price, *, text_only: bool = False
) -> int:
    """The most that a call can cost: every token as its dearest kind, at every tier in reach.

    ``n`` is the number of choices, each of at most ``output_tokens``. ``text_only`` leaves out the
    rates of audio, image and video input. Web searches are not in it: nothing bounds them.
    """
    for start, media, text, output, fee in price._bounds:
        if input_tokens > start:
            femto = input_tokens * (text if text_only else media) + n * output_tokens * output
            return -(-(femto + fee) // FEMTO_PER_NANO)
    raise AssertionError("the first bound holds for every count")


def _rates_for(input_tokens: int, price: Price) -> Rates:
    for tier in reversed(price.tiers):
        if input_tokens > tier.start:
            return tier
    return price


_Part = tuple[str, int, int]


def _input_parts(usage: Usage, rates: Rates) -> list[_Part]:
    """Each kind with a rate of its own, less the kinds within it, and the rest as plain input."""
    parts: list[_Part] = []
    left = usage.input_tokens

    def take(kind: str, quantity: int, rate: int | None) -> int:
        nonlocal left
        taken = min(max(quantity, 0), left)
        if rate is None or not taken:
            return 0
        left -= taken
        parts.append((kind, taken, rate))
        return taken

    hour = take("cache_write_1h", usage.cache_write_1h_tokens, rates.cache_write_1h)
    take("cache_write", usage.cache_write_tokens - hour, rates.cache_write)
    # What is cached and audio belongs to both; without a rate of its own it goes with the cached.
    audio = take("cached_audio", usage.cached_audio_tokens, rates.cached_audio)
    image = take("cached_image", usage.cached_image_tokens, rates.cached_image)
    cached = usage.cached_tokens - audio - image
    if rates.cached is not None:
        audio, image = usage.cached_audio_tokens, usage.cached_image_tokens
    take("cached", cached, rates.cached)
    take("input_audio", usage.input_audio_tokens - audio, rates.input_audio)
    take("input_image", usage.input_image_tokens - image, rates.input_image)
    take("input_video", usage.input_video_tokens, rates.input_video)
    if left > 0:
        parts.append(("input", left, rates.input))
    return parts


def _output_parts(usage: Usage, rates: Rates) -> list[_Part]:
    parts: list[_Part] = []
    left = usage.output_tokens
    for kind, quantity, rate in (
        ("reasoning", usage.reasoning_tokens, rates.reasoning),
        ("output_audio", usage.output_audio_tokens, rates.output_audio),
        ("output_image", usage.output_image_tokens, rates.output_image),
    ):
        taken = min(max(quantity, 0), left)
        if rate is not None and taken:
            left -= taken
            parts.append((kind, taken, rate))
    if left > 0:
        parts.append(("output", left, rates.output))
    return parts


def _other_parts(usage: Usage, rates: Rates) -> list[_Part]:
    parts: list[_Part] = []
    if rates.web_search and usage.web_searches > 0:
        parts.append(("web_search", usage.web_searches, rates.web_search))
    if rates.request:
        parts.append(("request", 1, rates.request))
    return parts


def _lines(parts: list[_Part]) -> tuple[Line, ...]:
    return tuple(Line(kind, quantity, rate, quantity * rate) for kind, quantity, rate in parts)


def _rounded(femto: int) -> int:
    return (femto + FEMTO_PER_NANO // 2) // FEMTO_PER_NANO
