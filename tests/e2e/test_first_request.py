"""From signing up to the first recorded request, with the requests that the page shows."""

from __future__ import annotations

import re
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from tenancy.core import SYSTEM
from tenancy.models import User, new_id
from tenancy.pages import memberships_of
from tenancy.scope import tenant_scope
from tenancy.selectors import api_keys
from tenancy.services import create_user, revoke_key
from tests.e2e.browsing import browser
from tests.e2e.live import PASSWORD, Enter, Product, enter, product, run
from tests.e2e.upstreams import node_with

__all__ = ["browser", "enter", "product"]
pytestmark = [pytest.mark.e2e, pytest.mark.browser]

FIRST_REQUEST_S = 120.0
# A row that is in the ledger shows within so much, without a reload.
SHOWN_MS = 4000


def newcomer() -> User:
    return create_user(f"nils-{new_id().hex[-12:]}@example.com", PASSWORD)


def organize(page: Page, name: str = "Nova Labs") -> str:
    """Names an organization, and gives the key that the page shows."""
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create organization").click()
    expect(page.locator("h1")).to_have_text("Get started")
    return page.locator("#secret").inner_text()


def curl_of(page: Page) -> str:
    """The request for a terminal, without curl's meter."""
    return page.locator("#snippet-curl").inner_text().replace("curl ", "curl -sS ", 1)


def received(page: Page) -> None:
    """The line says what came, at which price, and leads to the reason."""
    line = page.locator("#line")
    expect(line).to_contain_text("Received", timeout=SHOWN_MS)
    expect(line).to_contain_text(re.compile(r"sandbox-\S+, [\d.]+ m?s, \$0\.\d+"))
    expect(page.get_by_text("Waiting for your first request…")).to_have_count(0)
    expect(page.locator('nav a[href="/get-started"] .badge')).to_have_text("3 of 6")
    line.get_by_role("link", name="See why it was routed there").click()
    expect(page.get_by_role("heading", name="Why it was routed here")).to_be_visible()


def test_from_signing_up_to_the_first_request_by_curl(enter: Enter) -> None:
    began_at = time.monotonic()
    page = enter("/accounts/signup/")
    page.get_by_label("Email").fill(f"nova-{new_id().hex[-12:]}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    organize(page)
    expect(page.get_by_text("Waiting for your first request…")).to_be_visible()
    answer = run(
        "bash", "-c", page.locator("#snippet-curl").inner_text().replace("curl ", "curl -sS ", 1)
    )
    assert '"choices"' in answer
    received(page)
    assert time.monotonic() - began_at < FIRST_REQUEST_S


def test_the_python_request_runs_as_it_stands(enter: Enter) -> None:
    page = enter("/get-started", user=newcomer())
    organize(page)
    page.get_by_text("Python", exact=True).click()
    expect(page.locator("#snippet-python")).to_be_visible()
    expect(page.locator("#snippet-curl")).to_be_hidden()
    assert run(sys.executable, "-c", page.locator("#snippet-python").inner_text()).strip()
    received(page)


def test_the_node_request_runs_as_it_stands(enter: Enter) -> None:
    node, modules = node_with("openai")
    page = enter("/get-started", user=newcomer())
    organize(page)
    page.get_by_text("Node", exact=True).click()
    text = page.locator("#snippet-node").inner_text()
    script = modules.parent / f"first-{new_id().hex}.mjs"
    script.write_text(text)
    try:
        assert run(node, str(script)).strip()
    finally:
        script.unlink()
    received(page)


def test_after_a_reload_the_key_is_gone_and_the_waiting_goes_on(enter: Enter) -> None:
    page = enter("/get-started", user=newcomer())
    key = organize(page)
    page.reload()
    expect(page.locator("#snippet-curl")).to_contain_text("Bearer $ROUTER_API_KEY")
    expect(page.get_by_role("button", name="Create another key")).to_be_visible()
    assert key not in page.content()
    expect(page.get_by_text("Waiting for your first request…")).to_be_visible()
    run("bash", "-c", curl_of(page), ROUTER_API_KEY=key)
    received(page)


def test_it_is_sent_from_the_page(enter: Enter) -> None:
    page = enter("/get-started", user=newcomer())
    organize(page)
    page.get_by_role("button", name="Send it from here").click()
    received(page)
    expect(page.locator(".lede")).to_contain_text("Playground")


def test_what_is_rejected_shows_with_its_fix(enter: Enter) -> None:
    user = newcomer()
    page = enter("/get-started", user=user)
    key = organize(page)
    curl = curl_of(page)
    line = page.locator("#line")
    run("bash", "-c", curl.replace(key, key[:-3]))
    expect(line).to_contain_text("looks like yours", timeout=SHOWN_MS)
    expect(line.get_by_role("link", name="Create another key")).to_be_visible()
    run("bash", "-c", curl.replace("/v1/", "/"))
    expect(line).to_contain_text("The base URL is", timeout=SHOWN_MS)
    run("bash", "-c", curl.replace('"auto"', '"gpt-9"'))
    expect(line).to_contain_text('There is no model "gpt-9" here.', timeout=SHOWN_MS)
    expect(line).to_contain_text("Ask for auto, or for one of:")
    run("bash", "-c", curl.replace(key, "$ROUTER_API_KEY"))
    expect(line).to_contain_text("A request from your network: no API key", timeout=SHOWN_MS)
    (member,) = memberships_of(user)
    with tenant_scope(member.organization_id):
        (made,) = api_keys(member.organization_id)
    revoke_key(member.organization_id, made.id, actor=SYSTEM)
    run("bash", "-c", curl)
    expect(line).to_contain_text("was revoked", timeout=SHOWN_MS)
    expect(page.get_by_text("Waiting for your first request…")).to_be_visible()
    page.get_by_role("button", name="Send it from here").click()
    received(page)


def test_where_streams_do_not_pass_the_page_asks(enter: Enter) -> None:
    page = enter("/get-started", user=newcomer())
    page.route("**/get-started/events", lambda route: route.fulfill(status=502, body=""))
    organize(page)
    page.get_by_role("button", name="Send it from here").click()
    expect(page.locator("#line")).to_contain_text("Received", timeout=8000)


def test_the_stream_is_never_compressed_or_kept(enter: Enter, product: Product) -> None:
    page = enter("/get-started", user=newcomer())
    organize(page)
    cookies = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
    asked = urllib.request.Request(
        f"{product.url}/get-started/events",
        headers={"Cookie": cookies, "Accept-Encoding": "gzip"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Content-Encoding"] == "identity"
        assert answer.headers["Cache-Control"] == "no-store"
        assert [answer.readline() for _ in range(3)] == [b": open\n", b"\n", b"event: line\n"]
