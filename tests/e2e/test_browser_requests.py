"""The list of requests in a real browser: time, live tail, keyboard, neighbors, empty lists."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import Open
from tests.e2e.pages_server import House, add_calls

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def counted(page: Page) -> str:
    """The sum above the bars."""
    return page.locator("#counted").inner_text()


def test_a_bar_narrows_the_time_and_the_address_keeps_it(open_page: Open) -> None:
    page = open_page("/requests?range=24h&status=failed")
    page.locator(".bars a").last.click()
    expect(page).to_have_url(re.compile(r"from=.*&to=.*status=failed"))
    expect(page.locator("#filter-status")).to_have_value("failed")
    number = counted(page)
    rows = page.locator("tbody tr").count()
    assert number.startswith(f"{rows} request")
    page.reload()
    assert counted(page) == number
    assert counted(open_page(page.url)) == number
    page.locator("#filter-range").select_option("7d")
    expect(page.locator("tbody tr")).to_have_count(30)
    expect(page).to_have_url(
        re.compile(r"/requests\?(range=7d&status=failed|status=failed&range=7d)$")
    )


def test_dragging_over_the_bars_chooses_their_time(open_page: Open) -> None:
    page = open_page("/requests?range=7d")
    box = page.locator("svg.bars").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 4, box["y"] + 20, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=.*to="))
    expect(page.locator("#counted")).to_contain_text("60 requests")


def test_live_rows_come_on_top_and_nothing_is_fetched_again(open_page: Open, house: House) -> None:
    page = open_page("/requests")
    asked: list[str] = []
    page.on("request", lambda r: None if "/static/" in r.url else asked.append(r.url))
    live = page.get_by_role("button", name="Live")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")
    (new,) = add_calls(house.organization.id, 1)
    expect(page.locator("tbody tr").first).to_have_id(f"r-{new}")
    expect(page.locator("tbody tr")).to_have_count(51)
    assert len(asked) == 1
    assert "/requests/live" in asked[0]
    live.click()
    add_calls(house.organization.id, 1)
    page.wait_for_timeout(1500)
    expect(page.locator("tbody tr")).to_have_count(51)
    assert len(asked) == 1


def test_the_tail_says_what_it_could_not_find(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.views._in_time", lambda read: None)
    page = open_page("/requests")
    page.set_viewport_size({"width": 390, "height": 800})
    live = page.get_by_role("button", name="Live")
    before = live.get_attribute("data-live")
    live.click()
    expect(page.locator("#live-state")).to_contain_text("missing: reload the page")
    # The next stream does not look for it again.
    assert live.get_attribute("data-live") != before
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_hidden_tab_listens_to_nothing(open_page: Open, house: House) -> None:
    page = open_page("/requests?status=ok")
    page.get_by_role("button", name="Live").click()
    hide = "Object.defineProperty(document, 'hidden', {get: () => %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate((hide % "true") + tell)
    (new,) = add_calls(house.organization.id, 1)
    page.wait_for_timeout(1500)
    expect(page.locator(f"#r-{new}")).to_have_count(0)
    page.evaluate((hide % "false") + tell)
    expect(page.locator("tbody tr").first).to_have_id(f"r-{new}")


def test_the_keyboard_walks_the_list_and_opens_a_request(open_page: Open, house: House) -> None:
    page = open_page("/requests")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/requests/{house.calls[1]}$"))


def test_neighbors_and_the_way_back_keep_the_filters(open_page: Open) -> None:
    # No room for a panel: rows lead to pages.
    page = open_page("/requests?status=fallback&range=7d", width=1100)
    ids = [row.get_attribute("id") for row in page.locator("tbody tr").all()]
    page.locator("tbody tr").nth(1).get_by_role("link").click(force=True)
    page.get_by_role("link", name="Older →").click()
    expect(page.locator("h1")).to_contain_text(str(ids[2])[2:])
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_contain_text(str(ids[1])[2:])
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_contain_text(str(ids[0])[2:])
    expect(page.get_by_role("link", name="← Newer")).to_have_count(0)
    page.get_by_label("Breadcrumb").get_by_role("link", name="Requests").click()
    expect(page.locator("#filter-status")).to_have_value("fallback")
    expect(page.locator("#filter-range")).to_have_value("7d")


def test_an_empty_time_leads_to_the_nearest_data(open_page: Open) -> None:
    page = open_page("/requests?from=2026-01-01&to=2026-01-02")
    expect(page.get_by_role("heading", name="No request matches")).to_be_visible()
    page.locator(".empty p a").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.goto("/requests?q=nobody-said-this")
    expect(page.get_by_role("heading", name="No request matches")).to_be_visible()
    page.locator(".empty").get_by_role("link", name="Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(50)


def test_a_tag_is_one_click_away_and_removed_by_another(open_page: Open, house: House) -> None:
    page = open_page(f"/requests/{house.calls[1]}")
    page.get_by_role("link", name="legal").click()
    expect(page).to_have_url(re.compile(r"tag\.team=legal"))
    expect(page.locator("tbody tr")).to_have_count(15)
    page.get_by_role("button", name="Remove team: legal").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page).not_to_have_url(re.compile("tag"))
