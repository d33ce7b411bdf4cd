"""What the pages of providers show: state, health, models and where each price comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from analytics.provider_day import ProviderDay
from catalog.checks import is_known_private
from catalog.models import Credential, Deployment, Provider
from catalog.presets import PRESETS
from catalog.prices import price_for
from catalog.services import SANDBOX_PRICES
from lib.money import dollars
from routing.providers.health import Seen

REST_REASONS = {
    "failing": "Failing",
    "rate_limited": "Rate limited",
    "credential_refused": "Credential refused",
}


@dataclass(frozen=True, slots=True)
class State:
    """A badge: its tone, its words, and a sentence about it."""

    tone: str
    label: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class PriceShown:
    """A price as people read it, in $ per million tokens, with where it comes from.

    ``own`` is the organization's own; ``since`` is when it was set, or of which day the list is.
    """

    input: str
    cached: str
    output: str
    source: str
    since: str
    own: bool

    @property
    def is_known(self) -> bool:
        """Whether there is any; what has none is not routed to where cost is limited."""
        return bool(self.input)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One deployment with its health and price."""

    row: Deployment
    state: State
    p95_ms: int | None
    price: PriceShown


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """One provider with its state, its credential and its models."""

    provider: Provider
    credential: Credential | None
    state: State
    p95_ms: int | None
    models: tuple[ModelCard, ...]
    day: ProviderDay | None
    local_by_word: bool

    @property
    def served(self) -> int:
        """How many models are on."""
        return sum(card.row.active for card in self.models)

    @property
    def preset_name(self) -> str:
        """What kind of provider it is, for people."""
        known = PRESETS.get(self.provider.preset)
        return known.name if known else "Sandbox"


def cards(
    providers: Sequence[Provider],
    deployments: Sequence[Deployment],
    health: Mapping[UUID, Seen] | None,
    days: Mapping[str, ProviderDay],
    now: datetime,
) -> list[ProviderCard]:
    """A card of each provider, in their order."""
    by_provider: dict[UUID, list[Deployment]] = {p.id: [] for p in providers}
    for row in deployments:
        by_provider[row.provider_id].append(row)
    return [_card(p, by_provider[p.id], health, days.get(p.slug), now) for p in providers]


def price_shown(row: Deployment, provider: Provider, now: datetime) -> PriceShown:
    """The price that holds for a deployment: the organization's own, else the list's."""
    if row.input_nano_per_mtok is not None:
        return PriceShown(
            input=dollars(row.input_nano_per_mtok),
            cached="" if row.cached_nano_per_mtok is None else dollars(row.cached_nano_per_mtok),
            output=dollars(row.output_nano_per_mtok or 0),
            source=row.price_source or "set by the organization",
            since=row.price_as_of.isoformat() if row.price_as_of else "",
            own=not (provider.is_sandbox and row.price_source == SANDBOX_PRICES),
        )
    listed = price_for(provider.preset, row.upstream_model, at=now)
    if listed is None:
        return PriceShown("", "", "", "", "", own=False)
    return PriceShown(
        input=dollars(listed.input),
        cached="" if listed.cached is None else dollars(listed.cached),
        output=dollars(listed.output),
        source=listed.source,
        since=listed.as_of,
        own=False,
    )


def _card(
    provider: Provider,
    rows: Sequence[Deployment],
    health: Mapping[UUID, Seen] | None,
    day: ProviderDay | None,
    now: datetime,
) -> ProviderCard:
    credential = next(iter(provider.credentials.all()), None)
    models = tuple(
        ModelCard(
            row=row,
            state=_model_state(row, None if health is None else health.get(row.id)),
            p95_ms=_p95(None if health is None else health.get(row.id)),
            price=price_shown(row, provider, now),
        )
        for row in rows
    )
    measured = [card.p95_ms for card in models if card.p95_ms is not None and card.row.active]
    return ProviderCard(
        provider=provider,
        credential=credential,
        state=_state(provider, credential, models, unknown=health is None),
        p95_ms=max(measured, default=None),
        models=models,
        day=day,
        local_by_word=provider.is_local and not _is_private(provider),
    )


def _is_private(provider: Provider) -> bool:
    try:
        return is_known_private(provider.base_url)
    except ValueError:
        return False


def _p95(seen: Seen | None) -> int | None:
    return None if seen is None else (seen.health.p95_ms or seen.health.first_p95_ms)


def _model_state(row: Deployment, seen: Seen | None) -> State:
    if not row.active:
        return State("plain", "Off")
    if seen is None:
        return State("plain", "No recent calls")
    if seen.resting:
        label = REST_REASONS.get(seen.health.reason, "Resting")
        return State("bad" if seen.health.reason != "rate_limited" else "warn", label)
    if seen.recovering:
        return State("warn", "Recovering")
    if seen.recent_errors:
        return State("warn", f"{seen.recent_errors} of {seen.recent_calls} failed just now")
    return State("ok", "OK")


def _state(
    provider: Provider,
    credential: Credential | None,
    models: Sequence[ModelCard],
    *,
    unknown: bool,
) -> State:
    if not provider.active:
        return State("plain", "Off", "It is turned off; no call goes there.")
    if credential is None and (provider.is_sandbox or not provider.is_local):
        return State("bad", "No credential", "No call goes there until it has one.")
    served = [card for card in models if card.row.active]
    if not served:
        return State("warn", "No models", "Add a model, so that calls can go there.")
    if unknown:
        return State("plain", "Health unknown", "The live numbers cannot be read right now.")
    tones = [card.state.tone for card in served]
    hurt = [card.state.label for card in served if card.state.tone in ("bad", "warn")]
    if len(hurt) == len(served):
        tone = "bad" if "bad" in tones else "warn"
        return State(tone, hurt[0], "All its models; calls go elsewhere where they can.")
    if hurt:
        told = f"{len(hurt)} of {len(served)} models: {hurt[0].lower()}."
        return State("warn", "Degraded", told)
    if all(tone == "plain" for tone in tones):
        return State("plain", "No recent calls", "Nothing was measured there in the last minutes.")
    return State("ok", "OK", "Its models answer.")
