"""The page of the API: its commands work as pasted, its parts open by keyboard and by address."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Page, expect

from project import api_docs
from tenancy.core import SYSTEM, Scope
from tenancy.services import create_key
from tests.e2e.browsing import SIZES, Open, complaints
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

DOCS = "/api/docs"


@pytest.fixture
def own_address(address: str, monkeypatch: pytest.MonkeyPatch, settings: Any) -> str:
    """The pages say the address that they are served at."""
    settings.PUBLIC_URL = address
    api_docs.groups.cache_clear()
    return address


def shell(text: str, key: str) -> str:
    """What a person's shell prints; a refused request fails."""
    strict = 'set -e; curl() { command curl -sS --fail-with-body "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", strict + text],
        env=os.environ | {"ROUTER_ADMIN_KEY": key},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_commands_work_as_they_are_pasted(open_page: Open, house: House, own_address: str) -> None:
    made = create_key(house.organization.id, name="docs", scopes=[Scope.ADMIN], actor=SYSTEM)
    page = open_page(DOCS)
    tried = {
        name: shell(page.locator(f"#try-{name}").inner_text(), made.secret)
        for name in ("first", "pages", "once", "change")
    }
    assert '"time_zone"' in tried["first"]
    assert '"next_cursor": null' in tried["pages"]
    assert '"secret"' in tried["once"]
    assert '"max_latency_ms": 20000' in tried["change"]
    again = shell(page.locator("#try-once").inner_text(), made.secret)
    assert again == tried["once"], "made once"
    page.locator("#list_calls").evaluate("part => part.closest('details').open = true")
    curl = page.locator("#curl-list_calls").inner_text()
    assert '"data"' in shell(curl, made.secret)
    cache.clear()
    api_docs.groups.cache_clear()


def test_it_is_read_by_keyboard_and_opens_at_an_address(open_page: Open, own_address: str) -> None:
    page = open_page(DOCS)
    said = complaints(page)
    page.goto(f"{DOCS}#show_key")
    expect(page.locator("#show_key")).to_be_visible()
    summary = page.locator("details:has(#list_keys) > summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#list_keys")).to_be_visible()
    assert outside(page, own_address) == []
    assert said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    for width in SIZES:
        page = open_page(DOCS, width=width, color_scheme=theme, bypass_csp=True)
        for id_ in ("list_calls", "change_role", "create_connection", "export_changes"):
            page.locator(f"#{id_}").evaluate("part => part.closest('details').open = true")
        assert run_axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def outside(page: Page, address: str) -> list[str]:
    """What the page loaded from another host."""
    loaded: list[str] = page.evaluate(
        "performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    return [name for name in loaded if not name.startswith(address)]
