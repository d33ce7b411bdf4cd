"""The playground in a real browser: streaming, stopping, errors in their column, copying."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog.services import connect_sandbox
from tenancy.core import SYSTEM, Role
from tenancy.models import User, new_id
from tenancy.pages import memberships_of
from tenancy.services import add_member, create_organization, create_user
from tests.e2e.browsing import SIZES, browser
from tests.e2e.live import Enter, Product, enter, product, run
from tests.e2e.test_browser_looks import AXE, run_axe

__all__ = ["browser", "enter", "product"]
pytestmark = [pytest.mark.e2e, pytest.mark.browser]
LEDGER_S = 10.0
COPIED = "start => navigator.clipboard.readText().then(text => text.startsWith(start))"


@pytest.fixture
def owner(product: Product, enter: Enter) -> User:
    """Somebody whose organization has the sandbox's models."""
    user = create_user(f"olga-{new_id().hex[-12:]}@example.com", None)
    made = create_organization(name="Orchard", owner=user, actor=SYSTEM)
    connect_sandbox(made.id, base_url=product.sandbox.url, actor=SYSTEM)
    return user


def rows(user: User) -> list[tuple[str, int]]:
    """Model and status of the organization's calls, from the ledger."""
    from analytics.models import Call
    from tenancy.scope import tenant_scope

    (member,) = memberships_of(user)
    with tenant_scope(member.organization_id):
        found = Call.objects.filter(organization_id=member.organization_id)
        return list(found.values_list("model_requested", "status"))


def wait_for_rows(user: User, count: int) -> list[tuple[str, int]]:
    give_up = time.monotonic() + LEDGER_S
    while len(found := rows(user)) < count and time.monotonic() < give_up:
        time.sleep(0.1)
    return found


def ask(page: Page, *models: str, prompt: str = "Hello") -> None:
    for number, model in enumerate(models, 1):
        page.locator(f"#model-{number}").fill(model)
    page.locator("#prompt").fill(prompt)
    page.locator("#prompt").press("Control+Enter")


def test_three_models_side_by_side(enter: Enter, owner: User) -> None:
    page = enter("/playground", user=owner)
    expect(page.locator("#sandbox")).to_contain_text("nothing is charged")
    ask(page, "auto", "sandbox-smart", "gpt-9")
    cards = page.locator(".answer")
    expect(cards).to_have_count(3)
    expect(page.locator("#told-aloud")).to_contain_text("gpt-9: Failed", timeout=20_000)
    for card in cards.all()[:2]:
        expect(card.locator(".state")).to_have_text("Done")
        expect(card.locator(".text")).not_to_be_empty()
        for name in ("First token", "Whole answer", "Tokens", "Cost", "Answered by"):
            expect(card.locator("dt", has_text=name)).to_be_visible()
    expect(cards.nth(1).locator(".why")).to_contain_text("Answered by sandbox / sandbox-smart.")
    failed = cards.nth(2)
    expect(failed.locator(".banner")).to_contain_text("gpt-9")
    expect(failed.get_by_role("link", name="Add it under Providers")).to_be_visible()
    assert sorted(wait_for_rows(owner, 3)) == [
        ("auto", 200),
        ("gpt-9", 404),
        ("sandbox-smart", 200),
    ]
    expect(page).to_have_url(re.compile(r"\?model=auto&model=sandbox-smart&model=gpt-9$"))
    page.locator(".answer").first.get_by_role("link", name="See the whole reason").click()
    expect(page.get_by_role("heading", name="Why it was routed here")).to_be_visible()
    expect(page.locator(".lede")).to_contain_text("Playground")
    page.go_back()
    expect(page.locator("#model-2")).to_have_value("sandbox-smart")


def test_stop_ends_the_call_at_the_provider(enter: Enter, owner: User, product: Product) -> None:
    slow = {"model": "sandbox-balanced", "stall_ms": 60_000, "stall_after_chunks": 3}
    assert product.sandbox.call("POST", "/sandbox/faults", slow).status == 200
    try:
        page = enter("/playground", user=owner)
        ask(page, "sandbox-balanced")
        expect(page.locator(".answer .text")).not_to_be_empty()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator(".answer .state")).to_have_text("Stopped")
        assert wait_for_rows(owner, 1) == [("sandbox-balanced", 499)]
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
        # What was spent until then, and why, from the ledger.
        expect(page.locator(".answer .pairs")).to_contain_text(
            "Cost, estimated$0.0", timeout=15_000
        )
        expect(page.get_by_role("link", name="See the whole reason")).to_be_visible()
    finally:
        product.sandbox.call("POST", "/sandbox/reset")
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator(".answer .state")).to_have_text("Done")
    assert sorted(wait_for_rows(owner, 2)) == [("sandbox-balanced", 200), ("sandbox-balanced", 499)]


def test_one_of_two_is_stopped_alone(enter: Enter, owner: User, product: Product) -> None:
    slow = {"model": "sandbox-balanced", "stall_ms": 60_000, "stall_after_chunks": 3}
    slower = {**slow, "model": "sandbox-smart"}
    for fault in (slow, slower):
        assert product.sandbox.call("POST", "/sandbox/faults", fault).status == 200
    try:
        page = enter("/playground", user=owner)
        ask(page, "sandbox-balanced", "sandbox-smart")
        first, second = page.locator(".answer").all()
        for card in (first, second):
            expect(card.locator(".text")).not_to_be_empty()
        first.get_by_role("button", name="Stop sandbox-balanced").click()
        expect(first.locator(".state")).to_have_text("Stopped")
        expect(first.locator("[data-stop]")).to_be_hidden()
        expect(second.locator(".state")).to_have_text("Streaming")
        page.locator("#stop").click()
        expect(second.locator(".state")).to_have_text("Stopped")
    finally:
        product.sandbox.call("POST", "/sandbox/reset")


