"""Pictures of the pages for the documentation: ``python -m tests.e2e.screenshots``.

1. Takes DATABASE_URL, DATABASE_INGEST_URL and REDIS_URL from the environment: a migrated database
   such as a test run's. An organization is added to it.
2. Serves the pages to a Chromium and photographs each: light, dark, and on a phone.
3. Writes docs/screenshots/<page>-<theme>-<width>.png, over those that are there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import django
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
HEIGHTS = {1280: 800, 390: 844}
LOOKS = ((1280, "light"), (1280, "dark"), (390, "light"))
PAGES = {
    "preferences": "/enterprise-router/preferences?scope=organization",
    "analytics": "/enterprise-router/analytics?range=7d",
    "requests": "/requests",
    "playground": "/playground",
    "api-keys": "/api-keys",
    "new-api-key": "/api-keys/new",
    "providers": "/providers",
    "members": "/members",
    "audit-log": "/audit-log",
    "organization": "/organization",
    "api-docs": "/api/docs",
    "two-factor": "/accounts/2fa/",
}
# A list goes on for long; its beginning says it all.
CUT = frozenset({"requests", "audit-log", "api-docs"})
# Charts are drawn when they come into view.
CHART = ".chart .main-svg, .js-plotly-plot .main-svg"
CHART_MS = 8_000
BYTES_MAX = 6_000_000
# Style sheets as they are in static/, not as they were collected for a deployment.
_PLAIN = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def main() -> int:
    """Takes all pictures; 1 with a sentence when something that they need is missing."""
    missing = [n for n in ("DATABASE_URL", "DATABASE_INGEST_URL") if not os.environ.get(n)]
    if missing:
        print(f"Set {' and '.join(missing)} to a migrated database.", file=sys.stderr)
        return 1
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from tests.e2e.pages_server import chromium

    path = chromium()
    if path is None:
        print("There is no Chromium on this machine.", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    _take_all(path)
    size = sum(picture.stat().st_size for picture in FOLDER.glob("*.png"))
    print(f"{FOLDER}: {size / 1e6:.2f} MB")
    return int(size > BYTES_MAX)


def _take_all(chromium_path: str) -> None:
    from django.conf import settings
    from django.test import override_settings

    from tenancy.shell import exists
    from tests.conftest import signed_in
    from tests.e2e.pages_server import FLAGS, served
    from tests.e2e.scenery import build

    scenery = build()
    name = settings.SESSION_COOKIE_NAME
    owner, newcomer = (
        signed_in(user).cookies[name].value for user in (scenery.owner, scenery.newcomer)
    )
    with (
        override_settings(
            PUBLIC_URL="https://router.acme.example",
            SANDBOX_URL="http://127.0.0.1:8100",
            PRIVATE_NETWORKS=(ip_network("127.0.0.0/8"),),
            STORAGES=_PLAIN,
        ),
        served() as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)

        def take(picture: str, path: str, session: str, *, then: Callable[[Page], None] = _stay):
            page = _open(browser, address, path, name, session)
            then(page)
            _photograph(page, picture)
            page.context.close()

        for shown, path in PAGES.items():
            if exists(path.partition("?")[0]):
                take(shown, path, owner)
        take("request", f"/requests/{scenery.call}", owner)
        take("sign-in", "/accounts/login/", "")
        take("start", "/enterprise-router/organization/new", newcomer, then=_create)
        browser.close()


def _open(browser: Browser, address: str, path: str, cookie: str, session: str) -> Page:
    context = browser.new_context(base_url=address, timezone_id="Europe/Berlin")
    if session:
        context.add_cookies([{"name": cookie, "value": session, "url": address}])
    page = context.new_page()
    answer = page.goto(path)
    assert answer is not None
    assert answer.ok, f"{path} answered {answer.status}"
    return page


def _stay(page: Page) -> None:
    """The page as it opens."""


def _create(page: Page) -> None:
    page.get_by_label("Name").fill("Nova Labs")
    page.get_by_role("button", name="Create organization").click()
    page.get_by_role("heading", name="Get started", level=1).wait_for()


def _photograph(page: Page, picture: str) -> None:
    for width, theme in LOOKS:
        height = HEIGHTS[width]
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": height})
        # The window as high as the page, so that what sticks to it reaches the end.
        whole = page.evaluate("document.documentElement.scrollHeight")
        if picture not in CUT:
            page.set_viewport_size({"width": width, "height": max(height, whole)})
        page.evaluate("document.fonts.ready.then(() => true)")
        if picture == "analytics":
            page.locator(CHART).first.wait_for(timeout=CHART_MS)
            page.wait_for_timeout(1_500)
        page.screenshot(path=FOLDER / f"{picture}-{theme}-{width}.png")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
