"""The Analytics tab: its numbers, its links, its figures."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from analytics.dashboard import FIGURES
from analytics.ledger import Ledger
from analytics.overview import provider_rows
from analytics.provider_day import provider_days
from analytics.series import Route
from lib.figures import DASH, count, percent
from tenancy.scope import tenant_scope
from tests.analytics.rows import after_fallback, failed, refused, row
from tests.conftest import Cast, signed_in

PATH = "/enterprise-router/analytics"


@pytest.fixture
def calls(committed: Cast) -> Cast:
    now_ms = time.time_ns() // 1_000_000
    organization = committed.acme.id
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(
        [
            row(organization, now_ms - 1000, chance=1),
            row(organization, now_ms - 2000, chance=2, latency_ms=900),
            after_fallback(organization, now_ms - 3000, chance=3),
            failed(organization, now_ms - 4000, chance=4),
            refused(organization, now_ms - 5000, chance=5),
            row(committed.rival.id, now_ms - 6000, chance=6, cost_nano=77_000_000_000),
        ]
    )
    ledger.close()
    return committed


def page(cast: Cast, query: str = "range=24h", **headers: str) -> Any:
    return signed_in(cast.alice).get(f"{PATH}?{query}", headers=headers)


def test_the_numbers_are_those_of_the_organizations_own_calls(calls: Cast) -> None:
    html = page(calls).content.decode()
    found = {one.name: one.value for one, _ in page(calls).context["figures"]}
    assert found == {
        "spend": "$0.0011",
        "requests": "5",
        "success": "60.00%",
        "p95": "2.29 s",
        "per_1k": "$0.22",
        "fallbacks": "40.00%",
    }
    assert "Europe/Berlin" in html
    assert "Data up to" in html
    assert "77" not in found["spend"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_its_finding(calls: Cast, name: str) -> None:
    browser = signed_in(calls.alice)
    answer = browser.get(f"{PATH}/fig/{name}.json?range=24h")
    assert answer.status_code == 200
    figure = answer.json()
    assert figure["label"].count(". ") == 1
    assert not figure["empty"]
    assert figure["data"]
    assert figure["table"]["rows"]
    assert all(len(row) == len(figure["table"]["columns"]) for row in figure["table"]["rows"])


@pytest.mark.django_db
def test_nothing_yet_leads_to_the_first_request(as_alice: Client) -> None:
    html = as_alice.get(PATH).content.decode()
    assert "No requests yet" in html
    assert 'href="/get-started"' in html


def test_providers_read_the_same_on_both_pages(calls: Cast) -> None:
    rows = {row.provider: row for row, *_ in page(calls).context["providers"]}
    with tenant_scope(calls.acme.id):
        days = provider_days(calls.acme.id, timezone.now())
    assert set(rows) == set(days) == {"sandbox", "sandbox-claude"}
    for slug, shown in rows.items():
        day = days[slug]
        told = (count(day.calls), percent(day.success), percent(day.fell_back))
        assert told == (shown.calls, shown.success, shown.fallback)
    # Of the four that were tried there first, two went on to another.
    assert rows["sandbox"].success == "100%"
    assert rows["sandbox"].fallback == "50.00%"
    # Of calls that ended there alone, nobody can say what went away from there.
    (alone,) = (one for one, *_ in page(calls, "range=24h&provider=sandbox").context["providers"])
    assert alone.fallback == DASH
    lost = provider_rows({}, {}, [Route("groq", "openai", 3)])
    assert [(one.provider, one.calls, one.success, one.fallback) for one in lost] == [
        ("groq", "0", DASH, "100%")
    ]


@pytest.mark.parametrize(
    "query",
    [
        "range=24h",
        "range=7d&compare=prev&grain=day",
        "range=24h&provider=sandbox&provider=sandbox-claude",
        "range=24h&model=sandbox-large",
        "range=24h&status=ok",
        "range=24h&status=failed",
        "range=24h&status=fallback",
        "range=24h&status=5xx",
        "range=24h&fallback_from=sandbox",
        "range=24h&fallback_from=sandbox&status=ok",
        "range=24h&provider=~none",
    ],
)
def test_every_number_leads_to_as_many_requests(calls: Cast, query: str) -> None:
    shown = page(calls, query).context
    totals = {one.name: one for one, _ in shown["figures"]}
    calls_of = {
        "spend": totals["requests"].value,
        "requests": totals["requests"].value,
        "per_1k": totals["requests"].value,
        # Of those that succeeded none failed, and all are behind the number.
        "success": totals["requests"].value
        if "=ok" in query
        else totals["success"].note.partition(" ")[0],
        "fallbacks": totals["fallbacks"].note.partition(" ")[0],
    }
    expected = [(link, calls_of[one.name]) for one, link in shown["figures"] if one.name != "p95"]
    expected += [(there, row.calls) for row, _, there in shown["providers"]]
    expected += [(link, count) for _, link, count in shown["routes"]]
    wrong = {}
    for link, number in expected:
        found = signed_in(calls.alice).get(link)
        listed = found.content.decode().count('<tr class="opens"')
        if (found.context.get("total", "0"), listed) != (number, int(number)):
            wrong[link] = (number, found.context.get("total"), listed)
    assert wrong == {}
