"""An organization as it looks after a week of use, for the pictures in the documentation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils import timezone

from analytics.ledger import Ledger
from catalog.services import connect_provider
from preferences.services import save_preferences
from tenancy.core import SYSTEM, Actor, Role, Scope
from tenancy.models import User, new_id
from tenancy.pages import memberships_of
from tenancy.services import add_member, create_key, create_organization, create_user
from tests.analytics.rows import after_fallback, failed, refused, row

PROVIDERS = ("anthropic", "google", "groq", "mistral", "openai")
COLLEAGUES = {"mara": Role.ADMIN, "tom": Role.MEMBER, "yuki": Role.VIEWER}
KEYS = ("batch-eu-1", "support-bot", "search")
# Dollars spent on each of the last fourteen days, the oldest first, in so many calls each.
SPENT = (38.1, 44.6, 47, 52.9, 33.8, 31.2, 45.1, 41.2, 49.8, 57.1, 68.4, 45.5, 52, 53.3)
CALLS_A_DAY = 900
LIST_ROWS = 52

Json = dict[str, Any]


def _priced(input_usd: float, output_usd: float) -> Json:
    """A price in dollars per million tokens."""
    return {
        "input": round(input_usd * 10**9),
        "output": round(output_usd * 10**9),
        "source": "genai-prices",
        "as_of": "2026-11-01",
        "currency": "USD",
    }


MODELS: dict[str, tuple[str, Json, int]] = {
    "anthropic": ("claude-haiku-4-5", _priced(1, 5), 1400),
    "google": ("gemini-2.5-flash", _priced(0.3, 2.5), 900),
    "mistral": ("mistral-small-latest", _priced(0.1, 0.3), 700),
}
HAIKU: Json = {
    "provider": "anthropic",
    "model": "claude-haiku-4-5",
    "score": 0.81,
    "estimate_nano": 3_800_000,
    "p95_ms": 1620,
}
FLASH: Json = {
    "provider": "google",
    "model": "gemini-2.5-flash",
    "score": 0.78,
    "estimate_nano": 4_100_000,
    "p95_ms": 980,
}
SMALL: Json = {
    "provider": "mistral",
    "model": "mistral-small-latest",
    "score": 0.64,
    "estimate_nano": 4_900_000,
    "p95_ms": 910,
}
OUT: tuple[Json, ...] = (
    {
        "provider": "openai",
        "model": "gpt-5",
        "reason": "max_cost",
        "estimate_nano": 61_000_000,
        "p95_ms": 1110,
    },
    {
        "provider": "groq",
        "model": "llama-3.3-70b",
        "reason": "blocked",
        "estimate_nano": 2_100_000,
        "p95_ms": 310,
    },
    {
        "provider": "mistral",
        "model": "codestral-latest",
        "reason": "capability",
        "detail": "has no vision",
        "p95_ms": 1300,
    },
)
POLICY: Json = {
    "priority": "cost",
    "max_cost_nano": 50_000_000,
    "max_latency_ms": 4000,
    "preferred_providers": ["anthropic", "google"],
    "blocked_providers": ["groq"],
}


@dataclass(frozen=True, slots=True)
class Scenery:
    """Who looks, at which request, and somebody who has no organization yet."""

    owner: User
    newcomer: User
    call: str


def build() -> Scenery:
    """Makes the organization, committed. Former people of the same names make room."""
    owner, newcomer = _person("jana@acme.example"), _person("ravi@nova.example")
    organization = create_organization(
        name="Acme GmbH", owner=owner, actor=SYSTEM, time_zone="Europe/Berlin"
    )
    by_owner = Actor(kind="user", id=owner.id, name=owner.email, source="203.0.113.7")
    keys = [
        str(create_key(organization.id, name=name, scopes=[Scope.GATEWAY], actor=by_owner).key.id)
        for name in KEYS
    ]
    for slug in PROVIDERS:
        connect_provider(
            organization.id, preset=slug, secret=f"sk-{slug}-0123456789", actor=by_owner
        )
    for name, role in COLLEAGUES.items():
        colleague = _person(f"{name}@acme.example")
        add_member(organization.id, user=colleague, role=role, actor=by_owner)
    save_preferences(
        organization.id,
        None,
        {
            "default_priority": "cost",
            "max_cost_per_request_nano": 50_000_000,
            "max_latency_ms": 4000,
            "preferred_providers": ["anthropic", "google"],
            "blocked_providers": ["groq"],
            "cost_alert_threshold_nano": 60 * 10**9,
        },
        actor=by_owner,
    )
    rows = _recent(organization.id, keys)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([*rows, *_earlier(organization.id, owner)])
    ledger.close()
    fallback = next(made for made in rows if made["fallback_used"] and made["success"])
    return Scenery(owner, newcomer, fallback["id"])


def _person(email: str) -> User:
    former = f"{new_id().hex}@example.com"
    User.objects.filter(email=email).update(email=former)
    EmailAddress.objects.filter(email=email).update(email=former)
    return create_user(email, None)


def _recent(organization_id: UUID, keys: list[str]) -> list[Json]:
    """The last minutes, the newest call first; the third needed a fallback."""
    dice = Random(7)
    now_ms = time.time_ns() // 1_000_000
    rows = []
    for i in range(LIST_ROWS):
        now_ms -= dice.randint(900, 9000)
        about = {"api_key_id": dice.choice(keys), "chance": dice.getrandbits(74)}
        if i % 17 == 2:
            rows.append(_fallback(organization_id, now_ms, **about))
        elif i == 7:
            rows.append(refused(organization_id, now_ms, model_requested="gpt-5", **about))
        elif i == 23:
            rows.append(failed(organization_id, now_ms, **about))
        else:
            rows.append(_answered(organization_id, now_ms, dice, **about))
    return rows


def _answered(organization_id: UUID, at_ms: int, dice: Random, **about: Any) -> Json:
    provider = dice.choice(("anthropic", "anthropic", "google", "mistral"))
    model, price, usual_ms = MODELS[provider]
    latency_ms = round(usual_ms * dice.uniform(0.4, 1.6))
    stream = dice.random() < 0.5
    return row(
        organization_id,
        at_ms,
        provider=provider,
        model_used=model,
        model_requested=dice.choice(("auto", "auto", model)),
        stream=stream,
        latency_ms=latency_ms,
        first_token_ms=round(latency_ms * 0.3) if stream else None,
        **_used(price, dice.randint(80, 4000), dice.randint(20, 900)),
        **about,
    )


def _fallback(organization_id: UUID, at_ms: int, **about: Any) -> Json:
    model, price, _ = MODELS["google"]
    overloaded = {
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "ms": 1900,
        "status": 529,
        "error": "overloaded_error",
        "message": "Overloaded.",
    }
    answer = {"provider": "google", "model": model, "ms": 410, "status": 200, "first_token_ms": 180}
    return after_fallback(
        organization_id,
        at_ms,
        provider="google",
        model_used=model,
        decision={
            "policy": POLICY,
            "candidates": [HAIKU, FLASH, SMALL],
            "out": list(OUT),
            "attempts": [overloaded, answer],
        },
        **_used(price, 1204, 312),
        **about,
    )


def _used(price: Json, input_tokens: int, output_tokens: int) -> Json:
    femto = price["input"] * input_tokens + price["output"] * output_tokens
    return {
        "price": price,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
        "cost_nano": femto // 10**6,
    }


def _earlier(organization_id: UUID, owner: User) -> list[Json]:
    """The days before today: busy at noon, quiet at night, with what goes wrong now and then."""
    (member,) = memberships_of(owner)
    dice = Random(11)
    midnights = member.midnights(timezone.now(), len(SPENT))[:-1]
    rows = []
    for midnight, usd in zip(midnights, SPENT, strict=True):
        shares = [dice.lognormvariate(0, 0.7) for _ in range(CALLS_A_DAY)]
        for share in shares:
            at = midnight + timedelta(hours=dice.triangular(1, 23.9, 14))
            rows.append(
                _passed(
                    organization_id,
                    round(at.timestamp() * 1000),
                    dice,
                    cost_nano=round(usd * 10**9 * share / sum(shares)),
                )
            )
    return rows


def _passed(organization_id: UUID, at_ms: int, dice: Random, *, cost_nano: int) -> Json:
    """One call of the days before."""
    provider = dice.choices(tuple(MODELS), (5, 4, 2))[0]
    model, _, usual_ms = MODELS[provider]
    about: Json = {
        "provider": provider,
        "model_used": model,
        "latency_ms": round(usual_ms * dice.lognormvariate(0, 0.45)),
        "cost_nano": cost_nano,
        "chance": dice.getrandbits(74),
    }
    luck = dice.random()
    if luck < 0.006:
        status, code = dice.choice(
            ((429, "rate_limit_exceeded"), (502, "upstream_failed"), (400, "max_cost_exceeded"))
        )
        gone = {"success": False, "status": status, "error_code": code, "cost_nano": 0}
        return row(organization_id, at_ms, **{**about, **gone})
    if luck < 0.03:
        return _fallback(organization_id, at_ms, chance=about["chance"])
    return row(organization_id, at_ms, **about)
