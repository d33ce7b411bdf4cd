"""Members, invitations, the audit log and the organization in a real browser."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import Page, expect

from tenancy.core import SYSTEM, Role
from tenancy.services import add_member, create_user
from tests.e2e.browsing import SIZES, Open
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

MEMBERS = "/members"
AUDIT = "/audit-log"
SETTINGS = "/organization"


def link_of(page: Page, email: str, role: str = "member") -> str:
    """Invites an address; gives the path of the link that is shown once."""
    page.get_by_label("E-mail address").fill(email)
    page.locator("#invite-role").select_option(role)
    page.get_by_role("button", name="Send invitation").click()
    link = page.locator("#link").inner_text()
    return "/invitations/" + link.strip().rpartition("/")[2]


def test_inviting_and_joining_in_another_browser(open_page: Open, house: House) -> None:
    tag = house.organization.id.hex[-12:]
    page = open_page(MEMBERS)
    email = f"nils-{tag}@example.com"
    link = link_of(page, email, "admin")
    expect(page.locator("#link")).to_be_visible()
    nils = create_user(email, None)
    # Somebody else first: told why not.
    other = open_page(link, user=house.newcomer)
    expect(other.get_by_role("alert")).to_contain_text(email)
    theirs = open_page(link, user=nils)
    theirs.get_by_role("button", name=f"Join as {email}").click()
    expect(theirs.get_by_text(f"Welcome to {house.organization.name}")).to_be_visible()
    page.goto(MEMBERS)
    row = page.get_by_role("row").filter(has_text=email)
    expect(row.get_by_label(f"Role of {email}")).to_have_value("admin")
    theirs.goto(link)
    expect(theirs.locator("h1")).to_have_text("This invitation was accepted already.")


def test_signing_up_leads_back_to_the_invitation(open_page: Open, house: House) -> None:
    email = f"new-{house.organization.id.hex[-12:]}@example.com"
    link = link_of(open_page(MEMBERS), email)
    page = open_page("/accounts/login/", user=house.newcomer)
    page.context.clear_cookies()
    page.goto(link)
    page.get_by_role("link", name="Create an account").click()
    expect(page.locator("#id_email")).to_have_value(email)
    page.locator("#id_password1").fill("correct horse battery")
    page.get_by_role("button", name=re.compile("Create account|Sign up")).click()
    page.get_by_role("button", name=f"Join as {email}").click()
    expect(page.get_by_text("Your role is member.")).to_be_visible()


def test_a_role_changes_in_place_and_the_last_owner_stays(open_page: Open, house: House) -> None:
    page = open_page(MEMBERS)
    role = page.get_by_label(f"Role of {house.admin.email}")
    role.focus()
    role.select_option("viewer")
    expect(page.locator("#toasts")).to_contain_text("is a viewer now")
    expect(role).to_be_focused()
    own = page.get_by_label(f"Role of {house.owner.email}")
    own.select_option("admin")
    expect(page.get_by_role("alert")).to_contain_text("This is the only owner")
    page.reload()
    expect(own).to_have_value("owner")
    expect(role).to_have_value("viewer")


def test_handing_over_then_leaving_by_keyboard(open_page: Open, house: House) -> None:
    page = open_page(MEMBERS)
    hand_over = page.get_by_role("link", name=f"Transfer ownership to {house.admin.email}")
    hand_over.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("you become an admin")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(hand_over).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Transfer ownership").click()
    expect(page.get_by_text("is an owner now, and you are an admin")).to_be_visible()
    page.get_by_role("link", name="Leave").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave the organization").click()
    expect(page.locator("h1")).to_have_text(re.compile("Name your organization|Get started"))
    theirs = open_page(MEMBERS, user=house.admin)
    expect(theirs.get_by_text(house.owner.email)).to_have_count(0)


def test_search_stays_in_the_address(open_page: Open, house: House) -> None:
    page = open_page(MEMBERS)
    page.get_by_label("Search members").press_sequentially("ravi")
    expect(page).to_have_url(re.compile(r"/members\?q=ravi$"))
    expect(page.locator("#members tbody tr")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Search members")).to_have_value("ravi")
    expect(page.locator("#members tbody tr")).to_have_count(1)
    page.get_by_label("Search members").fill("nobody-at-all")
    expect(page.get_by_text("Nobody matches")).to_be_visible()


def test_removing_works_without_javascript(open_page: Open, house: House) -> None:
    page = open_page(MEMBERS, java_script_enabled=False)
    page.get_by_role("link", name=f"Remove {house.admin.email}").click()
    expect(page.get_by_text("Their access ends with their next click.")).to_be_visible()
    page.get_by_role("button", name="Remove member").click()
    expect(page.get_by_text("is no member any more")).to_be_visible()


def test_the_audit_log_keeps_its_filters_after_back_and_reload(
    open_page: Open, house: House
) -> None:
    page = open_page(AUDIT)
    rows = page.locator("#entries tbody tr")
    everything = rows.count()
    page.locator("#filter-kind").select_option("member")
    expect(page).to_have_url(re.compile(r"/audit-log\?kind=member$"))
    expect(rows).to_have_count(1)
    page.locator("#filter-action").select_option("member.set_role")
    expect(page).to_have_url(re.compile(r"kind=member&action=member.set_role$"))
    page.reload()
    expect(page.locator("#filter-action")).to_have_value("member.set_role")
    expect(rows).to_have_count(1)
    page.go_back()
    expect(page.locator("#filter-action")).to_have_value("")
    expect(page.locator("#filter-kind")).to_have_value("member")
    page.go_back()
    expect(page.locator("#filter-kind")).to_have_value("")
    expect(rows).to_have_count(everything)
    page.get_by_role("link", name="Check the chain").click()
    expect(page.locator("#chain")).to_contain_text("The chain is intact.")
    page.locator("#filter-kind").select_option("member")
    expect(rows).to_have_count(1)
    with page.expect_download() as found:
        page.get_by_role("link", name="Export CSV").click()
    lines = found.value.path().read_text().splitlines()
    assert len(lines) == 2
    assert "member.set_role" in lines[1]


def test_settings_are_saved_and_a_conflict_is_settled(open_page: Open, house: House) -> None:
    mine, theirs = open_page(SETTINGS), open_page(SETTINGS, user=house.admin)
    theirs.get_by_label("Name").fill("Theirs")
    theirs.get_by_role("button", name="Save").click()
    expect(theirs.get_by_text("Saved.")).to_be_visible()
    mine.get_by_label("Name").fill("Mine")
    mine.get_by_role("button", name="Save").click()
    expect(mine.locator("#name-error")).to_contain_text("Somebody else made this Theirs")
    mine.get_by_role("button", name="Save").click()
    expect(mine.get_by_text("Saved.")).to_be_visible()
    mine.get_by_label("Keep calls for").fill("0")
    mine.get_by_label("Store them").check()
    mine.get_by_role("button", name="Save").click()
    field = mine.get_by_label("Keep calls for")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("0")
    expect(mine.get_by_label("Store them")).to_be_checked()
    mine.goto(SETTINGS)
    expect(mine.get_by_label("Name")).to_have_value("Mine")
    expect(mine.get_by_label("Store them")).not_to_be_checked()


def test_the_organization_is_exported_and_deleted_with_its_name_typed(
    open_page: Open, house: House
) -> None:
    page = open_page(SETTINGS)
    page.get_by_role("link", name="Delete the organization…").click()
    with page.expect_download() as found:
        page.get_by_role("link", name="Export everything first").click()
    lines = found.value.path().read_text().splitlines()
    assert house.organization.name in lines[0]
    assert sum(1 for line in lines if line.startswith('{"kind":"call"')) == len(house.calls)
    page.get_by_label("Type the name").fill("another")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("alert")).to_contain_text("Type the name as it is")
    page.get_by_label("Type the name").fill(house.organization.name)
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("h1")).to_have_text("Name your organization")
    theirs = open_page("/requests", user=house.admin)
    expect(theirs.locator("h1")).to_have_text("Name your organization")


def test_a_tour_breaks_no_policy_loads_nothing_foreign_and_logs_no_error(
    open_page: Open, address: str
) -> None:
    page = open_page(MEMBERS)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for path in (MEMBERS, AUDIT, SETTINGS, f"{SETTINGS}/delete", "/members/leave"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
    page.goto(MEMBERS)
    page.get_by_role("link", name="Remove").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


def fill(house: House, page: Page) -> str:
    """Members and invitations of every kind, some with strange names; an open link."""
    tag = house.organization.id.hex[-8:]
    long = create_user(f"{'w' * 48}-{tag}@{'long' * 12}.example.com", None)
    long.name = "<script>alert(1)</script> 😀 שלום \u202e" + "W" * 80
    long.save()
    add_member(house.organization.id, user=long, role=Role.VIEWER, actor=SYSTEM)
    return link_of(page, f"{'m' * 50}-{tag}@{'mail' * 12}.example.com")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_nothing_and_nothing_is_too_wide(
    open_page: Open, house: House, theme: str, width: int
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = open_page(MEMBERS, width=width, color_scheme=theme, bypass_csp=True)
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    link = fill(house, page)
    found, wide = {}, {}
    member = page.get_by_role("link", name="Remove").first.get_attribute("href") or ""
    for path in (
        "",
        MEMBERS,
        "/members?q=none",
        AUDIT,
        f"{AUDIT}?check=1&actor=x",
        "/members/leave",
        SETTINGS,
        f"{SETTINGS}/delete",
        member,
        link,
        "/invitations/x",
    ):
        if path:
            page.goto(path)
        if violations := run_axe(page):
            found[path] = violations
        for size in (width, 320):
            page.set_viewport_size({"width": size, "height": 800})
            if over := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
                wide[(path, size)] = over
        page.set_viewport_size({"width": width, "height": 800})
        if out := shots():
            page.screenshot(path=f"{out}/{name_of(path)}-{theme}-{width}.png", full_page=True)
    page.goto(MEMBERS)
    page.get_by_role("link", name="Remove").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    if violations := run_axe(page):
        found["dialog"] = violations
    assert (found, wide, said) == ({}, {}, [])


def shots() -> str:
    return os.environ.get("SHOTS", "")


def name_of(path: str) -> str:
    return re.sub("[^a-z]+", "-", path[:20]).strip("-") or "invited"
