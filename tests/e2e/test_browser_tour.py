"""What holds for every page: light, reachable, whole without scripts, and leaving nothing."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import PREFERENCES, Open
from tests.e2e.pages_server import House
from tests.e2e.tour import WITH_CHARTS, pages

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

FIRST_VISIT_BYTES_MAX = 100_000
FIRST_PAINT_REQUESTS_MAX = 8
PACKED = (".woff2", ".png")
ROUND_TRIPS = 25
HEAP_BYTES_MAX = 5_000_000
LISTENERS_MAX = 300


def packed(url: str, body: bytes) -> int:
    """What an answer weighs on the way: text is compressed."""
    return len(body) if url.endswith(PACKED) else len(gzip.compress(body, 6))


@pytest.mark.parametrize("path", ["/accounts/login/", PREFERENCES, "/requests"])
def test_a_first_visit_is_light(open_page: Open, path: str) -> None:
    page = open_page("about:blank")
    if path == "/accounts/login/":
        page.context.clear_cookies()
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(path, wait_until="load")
    weights = {answer.url: packed(answer.url, answer.body()) for answer in answers}
    assert sum(weights.values()) <= FIRST_VISIT_BYTES_MAX, weights
    assert len([url for url in weights if "favicon" not in url]) <= FIRST_PAINT_REQUESTS_MAX


def test_every_page_opens_loads_no_chart_it_does_not_draw_and_leaves_nothing_behind(
    open_page: Open, house: House
) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    wrong = {}
    for path in pages():
        asked.clear()
        answer = page.goto(path)
        assert answer is not None
        if answer.status != 200 or page.locator("h1").count() != 1:
            wrong[path] = (answer.status, page.locator("h1").count())
        if not path.startswith(WITH_CHARTS) and any("plotly" in url for url in asked):
            wrong[path] = (answer.status, "plotly")
        assert "unsafe" not in answer.headers["content-security-policy"]
    assert wrong == {}
    # htmx keeps the last address there; a copy of a page would stay behind on a shared computer.
    assert "<" not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_every_page_of_a_new_organization_offers_an_action(open_page: Open, house: House) -> None:
    page = open_page("about:blank", user=house.newcomer)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    wrong = {}
    for path in pages():
        answer = page.goto(path)
        assert answer is not None
        actions = page.locator("main :is(a[href], button, input, summary)").count()
        if answer.status != 200 or page.locator("h1").count() != 1 or not actions:
            wrong[path] = (answer.status, actions)
    assert wrong == {}
    assert said == []


def test_every_page_stands_without_scripts(open_page: Open, house: House) -> None:
    page = open_page("about:blank", java_script_enabled=False)
    wrong = {}
    for path in pages():
        answer = page.goto(path)
        assert answer is not None
        links = page.get_by_role("link").count()
        if answer.status != 200 or page.locator("main").count() != 1 or not links:
            wrong[path] = (answer.status, links)
    assert wrong == {}


# Focuses each control as the keyboard does, and says which take no focus or do not show it.
UNREACHED = """() => {
  const found = [];
  const shows = (element) => {
    const style = getComputedStyle(element);
    const outlined = style.outlineStyle !== 'none' && style.outlineWidth !== '0px';
    return outlined || style.boxShadow !== 'none';
  };
  const fields = 'input:not([type=hidden]), select, textarea';
  for (const one of document.querySelectorAll(`a[href], button, summary, ${fields}`)) {
    if (one.disabled || !one.checkVisibility({visibilityProperty: true})) continue;
    one.focus({focusVisible: true});
    let shown = false;
    for (let at = one, n = 0; at && n < 4 && !shown; n += 1) {
      shown = shows(at);
      at = at.parentElement;
    }
    if (one.tabIndex < 0) found.push(['no tab stop', one.outerHTML]);
    else if (document.activeElement !== one || !shown) found.push(['no focus', one.outerHTML]);
  }
  return found.map(([why, html]) => `${why}: ${html.slice(0, 120)}`).slice(0, 5);
}"""


def test_every_control_is_reached_by_keyboard_and_shows_it(open_page: Open, house: House) -> None:
    page = open_page("about:blank")
    wrong = {}
    for path in pages():
        page.goto(path)
        if unreached := page.evaluate(UNREACHED):
            wrong[path] = unreached
    assert wrong == {}


def _measure(page: Page) -> tuple[float, float]:
    """Bytes of the heap after a collection, and how many listeners there are."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    told = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return told["JSHeapUsedSize"], told["JSEventListeners"]


def test_going_back_and_forth_between_tabs_leaves_nothing_in_memory(open_page: Open) -> None:
    page = open_page(PREFERENCES)

    def trips(count: int) -> None:
        for _ in range(count):
            page.get_by_role("link", name="Analytics", exact=True).click()
            expect(page.locator("#f-spend .main-svg").first).to_be_visible()
            page.get_by_role("link", name="Preferences", exact=True).click()
            expect(page.locator("#max-cost")).to_be_visible()

    trips(2)
    heap, _ = _measure(page)
    trips(ROUND_TRIPS)
    grown, listeners = _measure(page)
    assert grown - heap < HEAP_BYTES_MAX
    assert listeners < LISTENERS_MAX


def test_tabs_change_title_address_and_mark_in_one_request(open_page: Open) -> None:
    page = open_page("/enterprise-router/")
    tabs = page.locator("#tabs a")
    hrefs = [tab.get_attribute("href") or "" for tab in tabs.all()]
    hrefs.sort(key=lambda href: not page.url.endswith(href))
    expect(page.locator("#tabs [aria-current=page]")).to_have_attribute("href", hrefs[0])
    page.evaluate("window.same = true")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith(tuple(hrefs)) else None)
    titles = set()
    for href in [*hrefs[1:], hrefs[0]]:
        asked.clear()
        page.locator(f"#tabs a[href='{href}']").click()
        expect(page).to_have_url(re.compile(f"{href}$"))
        expect(page.locator("#tabs [aria-current=page]")).to_have_attribute("href", href)
        expect(page.locator("h1")).to_have_count(1)
        assert len(asked) == 1
        titles.add(page.title())
    assert len(titles) == len(hrefs)
    assert page.evaluate("same") is True
    for href in hrefs[::-1]:
        page.go_back()
        expect(page.locator("#tabs [aria-current=page]")).to_have_attribute("href", href)
        expect(page.locator("h1")).to_have_count(1)


def test_a_tab_is_the_same_from_its_address_and_in_a_new_page(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Analytics", exact=True).click(button="middle")
    other = opened.value
    page.get_by_role("link", name="Analytics", exact=True).click()
    expect(page).to_have_title(re.compile("Analytics"))
    expect(other).to_have_title(page.title())
    assert other.url == page.url
    for part in ("#tabs", ".filter-bar", ".kpis"):
        assert other.locator(part).inner_text() == page.locator(part).inner_text()