def test_a_broken_connection_still_tells_what_was_spent(
    enter: Enter, owner: User, product: Product
) -> None:
    page = enter("/playground", user=owner)
    # The page sees the call's id and nothing more of the stream.
    page.route(
        "**/playground/run",
        lambda route: route.fulfill(
            status=200, body=route.fetch().text().split("\n")[0] + "\n", headers={}
        ),
    )
    ask(page, "sandbox-fast")
    expect(page.locator(".answer .state")).to_have_text("Failed")
    expect(page.locator(".answer .banner")).to_contain_text("ended before the answer did")
    link = page.get_by_role("link", name="See the whole reason")
    expect(link).to_be_visible(timeout=15_000)
    expect(page.get_by_role("button", name="Send it again")).to_be_enabled()


def test_a_wrong_field_is_explained_beside_it(enter: Enter, owner: User) -> None:
    page = enter("/playground", user=owner)
    page.get_by_text("Options").click()
    page.locator("#temperature").fill("9")
    ask(page, "auto")
    expect(page.locator("#temperature-error")).to_have_text("From 0 to 2.")
    expect(page.locator("#temperature")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".answer")).to_have_count(0)
    page.locator("#temperature").fill("0.5")
    ask(page, "auto")
    expect(page.locator(".answer .state")).to_have_text("Done", timeout=20_000)
    expect(page.locator("#temperature-error")).to_be_hidden()


def test_the_question_is_copied_as_something_that_runs(
    enter: Enter, owner: User, product: Product
) -> None:
    page = enter("/playground?temperature=0.2&priority=cost", user=owner)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    prompt = 'It\'s "quoted"\ngr\u00fc\u00df dich 😀 $HOME `x` \\'
    page.locator("#model-1").fill("sandbox-fast")
    page.locator("#prompt").fill(prompt)
    key = _key(owner)
    programs = (
        ("curl", "curl", ["bash", "-c"]),
        ("Python", "import os", [sys.executable, "-c"]),
    )
    for name, starts, argv in programs:
        page.get_by_role("button", name=f"Copy as {name}").click()
        page.wait_for_function(COPIED, arg=starts)
        text = page.evaluate("navigator.clipboard.readText()")
        assert run(*argv, text.replace("curl ", "curl -sS ", 1), ROUTER_API_KEY=key).strip()
    sent = [call for call in product.sandbox.calls() if "quoted" in json.dumps(call)]
    assert len(wait_for_rows(owner, 2)) == 2
    assert all(status == 200 for _, status in rows(owner)), sent


def _key(owner: User) -> str:
    from tenancy.core import Scope
    from tenancy.services import create_key

    (member,) = memberships_of(owner)
    made = create_key(member.organization_id, name="k", scopes=[Scope.GATEWAY], actor=SYSTEM)
    return made.secret


def test_without_javascript_a_form_gives_the_answers(enter: Enter, owner: User) -> None:
    page = enter("/playground", user=owner, java_script_enabled=False)
    page.locator("#model-2").fill("sandbox-fast")
    page.locator("#prompt").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answer")).to_have_count(2)
    expect(page.locator(".answer").last.locator(".text")).not_to_be_empty()
    expect(page.locator("#prompt")).to_have_value("Hello")


def test_nobody_may_send_who_only_looks(enter: Enter, owner: User) -> None:
    viewer = create_user(f"vera-{new_id().hex[-12:]}@example.com", None)
    (member,) = memberships_of(owner)
    add_member(member.organization_id, user=viewer, role=Role.VIEWER, actor=SYSTEM)
    page = enter("/playground", user=viewer)
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    expect(page.get_by_text("Sending needs the role member; yours is viewer.")).to_be_visible()


def look(page: Page) -> dict[str, Any]:
    """What is wrong with a page, in both themes, and how far it is wider than the window."""
    found = {}
    for width in (*SIZES, 320):
        page.set_viewport_size({"width": width, "height": 800})
        if over := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
            found[f"over {width}"] = over
        for theme in ("light", "dark") if width in SIZES else ():
            page.emulate_media(color_scheme=theme)
            if broken := run_axe(page):
                found[f"{theme} {width}"] = broken
    return found


def test_both_pages_are_accessible_and_as_wide_as_the_window(enter: Enter, owner: User) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = enter("/get-started", user=owner, bypass_csp=True)
    expect(page.get_by_text("Waiting for your first request…")).to_be_visible()
    assert look(page) == {}
    page.goto("/playground?temperature=1")
    assert look(page) == {}
    ask(page, "auto", "w" * 120, "<script>alert(1)</script>" + "\u202e" + "\u05e9\u05dc" * 20)
    expect(page.locator(".answer .state", has_text="Failed")).to_have_count(2, timeout=20_000)
    assert look(page) == {}
    page.goto("/get-started")
    expect(page.locator("#line")).to_contain_text("Received")
    assert look(page) == {}


def test_no_policy_is_broken_and_nothing_is_logged(enter: Enter, owner: User) -> None:
    page = enter("/get-started", user=owner)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.get_by_role("button", name="Send it from here").click()
    expect(page.locator("#line")).to_contain_text("Received")
    page.goto("/playground")
    ask(page, "auto")
    expect(page.locator(".answer .state")).to_have_text("Done", timeout=20_000)
    assert said == []
