"""Fixtures of the browser tests: a Chromium, an organization, and its pages opened by a member."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.pages_server import FLAGS, House, chromium, make_house, served

PREFERENCES = "/enterprise-router/preferences"
SIZES = {1280: 800, 390: 844}

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def house(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # Playwright's own loop runs in this thread, which Django takes for an async context.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with django_db_blocker.unblock():
        yield make_house()


@pytest.fixture
def address(house: House) -> Iterator[str]:
    with served() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser, house: House, address: str) -> Iterator[Open]:
    """Opens an address as the owner, or as ``user``, in a browser of their own."""
    contexts: list[BrowserContext] = []

    def _open(path: str, *, user: Any = None, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(
            base_url=address, viewport={"width": width, "height": SIZES.get(width, 800)}, **options
        )
        contexts.append(context)
        session = house.cookie(user or house.owner)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": session, "url": address}])
        page = context.new_page()
        page.goto(path)
        return page

    yield _open
    for context in contexts:
        context.close()


def complaints(page: Page) -> list[str]:
    """What the browser says against the page from now on: errors, warnings, broken policies."""
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said
