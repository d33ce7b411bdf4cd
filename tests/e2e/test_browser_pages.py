"""Using the pages in a real browser: keyboard, saving, going back, and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.browsing import PREFERENCES, Open
from tests.e2e.pages_server import House, add_calls

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_field_saves_by_itself_and_keeps_the_caret(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    page.locator("#max-cost").press_sequentially("0.05")
    status = page.locator("#max-cost-after[role=status]")
    expect(status).to_contain_text("Saved")
    assert page.evaluate("document.activeElement.id") == "max-cost"
    expect(page.locator("#last-change")).to_contain_text("jana")
    page.reload()
    expect(page.locator("#max-cost")).to_have_value("0.05")


def test_a_threshold_that_today_is_over_says_so_at_once(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    banner = page.locator("#overspend")
    expect(banner).to_be_hidden()
    page.locator("#cost-threshold").fill("0.001")
    expect(page.locator("#cost-threshold-after")).to_contain_text("Saved")
    expect(banner).to_contain_text("over the daily threshold of $0.001. Requests are not stopped.")
    assert page.evaluate("document.activeElement.id") == "cost-threshold"
    page.locator("#cost-threshold").fill("900000")
    expect(banner).to_be_hidden()
    page.locator("#cost-threshold").fill("0.001")
    banner.get_by_role("link", name="Show today's requests").click()
    expect(page).to_have_url(re.compile(r"/requests\?range=today$"))
    expect(page.locator("#filter-range")).to_have_value("today")
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(banner).to_be_visible()


def test_the_first_request_shows_up_without_a_reload(open_page: Open, house: House) -> None:
    page = open_page("/requests?", user=house.newcomer)
    waiting = page.get_by_text("Waiting for your first request…")
    expect(waiting).to_be_visible()
    add_calls(house.new_organization.id, 1)
    expect(page.get_by_text("Your first request is here.")).to_be_visible(timeout=4000)
    expect(waiting).to_have_count(0)
    page.get_by_role("link", name="Show it").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_undo_takes_a_save_back(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    page.get_by_label("Quality").check(force=True)
    page.locator("#priority-after").get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Balanced")).to_be_checked()
    page.reload()
    expect(page.get_by_label("Balanced")).to_be_checked()


def test_an_invalid_value_is_explained_and_not_stored(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    field = page.locator("#max-latency")
    field.fill("20")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_attribute("aria-describedby", "max-latency-after")
    expect(page.locator("#max-latency-after")).to_contain_text("Enter 50 to 600,000 ms.")
    field.fill("200")
    expect(page.locator("#max-latency-after")).to_contain_text("Saved")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    field.fill("19")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.reload()
    expect(field).to_have_value("200")


def test_a_saved_number_is_shown_as_it_is_stored_once_its_field_is_left(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    field = page.locator("#cost-threshold")
    field.fill("1,000")
    expect(page.locator("#cost-threshold-after")).to_contain_text("no commas, such as 400")
    field.fill("$0400.50")
    expect(page.locator("#cost-threshold-after")).to_contain_text("Saved")
    expect(field).to_have_value("$0400.50")
    page.locator("#max-latency").focus()
    expect(field).to_have_value("400.5")


def test_two_people_on_one_field_get_to_choose(open_page: Open, house: House) -> None:
    mine, theirs = open_page(PREFERENCES), open_page(PREFERENCES, user=house.admin)
    theirs.locator("#max-cost").fill("0.10")
    expect(theirs.locator("#max-cost-after")).to_contain_text("Saved")
    mine.locator("#max-cost").fill("0.05")
    told = mine.locator("#max-cost-after")
    expect(told).to_contain_text(re.compile(r"ravi-\S+ changed this to \$0\.10"))
    told.get_by_role("button", name="Use $0.10").click()
    expect(mine.locator("#max-cost")).to_have_value("0.1")
    theirs.locator("#max-cost").fill("0.20")
    expect(theirs.locator("#max-cost-after")).to_contain_text("Saved")
    mine.locator("#max-cost").fill("0.05")
    told.get_by_role("button", name="Keep yours").click()
    expect(told).to_contain_text("Saved")
    theirs.reload()
    expect(theirs.locator("#max-cost")).to_have_value("0.05")


def test_providers_are_moved_and_removed_by_keyboard(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    page.locator("#add-preferred").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Groq", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove Groq from preferred")).to_be_visible()
    page.locator("#add-blocked").click()
    page.get_by_role("button", name="Groq (now preferred)").click()
    expect(page.locator("#f-providers")).to_contain_text("Groq moved from preferred to blocked.")
    remove = page.get_by_role("button", name="Remove Groq from blocked")
    remove.focus()
    page.keyboard.press("Enter")
    expect(remove).to_have_count(0)
    expect(page.locator("#f-providers")).to_be_focused()


def test_the_scope_changes_without_a_new_document_and_back_works(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    page.evaluate("window.same = true")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="My preferences").click()
    expect(page.get_by_label("As the organization")).to_be_checked()
    assert page.evaluate("window.same") is True
    assert len([url for url in asked if "/static/" not in url]) == 1
    expect(page).to_have_url(re.compile(r"scope=mine$"))
    page.go_back()
    expect(page.get_by_label("As the organization")).to_have_count(0)
    expect(page.locator("h1")).to_have_count(1)
    page.locator("#max-cost").fill("0.05")
    expect(page.locator("#max-cost-after")).to_contain_text("Saved")


def test_filters_address_and_rows_agree_after_back(open_page: Open) -> None:
    page = open_page("/requests")
    page.locator("#filter-status").focus()
    page.locator("#filter-status").select_option("failed")
    expect(page).to_have_url(re.compile(r"/requests\?status=failed$"))
    expect(page.locator("#filter-status")).to_be_focused()
    page.locator("#filter-provider").click()
    page.get_by_label("sandbox", exact=True).check()
    expect(page.get_by_text("No request matches")).to_be_visible()
    page.go_back()
    expect(page.locator("#filter-status")).to_have_value("failed")
    expect(page.locator("#filter-provider")).to_have_text("All providers")
    expect(page.locator("tbody tr")).to_have_count(30)
    page.go_back()
    expect(page.locator("#filter-status")).to_have_value("")
    expect(page.locator("tbody tr")).to_have_count(50)
    # htmx keeps the last address there; a copy of a page would stay behind on a shared computer.
    assert "<" not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_the_last_of_fast_filter_changes_wins(open_page: Open) -> None:
    page = open_page("/requests")

    def _late(route: Route) -> None:
        page.wait_for_timeout(600)
        route.continue_()

    page.route("**/requests?status=failed", _late)
    page.locator("#filter-status").select_option("failed")
    page.locator("#filter-status").select_option("fallback")
    expect(page.locator("tbody tr")).to_have_count(30)
    page.wait_for_timeout(900)
    expect(page).to_have_url(re.compile(r"status=fallback$"))
    expect(page.locator("tbody .badge").first).to_contain_text(re.compile("fallback|failed"))


def test_older_and_newer_walk_the_list_and_a_row_opens(open_page: Open, house: House) -> None:
    page = open_page("/requests")
    page.get_by_role("link", name="Older →").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.get_by_role("link", name="← Newe").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    # Anywhere in the row: the link covers it.
    page.locator("tbody tr").first.locator("td").last.click(force=True)
    expect(page).to_have_url(re.compile(rf"/requests/{house.calls[0]}(\?|$)"))
    expect(page.locator("#call-detail .title")).to_contain_text(house.calls[0])


def test_refresh_brings_what_came_since(open_page: Open, house: House) -> None:
    page = open_page("/requests")
    (new,) = add_calls(house.organization.id, 1)
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator(f'a[href="/requests/{new}"]')).to_be_visible()


def test_copy_as_curl_fills_the_clipboard(open_page: Open, house: House) -> None:
    page = open_page(
        f"/requests/{house.calls[0]}", permissions=["clipboard-read", "clipboard-write"]
    )
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#toasts")).to_contain_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl http")


def test_the_theme_stays_and_does_not_flash(open_page: Open) -> None:
    page = open_page(PREFERENCES, color_scheme="light")

    def corner() -> bytes:
        return page.screenshot(clip={"x": 1268, "y": 788, "width": 8, "height": 8})

    light = corner()
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = corner()
    assert dark != light
    page.goto("/organization/security", wait_until="domcontentloaded")
    assert corner() == dark
    page.get_by_role("button", name="As the system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "system")
    assert corner() == light
    page.emulate_media(color_scheme="dark")
    assert corner() == dark


def test_the_drawer_opens_closes_and_gives_the_focus_back(open_page: Open) -> None:
    page = open_page("/requests", width=390)
    menu = page.get_by_role("navigation", name="Main")
    expect(menu).to_be_hidden()
    page.get_by_role("button", name="Open menu").click()
    expect(menu.get_by_role("link", name="Enterprise Router")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.get_by_role("button", name="Open menu")).to_be_focused()


def test_the_skip_link_comes_first_and_works(open_page: Open) -> None:
    page = open_page("/requests")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))


def test_without_javascript_saving_and_filters_work(open_page: Open) -> None:
    page = open_page(PREFERENCES, java_script_enabled=False)
    page.locator("#max-cost").fill("0.05")
    page.locator("#f-max-cost").get_by_role("button", name="Save").click()
    expect(page.locator(".banner")).to_contain_text("Saved")
    expect(page.locator("#max-cost")).to_have_value("0.05")
    page.goto("/requests")
    page.locator("#filter-status").select_option("failed")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tbody tr")).to_have_count(30)


def test_signing_in_out_and_back_to_where_one_was(open_page: Open, house: House) -> None:
    page = open_page("/requests?status=failed")
    page.locator(".account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign in")
    page.goto("/requests?status=failed")
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next="))
    page.locator("#id_login").fill("nobody@example.com")
    page.locator("#id_password").fill("wrong-password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
