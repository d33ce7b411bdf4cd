"""Showing once more who one is, before what cannot be taken back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.test import Client

from tenancy.core import Role
from tenancy.models import Membership, Organization, SsoConnection, User
from tenancy.scope import tenant_scope
from tests.conftest import Cast, noted, signed_in
from tests.tenancy.saml_idp import IdentityProvider
from tests.tenancy.test_sso_saml import connection, idp
from tests.tenancy.test_ways_in import ERIN, PASSWORD, SECRET, arrive, code

__all__ = ["connection", "idp"]
pytestmark = pytest.mark.django_db
DELETE = "/organization/delete"
AGO = {"method": "password", "at": time.time() - 301}


@pytest.fixture(autouse=True)
def _uncounted() -> None:
    cache.clear()


@pytest.fixture
def alice(cast: Cast) -> Client:
    """The owner's browser, signed in a while ago."""
    client = signed_in(cast.alice)
    noted(client, cast.alice, [AGO])
    return client


def bobs(cast: Cast) -> Membership:
    with tenant_scope(cast.acme.id):
        return Membership.objects.get(user=cast.bob)


def stands(cast: Cast) -> bool:
    with tenant_scope(cast.acme.id):
        return Organization.objects.filter(id=cast.acme.id).exists()


def test_deleting_asks_for_the_password_first(cast: Cast, alice: Client) -> None:
    typed = {"name": cast.acme.name}
    way = "/accounts/reauthenticate/?next=%2Forganization%2Fdelete"
    assert alice.post(DELETE, typed)["Location"] == way
    assert stands(cast)
    assert alice.get(DELETE)["Location"] == way
    page = alice.get(way).content
    assert b"Confirm that it is you" in page
    wrong = alice.post("/accounts/reauthenticate/", {"password": "wrong", "next": DELETE})
    assert wrong.status_code == 200
    assert alice.get(DELETE)["Location"] == way
    right = {"password": PASSWORD, "next": DELETE}
    assert alice.post("/accounts/reauthenticate/", right)["Location"] == DELETE
    assert alice.get(DELETE).status_code == 200
    assert alice.post(DELETE, typed)["Location"] == "/enterprise-router/"
    assert not stands(cast)


@pytest.mark.parametrize("records", [[], [AGO]])
def test_a_session_that_tells_nothing_is_no_fresh_one(
    cast: Cast, alice: Client, records: list[dict[str, Any]]
) -> None:
    noted(alice, cast.alice, records)
    assert alice.get(DELETE)["Location"].startswith("/accounts/reauthenticate/")


def test_a_second_factor_confirms_where_there_is_no_password(cast: Cast, alice: Client) -> None:
    TOTP.activate(cast.alice, SECRET)
    User.objects.filter(id=cast.alice.id).update(password="!")
    client = signed_in(User.objects.get(id=cast.alice.id))
    noted(client, cast.alice, [AGO])
    way = client.get(DELETE)["Location"]
    assert way.startswith("/accounts/2fa/reauthenticate/")
    assert client.post(way, {"code": code(SECRET), "next": DELETE})["Location"] == DELETE
    assert client.get(DELETE).status_code == 200


def test_who_has_neither_goes_through_their_provider(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = arrive(idp, connection)
    erin = User.objects.get(email=ERIN)
    with tenant_scope(cast.acme.id):
        Membership.objects.filter(user=erin).update(role=Role.OWNER)
    assert client.get(DELETE).status_code == 200, "she came just now"
    old = client.session["account_authentication_methods"]
    noted(client, erin, [{**old[0], "at": AGO["at"]}])
    way = "/accounts/sso/?email=erin%40acme-corp.example&next=%2Forganization%2Fdelete"
    assert client.get(DELETE)["Location"] == way
    assert b"Sign in once more to confirm that it is you" in client.get(way).content
    noted(client, erin, [{"method": "socialaccount", "provider": "github", "at": AGO["at"]}])
    assert client.get(DELETE)["Location"].startswith("/accounts/github/login/?next=")


def test_ownership_does_not_change_hands_before(cast: Cast, alice: Client) -> None:
    bob = bobs(cast)
    swap: Any = alice.get(f"/members/{bob.id}/transfer", headers={"HX-Request": "true"})
    assert swap["HX-Redirect"].startswith("/accounts/reauthenticate/?next=%2Fmembers%2F")
    assert alice.post(f"/members/{bob.id}/transfer")["Location"].startswith("/accounts/reauth")
    form = {"role": "owner", "was": "viewer"}
    target = {"HX-Request": "true", "HX-Target": f"m-{bob.id}"}
    row: Any = alice.post(f"/members/{bob.id}/role", form, headers=target)
    assert row["HX-Redirect"] == "/accounts/reauthenticate/?next=%2Fmembers"
    assert bobs(cast).role == Role.VIEWER
    plain = alice.post(f"/members/{bob.id}/role", {"role": "member", "was": "viewer"})
    assert plain["Location"] == "/members", "who owns nothing is made in one step"


def test_the_ways_in_do_not_change_before(
    cast: Cast, alice: Client, connection: SsoConnection
) -> None:
    one = f"/organization/security/sso/{connection.id}"
    for method, path in (
        ("get", "/organization/security/sso"),
        ("post", "/organization/security/sso"),
        ("get", one),
        ("post", one),
        ("post", f"{one}/delete"),
        ("post", f"{one}/domains"),
        ("post", "/organization/security"),
    ):
        answer = getattr(alice, method)(path)
        assert answer["Location"].startswith("/accounts/reauthenticate/?next="), path
    assert alice.get("/organization/security").status_code == 200
    bob = signed_in(cast.bob)
    noted(bob, cast.bob, [AGO])
    assert bob.post(f"{one}/delete").status_code == 403
