"""The list of providers' prices: the genai-prices package, as installed; never fetched.

The list is loaded on first use (0.4 s, 27 MB), by what compiles snapshots and seeds deployments;
a look-up takes 0.02 ms, the first of a name 0.3. Names are matched as that package matches them,
dated ones included.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from catalog.pricing import Price, Tier

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider

    from catalog.models import Deployment
    from catalog.models import Provider as Vendor

# The newest change that the installed version of the list records.
LIST_DATE = "2026-11-09"

# Our presets by the list's names, where they differ.
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "together": "together",
    "fireworks": "fireworks",
    "openrouter": "openrouter",
    "xai": "x-ai",
    "cohere": "cohere",
    "azure": "azure",
    "bedrock": "aws",
}

# Our kinds by the list's keys, with how many units its price is for.
_MTOK = 1
_KCOUNT = 1_000
_KEYS = {
    "input_mtok": ("input", _MTOK),
    "output_mtok": ("output", _MTOK),
    "cache_read_mtok": ("cached", _MTOK),
    "cache_write_mtok": ("cache_write", _MTOK),
    "cache_write_1h_mtok": ("cache_write_1h", _MTOK),
    "output_reasoning_mtok": ("reasoning", _MTOK),
    "input_audio_mtok": ("input_audio", _MTOK),
    "cache_audio_read_mtok": ("cached_audio", _MTOK),
    "output_audio_mtok": ("output_audio", _MTOK),
    "input_image_mtok": ("input_image", _MTOK),
    "cache_image_read_mtok": ("cached_image", _MTOK),
    "output_image_mtok": ("output_image", _MTOK),
    "input_video_mtok": ("input_video", _MTOK),
    "web_searches_kcount": ("web_search", _KCOUNT),
    "requests_kcount": ("request", _KCOUNT),
}


def price_for(provider: str, model: str, *, at: datetime) -> Price | None:
    """What a provider charges for a model at a moment, or None when the list does not say.

    Start dates and hours of the day are resolved for ``at``; the tiers of long contexts are kept.
    What is billed neither by tokens nor by requests (audio by the hour, pages) has no price here.
    """
    found = _find(provider, model)
    if found is None:
        return None
    listed, info = found
    prices, since = _prices_at(info, at)
    rates = {key: value for key, value in prices.__dict__.items() if value is not None}
    if rates and "input_mtok" not in rates:
        return None
    urls = listed.pricing_urls or [""]
    # An empty entry is the list's way to say that there is no charge.
    return Price(
        **_base(rates),
        tiers=_tiers(rates),
        source=f"{_list_name()} {urls[0]}".rstrip(),
        as_of=since or LIST_DATE,
    )


def price_of(deployment: Deployment, provider: Vendor, *, at: datetime) -> Price | None:
    """The organization's own price where it set one, else the price list's of that moment."""
    if deployment.input_nano_per_mtok is not None:
        return Price(
            input=deployment.input_nano_per_mtok,
            cached=deployment.cached_nano_per_mtok,
            output=deployment.output_nano_per_mtok or 0,
            source=deployment.price_source or "set by the organization",
            as_of=deployment.price_as_of.isoformat() if deployment.price_as_of else "",
        )
    return price_for(provider.preset, deployment.upstream_model, at=at)


def next_change(provider: str, model: str, *, at: datetime) -> datetime | None:
    """The first moment after ``at`` when the listed price may change; None when it never does."""
    found = _find(provider, model)
    if found is None or not isinstance(found[1].prices, list):
        return None
    utc = at.astimezone(UTC)
    moments = [m for price in found[1].prices for m in _changes(price, utc) if m > utc]
    return min(moments, default=None)


def context_window(provider: str, model: str) -> int | None:
    """Input tokens that a model takes at most, where the list knows it."""
    found = _find(provider, model)
    return found[1].context_window if found else None


def known_models(provider: str) -> list[str]:
    """Names to call the models by that are billed by tokens and not being retired, sorted."""
    from genai_prices.types import ModelPrice

    listed = _provider(provider)
    if listed is None:
        return []
    names = []
    for info in listed.models:
        prices = info.prices if isinstance(info.prices, ModelPrice) else info.prices[-1].prices
        if not info.deprecated and prices.__dict__.get("input_mtok") is not None:
            names += _callable_names(info)[:1]
    return sorted(names)


def _callable_names(info: ModelInfo) -> list[str]:
    """The model's id where it is a name to call it by, else names that the list equates with it."""
    match: Any = info.match
    clauses = getattr(match, "or_", [match])
    names = [info.id, *(clause.equals for clause in clauses if hasattr(clause, "equals"))]
    return [name for name in names if info.is_match(name)]


def load_prices() -> None:
    """Reads the list now, which takes a quarter of a second that the first price would wait."""
    _list()


@cache
def _list() -> DataSnapshot:
    # Imported here: most processes never ask for a price.
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False)


@cache
def _list_name() -> str:
    return f"genai-prices {version('genai-prices')}"


def _provider(slug: str) -> Provider | None:
    name = PROVIDERS.get(slug)
    return next((p for p in _list().providers if p.id == name), None) if name else None


def _find(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    name = PROVIDERS.get(provider)
    if name is None or not model:
        return None
    try:
        return _list().find_provider_model(model, None, name, None)
    except LookupError:
        return None


def _prices_at(info: ModelInfo, at: datetime) -> tuple[ModelPrice, str]:
    """The prices that hold at ``at``, the last that applies, and the day since when if it says."""
    if not isinstance(info.prices, list):
        return info.prices, ""
    for price in reversed(info.prices):
        if price.constraint is None or price.constraint.active(at):
            start = getattr(price.constraint, "start_date", None)
            return price.prices, start.isoformat() if start else ""
    return info.prices[0].prices, ""


def _changes(price: ConditionalPrice, at: datetime) -> list[datetime]:
    """The moments at which a price may begin or end to hold, from the day of ``at`` on."""
    constraint: Any = price.constraint
    if constraint is None:
        return []
    if hasattr(constraint, "start_date"):
        return [datetime.combine(constraint.start_date, time(), UTC)]
    hours = [constraint.start_time, constraint.end_time]
    days = [at.date(), at.date() + timedelta(days=1)]
    return [
        datetime.combine(day, hour.replace(tzinfo=hour.tzinfo or UTC))
        for day in days
        for hour in hours
    ]


def _base(rates: dict[str, Any]) -> dict[str, Any]:
    """Our kinds' rates before any tier."""
    return {
        kind: _nano(getattr(rate, "base", rate), units)
        for key, rate in rates.items()
        if key in _KEYS
        for kind, units in [_KEYS[key]]
    }


def _tiers(rates: dict[str, Any]) -> tuple[Tier, ...]:
    """One whole table of rates for each start that any kind has."""
    starts = {tier.start for rate in rates.values() for tier in getattr(rate, "tiers", ())}
    tables = []
    for start in sorted(starts):
        reached = dict(rates)
        for key, rate in rates.items():
            for tier in getattr(rate, "tiers", ()):
                if tier.start <= start:
                    reached[key] = tier.price
        tables.append(Tier(start=start, **_base(reached)))
    return tuple(tables)


def _nano(usd: Decimal, units: int) -> int:
    """Nano-USD per million, from USD per million tokens or per thousand of what is counted."""
    exact = usd * units * 10**9
    # A few listed prices are quotients with more than nine decimals (1/12 of a dollar).
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
