"""The main jobs without a pointer, and dialogs that keep the focus and give it back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import PREFERENCES, Open, complaints
from tests.e2e.pages_server import House

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TABS_MAX = 80
INSIDE = """dialog => document.activeElement === document.body
  || dialog.contains(document.activeElement)"""


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until an element has the focus, and sees that it shows."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            expect(page.locator(":focus-visible")).to_have_count(1)
            return
    pytest.fail(f"{selector} is not reached in {TABS_MAX} steps")


def test_the_main_jobs_are_done_by_keyboard_alone(open_page: Open, house: House) -> None:
    page = open_page(PREFERENCES)
    said = complaints(page)
    # A preference.
    tab_to(page, "#max-cost")
    page.keyboard.type("0.05")
    expect(page.locator("#max-cost-after")).to_contain_text("Saved")
    tab_to(page, "[name=value][type=radio]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#priority-after")).to_contain_text("Saved")
    # A filter of Analytics.
    page.keyboard.press("Control+k")
    page.keyboard.type("analytics")
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("Analytics"))
    tab_to(page, "#filter-status")
    page.keyboard.type("Fail")
    expect(page).to_have_url(re.compile("status=failed"))
    expect(page.locator("#filter-status")).to_be_focused()
    # A request, and back to the list.
    page.keyboard.press("Control+k")
    page.keyboard.type("requests")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/requests$"))
    page.wait_for_load_state()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Request {house.calls[0]}")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/requests$"))
    # A key.
    page.keyboard.press("Control+k")
    page.keyboard.type("api keys")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/api-keys$"))
    page.wait_for_load_state()
    tab_to(page, "[data-opens=new-key]")
    page.keyboard.press("Enter")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    expect(page.locator("#secret")).to_contain_text("er_live_")
    assert said == []


@pytest.mark.parametrize(
    ("path", "opener"),
    [
        ("/requests", "[data-dialog=palette]"),
        ("/api-keys", "[data-opens=new-key]"),
        ("/members", "a[href$='/remove']"),
        ("/providers/groq", "[data-opens]"),
    ],
)
def test_a_dialog_keeps_the_focus_and_gives_it_back(
    open_page: Open, path: str, opener: str
) -> None:
    page = open_page(path)
    button = page.locator(opener).first
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    for key in ["Tab"] * 12 + ["Shift+Tab"] * 4:
        page.keyboard.press(key)
        assert dialog.evaluate(INSIDE), key
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
