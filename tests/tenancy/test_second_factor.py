"""Second factors: an organization requires one, and its secret is stored sealed."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from tenancy.models import Organization
from tenancy.scope import tenant_scope
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


def test_with_one_the_pages_open(as_bob: Client, cast: Cast) -> None:
    require(cast.acme)
    TOTP.activate(cast.bob, generate_totp_secret())
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
