"""Every page in a real browser: accessible, as wide as the window, unbroken by long names."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from preferences.services import save_preferences
from tenancy.core import SYSTEM
from tenancy.services import create_user
from tests.e2e.browsing import SIZES, Open
from tests.e2e.pages_server import House
from tests.e2e.tour import pages

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

AXE = Path(settings.BASE_DIR) / "var/node/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def paths(house: House) -> list[str]:
    """Every page, requests of every kind, and an address of nothing."""
    return [
        *pages(),
        *(f"/requests/{call}" for call in house.calls[:4]),
        "/accounts/2fa/webauthn/",
        "/accounts/logout/",
        "/requests/00000000-0000-7000-8000-000000000000",
    ]


PUBLIC = ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_nothing(
    open_page: Open, house: House, address: str, theme: str, width: int
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    # With the banner about today's spend, which is over both thresholds.
    for user_id in (None, house.owner.id):
        threshold = {"cost_alert_threshold_nano": 1}
        save_preferences(house.organization.id, user_id, threshold, actor=SYSTEM)
    page = open_page("/requests", width=width, color_scheme=theme, bypass_csp=True)
    expect(page.locator("#overspend .banner")).to_have_count(1)
    found = {}
    for path in [*paths(house), *PUBLIC]:
        if path in PUBLIC:
            page.context.clear_cookies()
        page.goto(path)
        if violations := run_axe(page):
            found[path] = violations
    assert found == {}


def run_axe(page: Page) -> list[tuple[str, str]]:
    """The rules that the page breaks, each with the first place."""
    page.evaluate(AXE.read_text())
    result = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in result["violations"]]


@pytest.mark.parametrize("width", SIZES)
def test_the_way_to_the_first_request(open_page: Open, house: House, width: int) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    stranger = create_user(f"nils-{house.organization.id.hex}@example.com", None)
    page = open_page("/requests", user=stranger, width=width, bypass_csp=True)
    expect(page.locator("h1")).to_have_text("Name your organization")
    assert run_axe(page) == []
    page.get_by_label("Name").fill("Nova Labs")
    page.get_by_role("button", name="Create organization").click()
    expect(page.locator("h1")).to_have_text("Get started")
    expect(page.locator("#snippet-curl")).to_contain_text(page.locator("#secret").inner_text())
    expect(page.get_by_text("Waiting for your first request…")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    assert run_axe(page) == []
    page.goto("/requests")
    expect(page.get_by_text("No requests yet")).to_be_visible()
    assert run_axe(page) == []


def test_a_tour_breaks_no_policy_loads_nothing_foreign_and_logs_no_error(
    open_page: Open, house: House, address: str
) -> None:
    page = open_page("/requests")
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for path in paths(house)[:-1]:
        page.goto(path)
        page.wait_for_timeout(200)
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
