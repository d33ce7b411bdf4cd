"""Second factors: an organization requires one, and its secret is stored sealed."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client

from tenancy.core import SYSTEM, Role
from tenancy.models import Organization
from tenancy.scope import tenant_scope
from tenancy.services import add_member
from tests.conftest import Cast

pytestmark = pytest.mark.django_db
PAGES = ("/requests", "/enterprise-router/preferences")


def require(organization: Organization) -> None:
    with tenant_scope(organization.id):
        Organization.objects.filter(id=organization.id).update(require_mfa=True)


@pytest.mark.parametrize("page", PAGES)
def test_without_one_every_page_leads_to_setting_one_up(
    as_bob: Client, cast: Cast, page: str
) -> None:
    require(cast.acme)
    assert as_bob.get(page)["Location"] == "/accounts/2fa/"
    swap = as_bob.get(page, headers={"HX-Request": "true", "HX-Target": "panel"})
    assert swap["HX-Redirect"] == "/accounts/2fa/"
    assert b"Acme test requires it" in as_bob.get("/accounts/2fa/").content


def code(secret: str) -> str:
    """What an authenticator app with the secret shows now."""
    shown = hotp_value(secret, next(yield_hotp_counters_from_time()))
    return str(format_hotp_value(shown))


def test_a_session_that_is_older_than_the_second_factor_shows_it(
    as_bob: Client, cast: Cast
) -> None:
    secret = generate_totp_secret()
    TOTP.activate(cast.bob, secret)
    assert as_bob.get(PAGES[0]).status_code == 200
    require(cast.acme)
    way = as_bob.get(PAGES[0])["Location"]
    assert way == "/accounts/2fa/reauthenticate/?next=%2Frequests"
    page = as_bob.get(way).content.decode()
    assert "Acme test asks for your own second factor. You signed in here without it." in page
    assert as_bob.post(way, {"code": code(secret), "next": PAGES[0]})["Location"] == PAGES[0]
    assert as_bob.get(PAGES[0]).status_code == 200


def test_a_member_of_two_reaches_the_one_that_requires_none(as_bob: Client, cast: Cast) -> None:
    assert b"Or open another organization" not in as_bob.get("/accounts/2fa/").content
    add_member(cast.rival.id, user=cast.bob, role=Role.VIEWER, actor=SYSTEM)
    require(cast.acme)
    assert as_bob.get(PAGES[0])["Location"] == "/accounts/2fa/"
    page = as_bob.get("/accounts/2fa/").content.decode()
    button = f'name="organization" value="{cast.rival.id}">Rival test</button>'
    assert "Or open another organization" in page
    assert button in page
    as_bob.post("/enterprise-router/organization", {"organization": str(cast.rival.id)})
    assert as_bob.get(PAGES[0]).status_code == 200


def test_recovery_codes_alone_are_none(as_bob: Client, cast: Cast) -> None:
    require(cast.acme)
    Authenticator.objects.create(
        user=cast.bob, type=Authenticator.Type.RECOVERY_CODES, data={"seed": "", "used_mask": 0}
    )
    assert as_bob.get(PAGES[0])["Location"] == "/accounts/2fa/"


def test_keys_and_other_organizations_are_unaffected(
    client: Client, as_carol: Client, cast: Cast
) -> None:
    require(cast.acme)
    headers: Any = {"Authorization": f"Bearer {cast.acme_key}"}
    assert client.get("/api/calls", headers=headers).status_code == 200
    assert as_carol.get(PAGES[0]).status_code == 200


def test_it_is_not_required_before_an_owner_has_one(
    client: Client, as_alice: Client, cast: Cast
) -> None:
    headers: Any = {"Authorization": f"Bearer {cast.acme_key}"}

    def ask() -> Any:
        return client.patch(
            "/api/organization/security",
            {"require_mfa": True},
            content_type="application/json",
            headers=headers,
        )

    TOTP.activate(cast.bob, generate_totp_secret())
    refused = ask()
    assert (refused.status_code, refused.json()["field"]) == (409, "require_mfa")
    assert "/accounts/2fa/" in refused.content.decode()
    page = as_alice.post("/organization/security", {"require_mfa": "on"})
    assert page.status_code == 409
    assert "Let an owner set one up" in page.content.decode()
    assert as_alice.get(PAGES[0]).status_code == 200
    TOTP.activate(cast.alice, generate_totp_secret())
    assert ask().json() == {"require_mfa": True}


def test_the_secret_of_an_app_is_stored_sealed(cast: Cast) -> None:
    secret = generate_totp_secret()
    TOTP.activate(cast.bob, secret)
    stored = Authenticator.objects.get(user=cast.bob)
    assert secret not in str(stored.data)
    assert secret.encode().hex() not in str(stored.data)
