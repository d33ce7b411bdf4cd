"""Providers in a real browser: connecting, a real test, removing; accessible and unbroken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from catalog.presets import TEXT, ModelPreset
from catalog.services import connect_provider, connect_sandbox
from tenancy.core import SYSTEM
from tenancy.scope import tenant_scope
from tests.catalog.sandbox_process import Server, running
from tests.e2e.browsing import SIZES, Open
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
HOSTILE = ("<script>alert(1)</script> 😀 שלום \u202e" + "W" * 120)[:80]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    with running() as started:
        yield started


def build(house: House, slug: str = "w" * 40) -> list[str]:
    """A provider with long names, a local one and the sandbox; every page of them."""
    long = ModelPreset("m" * 120, 8_192, 1_024, TEXT, 40)
    made = connect_provider(
        house.organization.id,
        preset="openai",
        slug=slug,
        name=HOSTILE,
        secret="sk-canary-0123456789",
        base_url="https://" + "x" * 60 + ".example.com/" + "y" * 200,
        actor=SYSTEM,
        models=[long],
    )
    connect_sandbox(house.organization.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    with tenant_scope(house.organization.id):
        model = made.deployments.get()
    one = f"/providers/{made.slug}"
    return [
        "/providers",
        "/providers/new",
        "/providers/new?q=nobody",
        "/providers/new?preset=azure",
        "/providers/new?preset=local",
        one,
        "/providers/sandbox",
        f"{one}/remove",
        f"{one}/models/new",
        f"{one}/models/{model.id}",
        f"{one}/models/{model.id}/remove",
    ]


def test_connecting_tests_at_once_and_a_wrong_credential_is_told(
    open_page: Open, sandbox: Server
) -> None:
    page = open_page("/providers")
    page.locator(".head").get_by_role("link", name="Connect a provider").click()
    page.get_by_label("Search providers").press_sequentially("custom")
    expect(page.get_by_text("No provider matches")).to_be_visible()
    page.get_by_role("link", name="Connect a custom address").click()
    page.get_by_label("Address").fill("https://169.254.169.254/v1")
    page.get_by_label("API key").fill("sk-canary-0123456789")
    page.get_by_label("Name", exact=True).fill("Box")
    page.get_by_label("Short name").fill("box")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#base-url-error")).to_contain_text("is not a public address: link-local")
    page.get_by_label("Address").fill(f"{sandbox.url}/v1")
    page.get_by_label("API key").fill("sk-canary-0123456789")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#test-result")).to_contain_text("The credential was accepted.")
    expect(page.locator("#test-result")).to_contain_text("It lists")
    assert "sk-canary" not in page.content()
    page.locator("summary", has_text="Change the address").click()
    page.get_by_label("New address", exact=True).fill(f"{sandbox.url}/v1")
    page.get_by_role("button", name="Change the address").click()
    expect(page.locator("main")).to_contain_text("No credential")
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#test-result")).to_contain_text("Set one.")


def test_removing_in_a_dialog_by_keyboard(open_page: Open) -> None:
    page = open_page("/providers/groq")
    opener = page.locator(".head").get_by_role("link", name="Remove")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("No call goes to")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Remove the provider").press("Enter")
    expect(page.get_by_text("Groq is removed.")).to_be_visible()
    expect(page.locator("li.provider")).to_have_count(2)


def test_a_model_without_scripts(open_page: Open) -> None:
    page = open_page("/providers/openai", java_script_enabled=False)
    page.get_by_role("link", name="Add a model").first.click()
    page.get_by_role("link", name="gpt-4o-mini", exact=True).click()
    page.get_by_label("Name there").fill("our-mini")
    tops = [page.locator(f"#{name}").bounding_box() for name in ("model", "upstream-model")]
    assert tops[0]
    assert tops[1]
    assert tops[0]["y"] == tops[1]["y"]
    page.get_by_role("button", name="Add the model").click()
    notice = page.locator(".notices").bounding_box()
    back = page.get_by_role("link", name="← Providers").bounding_box()
    assert notice
    assert back
    assert back["y"] - notice["y"] - notice["height"] >= 10
    expect(page.locator("tbody")).to_contain_text("there: our-mini")
    page.get_by_role("link", name="gpt-4o-mini").click()
    page.locator("summary", has_text="Set your own price").click()
    page.get_by_label("Input", exact=True).fill("0.15")
    page.get_by_label("Output", exact=True).fill("0.6")
    page.get_by_label("Where it is from").fill("contract of May")
    page.get_by_role("button", name="Set the price").click()
    expect(page.locator(".facts")).to_contain_text("contract of May")
    expect(page.locator(".facts")).to_contain_text("$0.60 per million tokens")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_nothing(open_page: Open, house: House, theme: str, width: int) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = open_page("/providers", width=width, color_scheme=theme, bypass_csp=True)
    found = {}
    for path in build(house):
        page.goto(path)
        for summary in page.locator("summary").all():
            summary.click()
        if violations := run_axe(page):
            found[path] = violations
    assert found == {}
