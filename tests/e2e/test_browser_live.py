"""What pages do while nothing is clicked: live rows, polls, hidden tabs, a server that is gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import Open, complaints
from tests.e2e.pages_server import House, add_calls

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

# How many streams a page has open, and ``most`` how many there were at once.
COUNT_STREAMS = """
  const made = [];
  window.most = 0;
  window.streams = () => made.filter((one) => one.readyState !== EventSource.CLOSED).length;
  window.EventSource = class extends EventSource {
    constructor(...given) { super(...given); made.push(this); most = Math.max(most, streams()); }
  };
"""
SHOW_OR_HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class Wire:
    """The way from browsers to the server, which can be cut and mended."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition("//")[2].partition(":")
        self._server = (host, int(port))
        self._sockets: list[socket.socket] = []
        self._listen(0)

    @property
    def url(self) -> str:
        """Where browsers reach the server."""
        return f"http://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Ends all connections, and takes no new one."""
        for one in (self._door, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def mend(self) -> None:
        """Takes connections again, at the same address."""
        self._listen(self._port)

    def _listen(self, port: int) -> None:
        self._door = socket.create_server(("127.0.0.1", port))
        self._port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._door,), daemon=True).start()

    def _accept(self, door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = door.accept()
                far = socket.create_connection(self._server)
                self._sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(address: str) -> Iterator[Wire]:
    made = Wire(address)
    yield made
    made.cut()


def live(page: Page) -> Any:
    """The button that turns the live list on, once its stream runs."""
    button = page.get_by_role("button", name="Live")
    with page.expect_response("**/requests/live*"):
        button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    return button


def test_the_count_and_the_bars_follow_live_rows(open_page: Open, house: House) -> None:
    page = open_page("/requests?range=24h")
    expect(page.locator("#counted")).to_contain_text("60 requests, 30 failed")
    live(page)
    page.evaluate("document.querySelector('.bars a:last-of-type').focus()")
    add_calls(house.organization.id, 3)
    expect(page.locator("tbody tr")).to_have_count(53)
    expect(page.locator("#counted")).to_contain_text("63 requests, 31 failed", timeout=9000)
    assert page.evaluate("document.activeElement.matches('.bars a')")
    title = page.locator(".bars a").last.get_attribute("aria-label") or ""
    assert "request" in title


def test_a_server_that_is_gone_is_told_and_waited_for(
    open_page: Open, house: House, wire: Wire
) -> None:
    page = open_page(f"{wire.url}/requests?range=24h")
    button = live(page)
    told = page.locator("#live-state")
    add_calls(house.organization.id, 1)
    expect(page.locator("tbody tr")).to_have_count(51)
    expect(told).to_have_text("")
    wire.cut()
    expect(told).to_have_text("Reconnecting…")
    (missed,) = add_calls(house.organization.id, 1)
    wire.mend()
    expect(page.locator(f"#r-{missed}")).to_be_visible(timeout=20_000)
    expect(told).to_have_text("")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#counted")).to_contain_text("62 requests", timeout=9000)


def test_a_stream_that_is_refused_is_asked_for_again_and_given_up(
    open_page: Open, house: House
) -> None:
    page = open_page("/requests")
    page.clock.install()
    page.route("**/requests/live*", lambda route: route.fulfill(status=502, body="gone"))
    button = page.get_by_role("button", name="Live")
    button.click()
    told = page.locator("#live-state")
    expect(told).to_have_text("Reconnecting…")
    for _ in range(6):
        page.clock.run_for(10_000)
        page.wait_for_timeout(50)
    expect(told).to_have_text("Live has stopped.")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.unroute("**/requests/live*")
    button.click()
    (new,) = add_calls(house.organization.id, 1)
    expect(page.locator("tbody tr").first).to_have_id(f"r-{new}")
    expect(told).to_have_text("")


def test_one_stream_at_most_whatever_is_clicked(open_page: Open, house: House) -> None:
    page = open_page("about:blank")
    said = complaints(page)
    page.add_init_script(COUNT_STREAMS)
    page.goto("/requests")
    button = live(page)
    page.locator("#filter-status").select_option("ok")
    expect(page.locator("tbody tr")).to_have_count(30)
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate(SHOW_OR_HIDE, True)
    assert page.evaluate("streams()") == 0
    (missed,) = add_calls(house.organization.id, 1)
    page.evaluate(SHOW_OR_HIDE, False)
    # Nothing is lost, and the filters of the list hold.
    expect(page.locator("tbody tr").first).to_have_id(f"r-{missed}")
    page.go_back()
    expect(page.locator("#filter-status")).to_have_value("")
    expect(button).to_have_attribute("aria-pressed", "true")
    (new,) = add_calls(house.organization.id, 1)
    expect(page.locator("tbody tr").first).to_have_id(f"r-{new}")
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    assert page.evaluate("[streams(), most]") == [1, 1]
    button.click()
    assert page.evaluate("streams()") == 0
    assert said == []


@pytest.mark.parametrize(
    ("path", "who"),
    [("/requests", "owner"), ("/requests", "newcomer"), ("/get-started", "newcomer")],
)
def test_a_hidden_tab_asks_for_nothing_in_a_minute(
    open_page: Open, house: House, path: str, who: str
) -> None:
    page = open_page("about:blank", user=getattr(house, who))
    page.add_init_script(COUNT_STREAMS)
    page.clock.install()
    page.goto(path)
    page.wait_for_timeout(200)
    asked: list[str] = []
    page.on("request", lambda r: None if "/static/" in r.url else asked.append(r.url))
    page.evaluate(SHOW_OR_HIDE, True)
    for _ in range(6):
        page.clock.run_for(10_000)
        page.wait_for_timeout(20)
    assert asked == []
    assert page.evaluate("streams()") == 0
    page.evaluate(SHOW_OR_HIDE, False)
    page.clock.run_for(12_000)
    page.wait_for_timeout(100)
    assert asked
