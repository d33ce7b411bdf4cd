"""Names as long and as strange as may be, on every page that shows them, at every width."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tenancy.core import SYSTEM, Role
from tenancy.models import Membership, Organization
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tests.e2e import test_browser_keys, test_browser_providers
from tests.e2e.browsing import Open, complaints
from tests.e2e.pages_server import House, add_long_names
from tests.e2e.test_browser_looks import PUBLIC
from tests.e2e.test_browser_looks import paths as usual_paths

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WIDTHS = (1280, 390, 320)
HOSTILE = ("<script>alert(1)</script> 😀 שלום \u202e" + "W" * 120)[:120]


def rename_everything(house: House) -> list[str]:
    """Gives hostile names to all that has one; every page, with those of what is named so."""
    call = add_long_names(house)
    key = test_browser_keys.hostile_key(house)
    email = f"{'w' * 48}-{house.organization.id.hex[-8:]}@{'long' * 12}.example.com"
    member = create_user(email, None)
    member.name = HOSTILE
    member.save()
    add_member(house.organization.id, user=member, role=Role.MEMBER, actor=SYSTEM)
    with tenant_scope(house.organization.id):
        Organization.objects.filter(id=house.organization.id).update(name=HOSTILE)
        (theirs,) = Membership.objects.filter(user=member)
    providers = test_browser_providers.build(house, slug="v" * 40)
    return [
        *usual_paths(house),
        f"/requests/{call}",
        f"/requests?q={HOSTILE}",
        f"/enterprise-router/analytics?range=24h&provider={'w' * 40}",
        f"/audit-log?actor={HOSTILE}",
        f"/members?q={HOSTILE}",
        f"/members/{theirs.id}/remove",
        f"/members/{theirs.id}/transfer",
        "/members/leave",
        "/organization/delete",
        "/organization/security/sso?kind=oidc",
        "/organization/security/sso?kind=saml",
        *test_browser_keys.paths(key),
        *providers,
    ]


def too_wide(page: Page) -> list[tuple[int, str]]:
    """At which widths the page, or a table that turns into cards, has to be scrolled sideways."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((width, "page"))
        for table in page.locator(".table:has(.cards)").all():
            if table.evaluate("box => box.scrollWidth > box.clientWidth"):
                found.append((width, "table"))
    return found


def test_no_name_runs_breaks_the_layout_or_makes_a_page_too_wide(
    open_page: Open, house: House
) -> None:
    everywhere = rename_everything(house)
    page = open_page("about:blank")
    said = complaints(page)
    page.on("dialog", lambda dialog: said.append(dialog.message))
    wide = {}
    for path in everywhere:
        page.goto(path)
        if found := too_wide(page):
            wide[path] = found
    page.context.clear_cookies()
    for path in (*PUBLIC, "/accounts/sso/", "/invitations/nothing"):
        page.goto(path)
        if found := too_wide(page):
            wide[path] = found
    assert wide == {}
    # What is not there answers 404, which the browser tells as an error of its own.
    assert [text for text in said if "404" not in text] == []


def test_names_are_shown_as_they_are(open_page: Open, house: House) -> None:
    rename_everything(house)
    page = open_page("/api-keys")
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
    page.goto("/members")
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
    page.goto("/providers")
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
