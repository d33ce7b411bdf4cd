"""The frame around the pages: sections, tabs, the way home, keys, and pages that are not there."""

from __future__ import annotations

import re
import time

import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve

from analytics.ledger import Ledger
from tenancy.core import SYSTEM, Scope
from tenancy.pages import TAB_COOKIE
from tenancy.services import create_key, create_organization, create_user
from tenancy.shell import GROUPS, KEYS_COOKIE, TABS, exists
from tests.analytics.rows import row
from tests.conftest import Cast

PREFERENCES = "/enterprise-router/preferences"

pytestmark = pytest.mark.django_db


def test_the_sidebar_leads_to_pages_that_are_there_alone(as_alice: Client) -> None:
    page = as_alice.get("/requests").content.decode()
    for path in re.findall(r'href="(/[^"?#]*)', page):
        if not path.startswith(settings.STATIC_URL):
            assert resolve(path)
    for _, section in GROUPS:
        for link in section:
            assert (f'href="{link.path}"' in page) is exists(link.path)


def test_a_section_without_a_page_does_not_exist() -> None:
    assert not exists("/enterprise-router/nothing-yet")


@pytest.mark.parametrize(
    ("path", "label"), [("/requests", "Requests"), (PREFERENCES, "Enterprise Router")]
)
def test_one_section_is_the_open_one(as_alice: Client, path: str, label: str) -> None:
    page = as_alice.get(path).content.decode()
    side = page[page.index('<nav class="side"') : page.index("</nav>")]
    assert re.findall(r'aria-current="page">([^<]+)', side) == [label]


def test_tabs_are_links_and_one_is_open(as_alice: Client) -> None:
    page = as_alice.get(PREFERENCES).content.decode()
    bar = page[page.index('<nav class="tabs"') :]
    bar = bar[: bar.index("</nav>")]
    assert re.findall(r'href="([^"]+)"', bar) == [tab.path for tab in TABS if exists(tab.path)]
    assert bar.count('aria-current="page"') == 1


def test_home_is_the_tab_that_was_open_last(as_alice: Client, cast: Cast) -> None:
    assert as_alice.get("/enterprise-router/")["Location"] == PREFERENCES
    as_alice.get(PREFERENCES)
    assert as_alice.cookies[TAB_COOKIE].value == "preferences"
    made = row(cast.acme.id, time.time_ns() // 1_000_000)
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([made])
    ledger.close()
    assert as_alice.get("/enterprise-router/")["Location"] == PREFERENCES
    del as_alice.cookies[TAB_COOKIE]
    usual = next((t.path for t in TABS if t.name == "analytics" and exists(t.path)), PREFERENCES)
    assert as_alice.get("/enterprise-router/")["Location"] == usual


@pytest.mark.parametrize("strange", ["", "nothing", "<script>", "cost alerts"])
def test_a_strange_cookie_leads_home_all_the_same(as_alice: Client, strange: str) -> None:
    as_alice.cookies[TAB_COOKIE] = strange
    as_alice.cookies[KEYS_COOKIE] = strange
    assert as_alice.get("/enterprise-router/")["Location"] == PREFERENCES
    assert b'data-keys="on"' in as_alice.get("/requests").content


def test_keys_are_switched_off_and_stay_off(as_alice: Client) -> None:
    assert b'data-keys="on"' in as_alice.get("/requests").content
    answer = as_alice.post(
        "/enterprise-router/keys", {"keys": "off", "next": "/requests?status=ok"}
    )
    assert answer["Location"] == "/requests?status=ok"
    assert b'data-keys="off"' in as_alice.get("/requests").content
    assert as_alice.post("/enterprise-router/keys", {"keys": "loud"}).status_code == 422
    swap = {"HX-Request": "true"}
    told = as_alice.post("/enterprise-router/keys", {"keys": "on"}, headers=swap)
    assert told.status_code == 204
    assert told["HX-Trigger"] == '{"keys": {"value": "on"}}'


def test_every_key_of_the_pages_is_listed_once(as_alice: Client) -> None:
    page = as_alice.get("/requests").content.decode()
    listed = re.findall(r"<kbd>g</kbd> <kbd>(.)</kbd>", page)
    assert len(listed) == len(set(listed))
    every = [tab.key for tab in TABS] + [ln.key for _, found in GROUPS for ln in found if ln.key]
    assert len(every) == len(set(every))


def test_what_is_not_there_is_said_inside_the_frame(
    as_alice: Client, client: Client, cast: Cast
) -> None:
    inside = as_alice.get("/nothing-here")
    assert inside.status_code == 404
    assert b'id="side"' in inside.content
    assert cast.acme.name.encode() in inside.content
    outside = client.get("/nothing-here")
    assert outside.status_code == 404
    assert b'id="side"' not in outside.content
    for answer in (inside, outside):
        assert b"Go to the dashboard" in answer.content
        assert answer.content.count(b"<h1") == 1


def test_who_has_no_organization_sees_no_frame(client: Client) -> None:
    client.force_login(create_user("new@shell.test", None))
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert b'id="side"' not in answer.content


def test_the_organization_can_be_chosen_and_one_more_made(as_alice: Client, cast: Cast) -> None:
    second = create_organization(name="Second & Sons", owner=cast.alice, actor=SYSTEM)
    page = as_alice.get("/requests").content.decode()
    assert f'value="{second.id}"' in page
    assert "New organization" in page


def test_the_palette_offers_what_is_new_of_the_own_organization(
    as_alice: Client, cast: Cast
) -> None:
    now_ms = time.time_ns() // 1_000_000
    made = [row(cast.acme.id, now_ms, chance=1), row(cast.rival.id, now_ms, chance=2)]
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(made)
    ledger.close()
    said = as_alice.get("/palette").content.decode()
    assert f"/requests/{made[0]['id']}" in said
    assert made[1]["id"] not in said


def test_the_palette_names_only_the_keys_that_the_member_sees(
    as_alice: Client, as_bob: Client, cast: Cast
) -> None:
    create_key(cast.acme.id, name="bob key", scopes=[Scope.GATEWAY], actor=SYSTEM, user=cast.bob)
    for client, names in ((as_alice, {"acme key", "bob key"}), (as_bob, {"bob key"})):
        said = client.get("/palette").content.decode()
        assert {name for name in ("acme key", "bob key") if name in said} == names
