"""What a priority means now: the model that comes first, and what it costs on the own traffic."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from analytics.ledger import Ledger
from catalog.models import Deployment
from catalog.presets import TEXT, ModelPreset
from catalog.selectors import providers
from catalog.services import connect_provider, set_price
from preferences.core import Offer, Preferences, Priority, scores
from preferences.outlook import Outlook, outlook
from tenancy.core import SYSTEM
from tenancy.scope import tenant_scope
from tests.analytics.rows import row
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

CHEAP = ModelPreset("cheap", 8_192, 1_024, TEXT, 20)
SMART = ModelPreset("smart", 8_192, 1_024, TEXT, 95)
OWN = ModelPreset("own", 8_192, 1_024, TEXT, 10)


@pytest.fixture
def shop(cast: Cast) -> Cast:
    """Three providers: one cheap, one good, one local; prices in nano-USD per million tokens."""
    for preset, slug, model, nano in (
        ("openai", "alpha", CHEAP, 10**8),
        ("anthropic", "beta", SMART, 10**10),
        ("local", "gamma", OWN, 10**9),
    ):
        connect_provider(
            cast.acme.id,
            preset=preset,
            secret="sk-outlook-0123456789",
            actor=SYSTEM,
            slug=slug,
            base_url="http://127.0.0.1:9/v1" if preset == "local" else "",
            models=[model],
        )
        with tenant_scope(cast.acme.id):
            made = Deployment.objects.get(organization_id=cast.acme.id, model=model.name)
        set_price(
            made,
            input_nano=nano,
            output_nano=nano,
            source="a contract",
            as_of=date(2026, 11, 1),
            actor=SYSTEM,
        )
    return cast


def ahead(cast: Cast, **wanted: Any) -> Outlook | None:
    preferences = Preferences(**{"priority": Priority.COST, **wanted})
    with tenant_scope(cast.acme.id):
        vendors = [one for one in providers(cast.acme.id) if one.active]
        return outlook(cast.acme.id, preferences, vendors, now=timezone.now())


def write(*rows: dict[str, Any]) -> None:
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(rows)
    ledger.close()


@pytest.mark.parametrize(
    ("wanted", "model"),
    [
        ({}, "cheap"),
        ({"priority": Priority.QUALITY}, "smart"),
        ({"priority": Priority.PRIVACY}, "own"),
        ({"blocked_providers": frozenset({"alpha"})}, "own"),
        ({"preferred_providers": ("beta",)}, "smart"),
    ],
)
def test_each_wish_leads_to_its_model(shop: Cast, wanted: dict[str, Any], model: str) -> None:
    found = ahead(shop, **wanted)
    assert found is not None
    assert found.model == model
    assert found.per_thousand_nano is None


def test_nothing_may_answer(shop: Cast, cast: Cast) -> None:
    assert ahead(shop, blocked_providers=frozenset({"alpha", "beta", "gamma"})) is None


def test_the_cost_is_that_of_requests_like_the_own_ones(shop: Cast) -> None:
    now_ms = time.time_ns() // 1_000_000
    tokens = {"input_tokens": 3_000, "output_tokens": 1_000}
    write(*(row(shop.acme.id, now_ms - n, chance=n, **tokens) for n in range(3)))
    found = ahead(shop)
    assert found is not None
    # 4,000 tokens at $0.10 a million, a thousand times.
    assert found.per_thousand_nano == 4_000 * 100 * 1_000
    assert str(found).startswith("Today that is cheap at OpenAI, $0.40 per 1k requests")


def test_the_fastest_is_the_one_that_was(shop: Cast) -> None:
    now_ms = time.time_ns() // 1_000_000
    speeds = {("alpha", "cheap"): 900, ("beta", "smart"): 300, ("gamma", "own"): 600}
    write(
        *(
            row(shop.acme.id, now_ms - n, chance=n, provider=p, model_used=m, latency_ms=ms)
            for n, ((p, m), ms) in enumerate(speeds.items())
        )
    )
    found = ahead(shop, priority=Priority.SPEED)
    assert found is not None
    assert found.model == "smart"


def test_the_page_says_it(shop: Cast, as_alice: Client) -> None:
    page = as_alice.get("/enterprise-router/preferences").content.decode()
    assert "Today that is cheap at OpenAI." in page
    assert "No limit." in page


def test_limits_say_what_the_last_requests_were(shop: Cast, as_alice: Client) -> None:
    now_ms = time.time_ns() // 1_000_000
    write(
        row(shop.acme.id, now_ms, chance=1, cost_nano=30_000_000, latency_ms=700),
        row(shop.acme.id, now_ms, chance=2, cost_nano=10_000_000, latency_ms=300),
    )
    url = "/enterprise-router/preferences"
    page = as_alice.get(url).content.decode()
    assert "No limit. The dearest of the last 2 requests cost $0.03." in page
    assert "No limit. 95% of the last 2 requests took up to 700 ms." in page
    as_alice.post(f"{url}/organization/max-cost", {"value": "0.02", "was": ""})
    as_alice.post(f"{url}/organization/max-latency", {"value": "500", "was": ""})
    page = as_alice.get(url).content.decode()
    assert "At least 1 of the last 2 requests would have been refused." in page
    assert "1 of the last 2 requests took longer." in page
    # Nobody's key called, so none of these requests was alice's own.
    assert "0 of the last 0" not in as_alice.get(f"{url}?scope=mine").content.decode()


def test_a_limit_says_what_a_call_without_max_tokens_could_cost(
    shop: Cast, as_alice: Client
) -> None:
    write(row(shop.acme.id, time.time_ns() // 1_000_000, cost_nano=1, input_tokens=1_000))
    url = "/enterprise-router/preferences"
    as_alice.post(f"{url}/organization/max-cost", {"value": "0.0002", "was": ""})
    page = as_alice.get(url).content.decode()
    # 1,000 tokens in and the 1,024 of its longest answer, at $0.10 a million.
    assert "it could cost $0.0002 on the cheapest model now, cheap, so it is refused" in page
    assert "In the end, the last request cost no more." in page
    as_alice.post(f"{url}/organization/max-cost", {"value": "0.0003", "was": "0.0002"})
    page = as_alice.get(url).content.decode()
    assert "on the cheapest model now, cheap. " in page
    assert "so it is refused" not in page


@pytest.mark.parametrize("priority", Priority)
def test_scores_are_shares_of_the_best(priority: Priority) -> None:
    best = Offer(estimate_nano=1, expected_ms=1, quality=100)
    worse = replace(best, estimate_nano=4, expected_ms=4, quality=25)
    high, low = scores(priority, [best, worse])
    assert high == pytest.approx(1)
    assert low == pytest.approx(0.25)
    assert scores(priority, []) == []
