"""The Analytics tab in a real browser: numbers, filters in the address, charts that may fail."""

from __future__ import annotations

import re
import time

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, expect

from analytics.ledger import Ledger
from tests.analytics.rows import row
from tests.e2e.browsing import Open
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

PATH = "/enterprise-router/analytics"
BUSY = ".chart[aria-busy=true]"


def drawn(page: Page) -> None:
    """Every chart of the page, each brought into view, has drawn or said that it cannot."""
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_attribute("aria-busy", "false")


def number(page: Page, label: str) -> str:
    """One of the six numbers."""
    has = page.locator(".k", has_text=re.compile(f"^{label}$"))
    return page.locator(".kpis li").filter(has=has).locator("strong").inner_text()


def test_numbers_stand_without_plotly_and_charts_fail_one_by_one(
    open_page: Open, house: House
) -> None:
    page = open_page("/enterprise-router/preferences")
    page.context.route("**/fig/errors.json*", lambda route: route.fulfill(status=500))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="Analytics").first.click()
    expect(page).to_have_title(re.compile("Analytics"))
    drawn(page)
    assert number(page, "Requests") not in ("", "0")
    assert sum("plotly" in url for url in asked) == 1
    failed = page.locator("#f-errors")
    expect(failed).to_contain_text("could not be loaded")
    expect(page.locator("#f-spend .main-svg").first).to_be_visible()
    expect(page.locator("#f-spend")).to_have_attribute("aria-label", re.compile("in all;"))
    page.context.unroute("**/fig/errors.json*")
    failed.get_by_role("button", name="Retry").click()
    expect(failed).to_have_attribute("aria-busy", "false")
    expect(failed.locator(".main-svg").first).to_be_visible()


def state(page: Page) -> tuple[list[str], ...]:
    """The six numbers, and what the filter bar says."""
    menus = page.locator("#filters select").evaluate_all("all => all.map((one) => one.value)")
    boxes = page.locator("#filters :checked:not(option)").evaluate_all(
        "all => all.map((one) => one.name + one.value)"
    )
    return page.locator(".kpis strong").all_inner_texts(), menus, boxes


def test_filters_live_in_the_address_and_lead_to_their_requests(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    first = state(page)
    page.locator("#filter-range").select_option("7d")
    expect(page).to_have_url(re.compile(r"range=7d"))
    page.locator("#filters .pick summary").click()
    page.get_by_label("sandbox", exact=True).check()
    expect(page).to_have_url(re.compile(r"provider=sandbox"))
    page.get_by_label("Compare").check()
    expect(page).to_have_url(re.compile(r"\?range=7d&compare=prev&provider=sandbox$"))
    narrow = state(page)
    assert narrow != first
    page.reload()
    assert state(page) == narrow
    assert state(open_page(page.url)) == narrow
    page.get_by_role("row", name=re.compile("^sandbox ")).get_by_title("Show these").click()
    expect(page).to_have_url(re.compile(r"/requests\?range=7d&provider=sandbox$"))
    expect(page.locator("#counted")).to_contain_text(f"{narrow[0][1]} request")
    page.go_back()
    expect(page).to_have_url(re.compile(r"compare=prev"))
    assert state(page) == narrow
    for _ in range(3):
        page.go_back()
    expect(page).to_have_url(re.compile(r"range=24h$"))
    expect(page.locator("#filter-range")).to_have_value("24h")
    assert state(page) == first


def test_the_last_of_three_fast_changes_wins(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if not held:
            held.append(route)
            page.wait_for_timeout(400)
        route.continue_()

    page.route("**/analytics?*status=ok*", hold)
    for status in ("ok", "5xx", "failed"):
        page.locator("#filter-status").select_option(status)
    expect(page).to_have_url(re.compile("status=failed"))
    page.wait_for_timeout(600)
    expect(page).to_have_url(re.compile("status=failed"))
    assert number(page, "Success rate") in ("0%", "0.00%")


def test_the_last_of_fast_steps_back_wins(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    for span in ("7d", "30d"):
        page.locator("#filter-range").select_option(span)
        expect(page).to_have_url(re.compile(f"range={span}"))
    held: list[Route] = []
    page.route("**/analytics?range=7d*", lambda route: held.append(route))
    page.evaluate("history.back()")
    page.wait_for_function("location.search.includes('7d')")
    page.evaluate("history.back()")
    expect(page.locator("#filter-range")).to_have_value("24h")
    for route in held:
        route.continue_()
    page.wait_for_timeout(600)
    expect(page.locator("#filter-range")).to_have_value("24h")


def test_zoom_sets_the_time_and_a_chart_is_a_table_too(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    drawn(page)
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#f-spend .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=.*to="))
    drawn(page)
    button = page.locator("[data-table=f-requests]")
    button.click()
    expect(button).to_have_text("Show as chart")
    expect(page.locator("#f-requests table tbody tr").first).to_be_visible()


def test_tiny_amounts_are_dollars_on_the_axis_in_hovers_and_in_the_file(
    open_page: Open, house: House
) -> None:
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    now_ms = time.time_ns() // 1_000_000
    ledger.write([row(house.new_organization.id, now_ms, cost_nano=50_000)])
    ledger.close()
    page = open_page(f"{PATH}?range=24h&grain=hour", user=house.newcomer)
    drawn(page)
    page.evaluate("scrollTo(0, 0)")
    assert "$0.00004" in page.locator("#f-spend .ytick text").all_text_contents()
    box = page.locator("#f-spend .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60)
    expect(page.locator("#f-spend .hoverlayer")).to_contain_text("sandbox : $0.00005")
    menu = page.get_by_label("Download Spend by provider")
    menu.focus()
    page.keyboard.press("Enter")
    first = page.get_by_role("button", name="Download PNG")
    expect(first).to_be_focused()
    with page.expect_download() as picture:
        page.keyboard.press("Enter")
    assert picture.value.suggested_filename == "spend.png"
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    menu.press("Enter")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowDown")
    with page.expect_download() as sheet:
        page.keyboard.press("Enter")
    header, *lines = sheet.value.path().read_text().splitlines()
    assert header == "time,sandbox"
    assert lines[-1].endswith("+00:00,0.00005")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(open_page: Open, theme: str, width: int) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = open_page(
        f"{PATH}?range=7d&compare=prev", width=width, color_scheme=theme, bypass_csp=True
    )
    drawn(page)
    assert run_axe(page) == []
    page.set_viewport_size({"width": 320, "height": 700})
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def test_it_works_without_javascript(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h", java_script_enabled=False)
    page.locator("#filter-status").select_option("failed")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("status=failed"))
    assert number(page, "Success rate") in ("0%", "0.00%")


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [(PATH, "#filter-tag", "tag.team=legal"), ("/requests", "#filter-q", "q=team%3Dlegal")],
)
def test_enter_asks_once_for_what_is_filtered_alone(
    open_page: Open, path: str, field: str, said: str
) -> None:
    page = open_page(path)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator(field).fill("team=legal")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{re.escape(said)}$"))
    expect(page.locator("#busy")).to_be_hidden()
    page.wait_for_load_state("networkidle")
    (address,) = (url for url in asked if url.partition("?")[0].endswith(path))
    assert "=&" not in address
    # Enter on what has not changed asks again.
    page.locator(field).press("Enter")
    page.wait_for_timeout(300)
    assert asked.count(address) == 2
