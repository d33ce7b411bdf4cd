"""The charts in a real browser: alive after Back, loaded once, keeping still, in the theme."""

from __future__ import annotations

import re
from itertools import product

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.browsing import PREFERENCES, Open, complaints
from tests.e2e.test_browser_analytics import PATH, drawn

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

SHIFT_MAX = 0.02
SUM_SHIFTS = """
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
  }).observe({type: 'layout-shift', buffered: true});
"""


def figures(page: Page) -> list[Locator]:
    """The charts that have something to draw, each of them drawn."""
    drawn(page)
    return [chart for chart in page.locator(".chart").all() if chart.locator(".main-svg").count()]


def reacts(chart: Locator) -> None:
    """The chart answers to the pointer."""
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box
    # Where the marks are depends on the figure: at the newest time, or along a lying bar.
    for across, down in product((0.99, 0.9, 0.02, 0.5), (0.25, 0.5, 0.75)):
        chart.page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        chart.page.wait_for_timeout(60)
        if chart.locator(".hoverlayer > *").count():
            return
    expect(chart.locator(".hoverlayer > *").first).to_be_attached()


def test_every_chart_reacts_after_back_and_forward(open_page: Open) -> None:
    page = open_page(PATH)
    said = complaints(page)
    tabs = page.locator("#tabs")
    tabs.get_by_role("link", name="Preferences").click()
    expect(page).to_have_title(re.compile("Preferences"))
    page.go_back()
    expect(page).to_have_title(re.compile("Analytics"))
    page.go_back()
    page.go_forward()
    expect(page).to_have_title(re.compile("Analytics"))
    charts = figures(page)
    assert len(charts) == 5
    for chart in charts:
        reacts(chart)
    assert said == []


def test_back_from_filtered_charts_breaks_no_policy(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h&compare=prev")
    said = complaints(page)
    figures(page)
    for name, value in (("status", "failed"), ("range", "7d")):
        page.locator(f"#filter-{name}").select_option(value)
        expect(page).to_have_url(re.compile(f"{name}={value}"))
        figures(page)
        # What a browser, a chart or a person may have left on an element.
        page.evaluate("document.getElementById('f-spend').style.minHeight = '200px'")
        page.evaluate("document.getElementById('filter-tag').style.width = '120px'")
    page.go_back()
    expect(page.locator("#filter-range")).to_have_value("24h")
    figures(page)
    page.go_back()
    expect(page.locator("#filter-status")).to_have_value("")
    for chart in figures(page):
        reacts(chart)
    assert page.locator(".chart[style], #filter-tag[style]").count() == 0
    assert said == []


def test_a_newer_choice_replaces_an_older_one_in_silence(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    said = complaints(page)

    def _late(route: Route) -> None:
        page.wait_for_timeout(300)
        route.continue_()

    page.route("**/analytics?*", _late)
    page.locator("#filter-range").select_option("custom")
    # It begins as the time that is shown.
    expect(page.get_by_label("From")).to_have_value(
        page.locator(".when").get_attribute("data-from")
    )
    expect(page.get_by_label("To", exact=True)).not_to_have_value("")
    page.locator("#filter-from").fill("2026-11-01T00:00")
    page.locator("#filter-to").fill("2026-11-03T00:00")
    page.locator("#filter-to").fill("2026-11-04T00:00")
    expect(page).to_have_url(re.compile("to=2026-11-04"))
    expect(page.locator(".when time").nth(1)).to_contain_text("4 Nov 2026")
    assert said == []


def test_plotly_is_loaded_once_over_five_visits(open_page: Open) -> None:
    page = open_page(PREFERENCES)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tabs = page.locator("#tabs")
    for _ in range(5):
        assert page.locator(".chart").count() == 0
        tabs.get_by_role("link", name="Analytics").click()
        expect(page.locator("#f-spend .main-svg").first).to_be_visible()
        tabs.get_by_role("link", name="Preferences").click()
        expect(page).to_have_title(re.compile("Preferences"))
    assert sum("plotly" in url for url in asked) == 1
    assert sum("charts.js" in url for url in asked) == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_while_charts_come(open_page: Open, width: int) -> None:
    page = open_page("about:blank", width=width)
    page.add_init_script(SUM_SHIFTS)
    page.goto(f"{PATH}?range=24h&compare=prev")
    assert len(figures(page)) == 5
    page.wait_for_timeout(300)
    assert page.evaluate("shift") < SHIFT_MAX
    # Nor when filters bring others, one of them without anything to draw.
    page.evaluate("scrollTo(0, 0)")
    page.locator("#filter-status").select_option("ok")
    expect(page).to_have_url(re.compile("status=ok"))
    figures(page)
    page.wait_for_timeout(600)
    assert page.evaluate("shift") < SHIFT_MAX


def test_charts_follow_the_system_and_the_choice(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h", color_scheme="light")
    figures(page)
    tick = page.locator("#f-spend .xtick text").first
    colour = "element => getComputedStyle(element).fill"
    light = tick.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    expect(tick).not_to_have_css("fill", light)
    dark = tick.evaluate(colour)
    page.get_by_role("button", name="Light", exact=True).first.click()
    expect(tick).to_have_css("fill", light)
    page.reload()
    figures(page)
    # The choice holds against the system.
    expect(tick).to_have_css("fill", light)
    page.get_by_role("button", name="As the system").first.click()
    expect(tick).to_have_css("fill", dark)


def test_paper_has_every_chart_in_light_colours_and_no_sidebar(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h", color_scheme="dark")
    expect(page.locator("#f-spend .main-svg").first).to_be_visible()
    assert page.locator(".chart:has(.main-svg)").count() < 5
    page.emulate_media(media="print", color_scheme="dark")
    # A browser prints as soon as the event is handled.
    drawn_at_once = page.evaluate(
        "() => { dispatchEvent(new Event('beforeprint'));"
        " return document.querySelectorAll('.chart:has(.main-svg)').length; }"
    )
    assert drawn_at_once == 5
    expect(page.locator(".side")).to_be_hidden()
    expect(page.locator("#filters")).to_be_hidden()
    tick = page.locator("#f-requests .xtick text").first
    expect(tick).to_have_css("fill", "rgb(86, 96, 116)")
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(tick).not_to_have_css("fill", "rgb(86, 96, 116)")


def test_a_table_of_a_chart_adds_up(open_page: Open) -> None:
    page = open_page(f"{PATH}?range=24h")
    drawn(page)
    for name, adds_up in (("spend", True), ("requests", True), ("latency", False)):
        page.locator(f"[data-table=f-{name}]").click()
        table = page.locator(f"#f-{name} table")
        expect(table).to_be_visible()
        assert table.locator("tfoot").count() == adds_up
    total = page.locator("#f-requests tfoot td").last.inner_text()
    expect(page.locator(".kpis li").nth(1).locator("strong")).to_have_text(total)
