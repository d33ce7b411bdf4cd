"""The Analytics tab: its numbers, its links, its figures."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from analytics import charts
from analytics.comparison import HIDDEN, compare
from analytics.dashboard import FIGURES
from analytics.ledger import Ledger
from analytics.provider_day import provider_days
from analytics.series import Route
from catalog.services import connect_sandbox
from lib.figures import DASH, count, percent
from tenancy.core import SYSTEM
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


def test_tables_of_charts_add_up_in_one_precision(calls: Cast) -> None:
    browser = signed_in(calls.alice)
    tables = {
        name: browser.get(f"{PATH}/fig/{name}.json?range=24h&compare=prev").json()["table"]
        for name in FIGURES
    }
    assert "total" not in tables["latency"]
    assert tables["requests"]["columns"] == [
        *("Time", "Succeeded", "Failed", "Previous period", "Total")
    ]
    # The time before is no part of this one.
    assert tables["requests"]["total"] == ["Total", "3", "2", "0", "5"]
    assert tables["errors"]["total"] == ["Total", "1", "0", "1", "2"]
    assert tables["fallbacks"]["total"] == ["Total", "2"]
    spend = tables["spend"]
    assert spend["columns"] == ["Time", "sandbox", "sandbox-claude", "Previous period", "Total"]
    assert spend["total"] == ["Total", "$0.000736", "$0.000368", "$0.00", "$0.001103"]
    column = [row[1] for row in spend["rows"]]
    assert {len(text) for text in column} == {len("$0.000736")}


@pytest.mark.django_db
def test_nothing_yet_leads_to_the_first_request(as_alice: Client) -> None:
    html = as_alice.get(PATH).content.decode()
    assert "No requests yet" in html
    assert 'href="/get-started"' in html


def lines(cast: Cast, query: str = "range=24h") -> dict[str, Any]:
    return {line.name: line for line, *_ in page(cast, query).context["compared"]}


def test_providers_read_the_same_on_both_pages(calls: Cast) -> None:
    rows = lines(calls)
    with tenant_scope(calls.acme.id):
        days = provider_days(calls.acme.id, timezone.now())
    assert set(rows) - {""} == set(days) == {"sandbox", "sandbox-claude"}
    for slug, day in days.items():
        shown = rows[slug]
        told = (count(day.calls), percent(day.success), percent(day.fell_back))
        assert told == (shown.calls, shown.success, shown.fallback)
    # Of the four that were tried there first, two went on to another.
    assert rows["sandbox"].success == "100%"
    assert (rows["sandbox"].fallback, rows["sandbox"].why[:6]) == ("50.00%", "2 of 4")
    found, _ = compare({}, {}, [Route("groq", "openai", 3)])
    assert [(one.name, one.calls, one.success, one.fallback) for one in found] == [
        ("groq", "0", DASH, "100%")
    ]


@pytest.mark.parametrize(
    ("query", "is_known"),
    [
        ("", True),
        ("&tag.team=legal&results=now", True),
        ("&provider=sandbox&provider=sandbox-claude", False),
        ("&model=sandbox-large", False),
        ("&status=ok", False),
        ("&status=fallback", False),
        ("&fallback_from=sandbox", False),
    ],
)
def test_fell_back_means_one_thing_or_is_not_said(calls: Cast, query: str, is_known: bool) -> None:
    told = [line.why for name, line in lines(calls, f"range=24h{query}").items() if name]
    assert told
    assert [why != HIDDEN for why in told] == [is_known] * len(told)


@pytest.mark.parametrize(
    "query", ["range=24h", "range=24h&status=failed", "range=7d&provider=sandbox"]
)
def test_the_lines_add_up_to_the_key_figures(calls: Cast, query: str) -> None:
    context = page(calls, query).context
    figures = {one.name: one.value for one, _ in context["figures"]}
    rows, added = [line for line, *_ in context["compared"]], context["added"]
    assert sum(int(line.calls) for line in rows) == int(added.calls) == int(figures["requests"])
    costs = [usd(line.cost) for line in rows]
    # Each is rounded by itself.
    assert sum(costs) == pytest.approx(usd(added.cost), abs=len(costs) * 0.5e-6)
    assert usd(added.cost) == pytest.approx(usd(figures["spend"]), rel=0.05)
    told = (added.success, added.p95, added.fallback)
    assert told == (figures["success"], figures["p95"], figures["fallbacks"])
    assert len({line.cost.partition(".")[2].__len__() for line in [*rows, added]}) == 1


def usd(text: str) -> float:
    return float(text.strip("$"))


def test_what_nobody_answered_is_a_line_that_leads_to_it(calls: Cast) -> None:
    html = page(calls).content.decode()
    assert ">No provider</a></th>" in html
    found = [
        (line.calls, there) for line, _, there in page(calls).context["compared"] if not line.name
    ]
    assert found == [("2", "/requests?range=24h&provider=~none")]


def test_money_that_nobody_charges_is_said_under_spend(calls: Cast) -> None:
    assert "sandbox, which nobody charges" not in page(calls).content.decode()
    with tenant_scope(calls.acme.id):
        connect_sandbox(calls.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([row(calls.acme.id, time.time_ns() // 1_000_000, chance=9, provider="openai")])
    ledger.close()
    # Three answers came from the sandbox; the fourth is paid.
    assert page(calls).context["unpaid"] == "$0.0011"
    assert "sandbox, which nobody charges" in page(calls).content.decode()


def test_routes_that_are_not_listed_are_counted(calls: Cast) -> None:
    assert "more route" not in page(calls).content.decode()
    now_ms = time.time_ns() // 1_000_000
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(
        [
            after_fallback(calls.acme.id, now_ms - 9000, chance=20 + i, provider=f"other-{i % 9}")
            for i in range(18)
        ]
    )
    ledger.close()
    shown = page(calls)
    assert len(shown.context["routes"]) == charts.ROUTES_MAX
    assert shown.context["more_routes"] == "3 more routes, 4 requests"
    assert "And 3 more routes, 4 requests." in shown.content.decode()
    figure = signed_in(calls.alice).get(f"{PATH}/fig/fallbacks.json?range=24h").json()
    assert figure["data"][0]["textangle"] == 0


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
    expected += [(there, line.calls) for line, _, there in shown["compared"]]
    expected += [(link, count) for _, link, count in shown["routes"]]
    wrong = {}
    for link, number in expected:
        found = signed_in(calls.alice).get(link)
        listed = found.content.decode().count('<tr class="opens"')
        if (found.context.get("total", "0"), listed) != (number, int(number)):
            wrong[link] = (number, found.context.get("total"), listed)
    assert wrong == {}
