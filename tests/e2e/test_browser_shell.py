"""The frame in a real browser: the palette, shortcuts, dialogs, and leaving them again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browsing import PREFERENCES, Open
from tests.e2e.pages_server import House

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_the_palette_finds_pages_and_recent_requests(open_page: Open, house: House) -> None:
    page = open_page(PREFERENCES)
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to a page")
    expect(palette.get_by_role("searchbox")).to_be_focused()
    expect(palette.locator(f'a[href="/requests/{house.calls[0]}"]')).to_be_visible()
    page.keyboard.type("nothing like it")
    expect(palette.get_by_text("Nothing matches.")).to_be_visible()
    palette.get_by_role("searchbox").fill("requ")
    expect(palette.get_by_role("link", name="Preferences")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(palette.get_by_role("link", name=re.compile("^Requests"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/requests$"))


def test_escape_leaves_a_dialog_and_the_focus_is_back(open_page: Open) -> None:
    page = open_page("/requests")
    opener = page.get_by_role("button", name="Go to…")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_keys_lead_to_pages_and_walk_rows(open_page: Open, house: House) -> None:
    page = open_page(PREFERENCES)
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/requests$"))
    for key in "jjjk":
        page.keyboard.press(key)
    expect(page.locator("tbody tr").nth(1).locator("a")).to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile(f"{PREFERENCES}"))


def test_no_key_works_while_typing_or_when_switched_off(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    page.locator("#max-cost").focus()
    page.keyboard.type("g")
    page.keyboard.type("r?")
    expect(page).to_have_url(re.compile(PREFERENCES))
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#max-cost")).to_have_value("gr?")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Off").click()
    expect(page.locator("html")).to_have_attribute("data-keys", "off")
    page.keyboard.press("Escape")
    page.goto("/requests")
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile("/requests$"))
    # Ctrl K stays: it is no single key, and the sidebar names it.
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_arrows_turn_the_period_and_x_compares(open_page: Open) -> None:
    page = open_page("/enterprise-router/analytics?range=7d")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("from="))
    before = page.url
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(before)
    page.keyboard.press("x")
    expect(page).to_have_url(re.compile("compare=prev"))


@pytest.mark.parametrize("path", ["/requests", "/api-keys", "/members", "/audit-log"])
def test_a_slash_goes_to_the_search_of_the_page(open_page: Open, path: str) -> None:
    page = open_page(path)
    page.keyboard.press("/")
    expect(page.locator("main").get_by_role("searchbox").first).to_be_focused()


def test_help_lists_the_keys_and_the_api(open_page: Open) -> None:
    page = open_page("/requests")
    page.get_by_role("button", name="Help").click()
    menu = page.get_by_role("group", name="Help")
    expect(menu.get_by_role("link", name="API docs")).to_be_visible()
    menu.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def test_an_unknown_address_leads_on_inside_the_frame(open_page: Open) -> None:
    page = open_page("/no/such/page")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Requests").click()
    expect(page).to_have_url(re.compile("/requests$"))


def test_many_providers_are_searched_by_keyboard(open_page: Open, house: House) -> None:
    from catalog.models import Provider
    from tenancy.scope import tenant_scope

    with tenant_scope(house.organization.id):
        for n in range(9):
            Provider.objects.create(
                organization=house.organization,
                slug=f"more-{n}",
                preset="openai",
                name=f"More {n}",
                wire="openai",
            )
    page = open_page(PREFERENCES)
    page.locator("#add-blocked").focus()
    page.keyboard.press("Enter")
    words = page.get_by_role("searchbox", name="Search providers to add to blocked")
    expect(words).to_be_focused()
    page.keyboard.type("more 7")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="More 7")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#add-blocked")).to_be_focused()
    page.keyboard.press("Enter")
    words.fill("more 7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove More 7 from blocked")).to_be_visible()
