"""API keys in a real browser: by keyboard, shown once, revoked; accessible and unbroken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tenancy.core import SYSTEM, Scope
from tenancy.models import ApiKey
from tenancy.services import create_key, rotate_key
from tests.e2e.browsing import SIZES, Open
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
HOSTILE = ("<script>alert(1)</script> 😀 שלום \u202e" + "W" * 120)[:120]


def hostile_key(house: House) -> ApiKey:
    """A key with a name as long and as strange as may be, in the middle of a rotation."""
    key = create_key(
        house.organization.id,
        name=HOSTILE,
        scopes=[Scope.GATEWAY, Scope.ADMIN],
        actor=SYSTEM,
        user=house.admin,
        expires_at=timezone.now() + timedelta(days=3),
        allowed_networks=["203.0.113.0/24", "2001:db8::/32"],
    ).key
    rotate_key(house.organization.id, key.id, overlap=timedelta(hours=1), actor=SYSTEM)
    return key


def paths(key: ApiKey) -> list[str]:
    """Every page of keys."""
    return ["/api-keys", "/api-keys?q=nothing", "/api-keys/new"] + [
        f"/api-keys/{key.id}{rest}" for rest in ("", "/rotate", "/revoke")
    ]


def test_a_key_is_made_by_keyboard_and_its_secret_shown_once(open_page: Open) -> None:
    page = open_page("/api-keys")
    opener = page.locator(".head a", has_text="Create API key")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(page.locator("#key-name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("nightly-batch")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("nightly-batch is ready")
    secret = page.locator("#secret").inner_text()
    expect(page.locator("#snippet-curl")).to_contain_text(secret)
    page.get_by_text("Python", exact=True).click()
    expect(page.locator("#snippet-python")).to_contain_text(f'api_key="{secret}"')
    expect(page.locator("#snippet-curl")).to_be_hidden()
    page.reload()
    expect(page.locator("h1")).to_have_text("API keys")
    assert secret not in page.content()
    expect(page.locator("tbody tr", has_text="nightly-batch")).to_have_count(1)
    page.go_back()
    assert secret not in page.content()


def test_rotating_and_revoking_in_dialogs(open_page: Open, house: House) -> None:
    key = create_key(house.organization.id, name="app", scopes=[Scope.GATEWAY], actor=SYSTEM).key
    page = open_page(f"/api-keys/{key.id}")
    page.get_by_role("link", name="Rotate").click()
    page.get_by_role("dialog").get_by_label("The older secret ends").select_option("In 7 days")
    page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
    expect(page.locator("#secret")).to_contain_text("er_live_")
    page.get_by_role("link", name="Done, show the key").click()
    expect(page.locator(".plain-list li")).to_have_count(2)
    page.get_by_role("link", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("stops working with the next call")
    dialog.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("This key is revoked")).to_be_visible()


def test_everything_goes_without_scripts(open_page: Open) -> None:
    page = open_page("/api-keys", java_script_enabled=False)
    page.locator(".head a", has_text="Create API key").click()
    page.get_by_label("Name").fill("no scripts")
    page.get_by_role("button", name="Create key").click()
    expect(page.locator("#secret")).to_contain_text("er_live_")
    page.get_by_role("link", name="Done, show the key").click()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("This key is revoked")).to_be_visible()
    page.goto("/api-keys")
    page.get_by_label("Search API keys").fill("no scr")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_searching_keeps_the_focus_and_the_address(open_page: Open, house: House) -> None:
    for name in ("alpha", "beta"):
        create_key(house.organization.id, name=name, scopes=[Scope.GATEWAY], actor=SYSTEM)
    page = open_page("/api-keys")
    page.get_by_label("Search API keys").press_sequentially("alp")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Search API keys")).to_be_focused()
    assert page.url.endswith("/api-keys?q=alp")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_nothing(open_page: Open, house: House, theme: str, width: int) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    key = hostile_key(house)
    page = open_page("/api-keys", width=width, color_scheme=theme, bypass_csp=True)
    found = {}
    for path in paths(key):
        page.goto(path)
        if violations := run_axe(page):
            found[path] = violations
    for path, opener in (("/api-keys", "new-key"), (f"/api-keys/{key.id}", "revoke")):
        page.goto(path)
        page.locator(f'[data-opens="{opener}"]').first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        if violations := run_axe(page):
            found[f"{path} dialog"] = violations
    assert found == {}
