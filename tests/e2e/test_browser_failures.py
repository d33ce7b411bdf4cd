"""What a page does when the server or the way to it fails: it says so, stays, and loses nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from analytics import views
from tests.e2e.browsing import PREFERENCES, Open, complaints
from tests.e2e.pages_server import House
from tests.e2e.test_browser_analytics import PATH as ANALYTICS
from tests.e2e.test_browser_analytics import drawn, number

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OFFLINE = "You seem to be offline. Nothing was changed."
BROKEN = "That did not work (500). Nothing was changed."


@contextmanager
def failing(page: Page, how: str, addresses: str) -> Iterator[str]:
    """Requests to these addresses fail while the block runs; what the page should say."""
    if how == "offline":
        page.context.set_offline(True)
        yield OFFLINE
        page.context.set_offline(False)
    else:
        page.route(addresses, lambda route: route.fulfill(status=500, body="broken"))
        yield BROKEN
        page.unroute(addresses)


def told(page: Page, text: str) -> None:
    """One notice says so, and goes."""
    expect(page.locator("#toasts .toast")).to_have_text(re.compile(re.escape(text)))
    page.locator("#toasts").get_by_role("button", name="Dismiss").click()
    expect(page.locator("h1")).to_be_visible()


@pytest.mark.parametrize("how", ["offline", "500"])
def test_a_preference_that_is_not_saved_goes_back_and_says_so(open_page: Open, how: str) -> None:
    page = open_page(PREFERENCES)
    cost = page.locator("#max-cost")
    cost.fill("0.05")
    expect(page.locator("#max-cost-after")).to_contain_text("Saved")
    page.get_by_label("Quality").check(force=True)
    expect(page.locator("#priority-after")).to_contain_text("Saved")
    page.locator("#add-blocked").click()
    page.get_by_role("button", name="Groq", exact=True).click()
    groq = page.get_by_role("button", name="Remove Groq from blocked")
    expect(groq).to_be_visible()
    with failing(page, how, "**/preferences/organization/**") as words:
        cost.fill("0.07")
        told(page, words)
        expect(cost).to_have_value("0.05")
        # Not check(): the choice is back before that looks at it.
        page.get_by_label("Speed").click(force=True)
        told(page, words)
        expect(page.get_by_label("Quality")).to_be_checked()
        groq.click()
        told(page, words)
        expect(groq).to_be_visible()
    cost.fill("0.09")
    expect(page.locator("#max-cost-after")).to_contain_text("Saved")
    page.reload()
    expect(cost).to_have_value("0.09")
    expect(page.get_by_label("Quality")).to_be_checked()
    expect(groq).to_be_visible()


@pytest.mark.parametrize("path", ["/requests", ANALYTICS])
def test_filters_that_fail_stay_those_of_the_page(open_page: Open, path: str) -> None:
    page = open_page(f"{path}?range=24h")
    page.locator("#filter-status").select_option("failed")
    expect(page).to_have_url(re.compile("status=failed"))
    address = page.url
    with failing(page, "500", f"**{path}?*") as words:
        page.locator("#filter-status").select_option("ok")
        told(page, words)
    expect(page.locator("#filter-status")).to_have_value("failed")
    assert page.url == address
    page.locator("#filter-range").select_option("7d")
    expect(page).to_have_url(re.compile("range=7d.*status=failed|status=failed.*range=7d"))


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Nobody can read the table while the block runs."""
    admin, name = os.environ["TEST_ADMIN_URL"], settings.DATABASES["default"]["NAME"]
    with psycopg.connect(admin.rpartition("/")[0] + f"/{name}") as owner:
        owner.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        owner.rollback()


def test_a_list_that_cannot_be_read_says_so_and_is_retried(
    open_page: Open, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "READ_MS_MAX", 300)
    page = open_page("/requests?status=failed")
    with locked("router_analytics"):
        page.get_by_role("link", name="Refresh").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The requests could not be loaded")
        # The rest of the page stands.
        expect(page.locator("#filter-status")).to_have_value("failed")
        page.reload()
        expect(alert).to_contain_text("The requests could not be loaded")
    alert.get_by_role("link", name="Retry").click()
    expect(page.locator("tbody tr")).to_have_count(30)


def test_charts_that_fail_leave_the_numbers_and_the_others(open_page: Open) -> None:
    page = open_page("about:blank")
    page.route("**/vendor/plotly*", lambda route: route.abort())
    page.route("**/fig/errors.json*", lambda route: route.fulfill(status=500))
    page.route("**/fig/latency.json*", lambda route: route.abort())
    page.goto(f"{ANALYTICS}?range=24h")
    drawn(page)
    assert number(page, "Requests") == "60"
    charts = page.locator(".chart")
    expect(charts.get_by_text("could not be loaded")).to_have_count(5)
    page.unroute("**/vendor/plotly*")
    for button in charts.get_by_role("button", name="Retry").all()[::-1]:
        button.click()
    expect(page.locator(".chart .main-svg:first-child")).not_to_have_count(0)
    drawn(page)
    for name in ("spend", "requests", "fallbacks"):
        expect(page.locator(f"#f-{name} .main-svg").first).to_be_visible()
    for name in ("errors", "latency"):
        expect(page.locator(f"#f-{name}")).to_contain_text("could not be loaded")
    page.unroute("**/fig/latency.json*")
    page.locator("#f-latency").get_by_role("button", name="Retry").click()
    expect(page.locator("#f-latency .main-svg").first).to_be_visible()


def test_back_over_a_search_says_nothing_wrong(open_page: Open) -> None:
    page = open_page("/members")
    said = complaints(page)
    page.locator("main").get_by_role("searchbox").first.press_sequentially("zzz")
    expect(page).to_have_url(re.compile("zzz"))
    page.get_by_role("link", name="Requests", exact=True).first.click()
    page.go_back()
    expect(page.locator("main").get_by_role("searchbox").first).to_have_value("zzz")
    page.go_back()
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_timeout(200)
    assert said == []
