"""What all pages share: fragments, headers, theme, the way in, the choice of organization."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from project.middleware import CONTENT_POLICY
from tenancy.core import SYSTEM, Role
from tenancy.pages import memberships_of, wants_fragment
from tenancy.services import add_member, create_organization, create_user
from tests.conftest import Cast

PAGE = "/enterprise-router/preferences"
SWAP = {"HX-Request": "true", "HX-Target": "panel"}


@pytest.mark.parametrize(
    ("headers", "fragment"),
    [
        (SWAP, True),
        ({"HX-Request": "true", "HX-Target": "section#panel"}, True),
        ({"HX-Request": "true", "HX-Target": "subpanel"}, False),
        ({"HX-Request": "true"}, False),
        ({"HX-Target": "panel"}, False),
        ({}, False),
        ({**SWAP, "HX-Boosted": "true"}, False),
        ({**SWAP, "HX-History-Restore-Request": "true"}, False),
    ],
)
def test_only_a_targeted_swap_gets_a_fragment(headers: dict[str, str], fragment: bool) -> None:
    request = RequestFactory().get("/", headers=headers)
    assert wants_fragment(request, "panel") is fragment


@pytest.mark.django_db
def test_a_fragment_brings_title_and_tabs_and_is_kept_apart(client: Client, cast: Cast) -> None:
    client.force_login(cast.alice)
    whole, part = client.get(PAGE), client.get(PAGE, headers=SWAP)
    assert b"<!doctype html>" in whole.content
    assert b"<!doctype html>" not in part.content
    assert part.content.startswith(b"<title>Preferences")
    assert b'hx-swap-oob="true"' in part.content
    for answer in (whole, part):
        assert {"HX-Request", "HX-Target"} <= set(answer["Vary"].split(", "))
        assert answer["Cache-Control"] == "private, no-cache"


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/accounts/login/", "/no-such-page", PAGE])
def test_every_page_carries_the_strict_policy(client: Client, url: str) -> None:
    answer = client.get(url)
    assert answer["Content-Security-Policy"] == CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/no-such-page"]
)
def test_pages_hold_no_inline_style_or_script(client: Client, url: str) -> None:
    page = client.get(url).content.decode()
    assert " style=" not in page
    assert "<script>" not in page
    assert " onclick=" not in page


@pytest.mark.django_db
def test_the_theme_is_kept_in_a_cookie_and_rendered_by_the_server(client: Client) -> None:
    assert b'data-theme="system"' in client.get("/accounts/login/").content
    answer = client.post("/enterprise-router/theme", {"theme": "dark", "next": "/requests"})
    assert answer["Location"] == "/requests"
    assert b'data-theme="dark"' in client.get("/accounts/login/").content


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_the_theme_never_leads_to_another_site(client: Client, elsewhere: str) -> None:
    answer = client.post("/enterprise-router/theme", {"theme": "dark", "next": elsewhere})
    assert answer["Location"] == "/enterprise-router/"


def test_an_unknown_theme_is_refused(client: Client) -> None:
    assert client.post("/enterprise-router/theme", {"theme": "pink"}).status_code == 422


@pytest.mark.django_db
def test_a_swap_without_a_session_leads_the_whole_page_to_sign_in(client: Client) -> None:
    headers = {**SWAP, "HX-Current-URL": "http://testserver/requests?status=failed"}
    answer = client.get(PAGE, headers=headers)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/accounts/login/?next=%2Frequests%3Fstatus%3Dfailed"


@pytest.mark.django_db
def test_a_post_without_a_token_is_refused(cast: Cast) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.alice)
    answer = strict.post(f"{PAGE}/organization/max-cost", {"value": "1", "was": ""})
    assert answer.status_code == 403


@pytest.mark.django_db
def test_a_user_of_two_organizations_chooses_one(client: Client, cast: Cast) -> None:
    second = create_organization(name="Second & Sons", owner=cast.alice, actor=SYSTEM)
    client.force_login(cast.alice)
    assert b"Second &amp; Sons" in client.get("/requests").content
    client.post("/enterprise-router/organization", {"organization": str(second.id)})
    page = client.get("/requests").content.decode()
    assert "Owner of Second &amp; Sons" in page


@pytest.mark.django_db
def test_nobody_chooses_an_organization_of_others(client: Client, cast: Cast) -> None:
    client.force_login(cast.alice)
    answer = client.post("/enterprise-router/organization", {"organization": str(cast.rival.id)})
    assert answer.status_code == 404


@pytest.mark.django_db
def test_a_new_user_makes_an_organization_and_sees_a_key_once(
    client: Client, settings: Any
) -> None:
    settings.SANDBOX_URL = ""
    erin = create_user("erin@new.test", None)
    client.force_login(erin)
    assert client.get("/requests")["Location"] == "/enterprise-router/organization/new"
    new = "/enterprise-router/organization/new"
    refused = client.post(new, {"name": " ", "time_zone": "UTC"})
    assert refused.status_code == 422
    assert b'aria-invalid="true"' in refused.content
    ready = client.post(new, {"name": "<b>Erin</b>", "time_zone": "Asia/Kolkata"}, follow=True)
    assert b"er_live_" in ready.content
    assert b"<bdi>&lt;b&gt;Erin&lt;/b&gt;</bdi>" in ready.content
    assert "no-store" in ready["Cache-Control"]
    assert client.get(new)["Location"] == "/enterprise-router/"
    assert [member.time_zone for member in memberships_of(erin)] == ["Asia/Kolkata"]


@pytest.mark.django_db
def test_a_removed_role_takes_effect_on_the_next_page(client: Client, cast: Cast) -> None:
    client.force_login(cast.bob)
    url = f"{PAGE}/organization/max-cost"
    assert client.post(url, {"value": "1", "was": ""}).status_code == 403
    add_member(cast.acme.id, user=cast.bob, role=Role.ADMIN, actor=SYSTEM)
    assert client.post(url, {"value": "1", "was": ""}).status_code == 302
