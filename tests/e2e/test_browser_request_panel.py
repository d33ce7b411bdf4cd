"""One request beside the list, in a real browser: keyboard, history, narrow windows, no scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browsing import Open, complaints
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

LIST = "/requests?range=7d"
ONE = re.compile(r"/requests/[0-9a-f-]{36}\?range=7d$")


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


def shows(page: Page, number: int) -> None:
    """The panel holds the row of that number, and so does the address."""
    row = rows(page).nth(number)
    id_ = (row.get_attribute("id") or "").removeprefix("r-")
    expect(page.locator("#call-detail .title")).to_have_text(f"Request {id_}")
    expect(page).to_have_url(re.compile(rf"/requests/{id_}\?"))
    expect(row).to_have_attribute("aria-current", "true")
    expect(page).to_have_title(re.compile(f"^Request {id_}"))


def test_a_row_opens_beside_the_list_and_the_keys_go_on(open_page: Open) -> None:
    page = open_page(LIST)
    said = complaints(page)
    panel = page.locator("#call-panel")
    expect(panel).to_be_hidden()
    rows(page).nth(1).locator("a").click()
    shows(page, 1)
    expect(page.get_by_role("button", name="Close the request")).to_be_focused()
    for key, number in (("j", 2), ("j", 3), ("k", 2)):
        page.keyboard.press(key)
        shows(page, number)
    panel.get_by_role("link", name="Older").click()
    shows(page, 3)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page).to_have_url(re.compile(re.escape(LIST) + "$"))
    expect(rows(page).nth(3).locator("a")).to_be_focused()
    expect(page).to_have_title(re.compile("^Requests"))
    page.keyboard.press("j")
    expect(rows(page).nth(4).locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    shows(page, 4)
    page.get_by_role("button", name="Close the request").click()
    expect(panel).to_be_hidden()
    expect(rows(page).nth(4).locator("a")).to_be_focused()
    assert said == []


def test_back_closes_it_and_a_reload_opens_the_page(open_page: Open) -> None:
    page = open_page(LIST)
    first = rows(page).first.get_attribute("id")
    rows(page).nth(2).locator("a").click()
    shows(page, 2)
    page.go_back()
    expect(page.locator("#call-panel")).to_be_hidden()
    expect(page).to_have_url(re.compile(re.escape(LIST) + "$"))
    page.go_forward()
    shows(page, 2)
    page.reload()
    expect(page.locator("h1")).to_have_text(re.compile("^Request "))
    expect(page).to_have_url(ONE)
    expect(page.locator("#call-panel")).to_have_count(0)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Requests")
    expect(rows(page).first).to_have_attribute("id", first or "")
    rows(page).nth(2).locator("a").click()
    shows(page, 2)


def test_filters_close_it(open_page: Open) -> None:
    page = open_page(LIST)
    rows(page).first.locator("a").click()
    shows(page, 0)
    page.locator("#filter-status").select_option("failed")
    expect(page.locator("#call-panel")).to_be_hidden()
    expect(page).to_have_url(re.compile("/requests\\?.*status=failed"))
    page.go_back()
    expect(page.locator("h1")).to_have_text(re.compile("^Request"))


def test_where_there_is_no_room_or_another_tab_is_wanted_the_page_opens(open_page: Open) -> None:
    page = open_page(LIST, width=1100)
    rows(page).first.locator("a").click()
    expect(page.locator("h1")).to_have_text(re.compile("^Request "))
    page = open_page(LIST)
    with page.context.expect_page() as opened:
        rows(page).first.locator("a").click(modifiers=["ControlOrMeta"])
    expect(opened.value.locator("h1")).to_have_text(re.compile("^Request "))
    expect(page.locator("#call-panel")).to_be_hidden()
    page = open_page(LIST, java_script_enabled=False)
    expect(page.locator("#call-panel")).to_be_hidden()
    rows(page).first.locator("a").click()
    expect(page.locator("h1")).to_have_text(re.compile("^Request "))


def test_what_cannot_be_shown_beside_opens_as_a_page(open_page: Open) -> None:
    page = open_page(LIST)
    page.context.clear_cookies()
    rows(page).first.locator("a").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, house: House, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = open_page(LIST, color_scheme=theme, bypass_csp=True)
    for number in range(4):
        rows(page).nth(number).locator("a").evaluate("link => link.click()")
        shows(page, number)
        assert run_axe(page) == []
