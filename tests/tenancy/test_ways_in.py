"""What a session must show before pages open, by the way in which it came."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from tenancy.core import SYSTEM, Role
from tenancy.models import Membership, Organization, SsoConnection, User
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tenancy.sso.details import Details
from tenancy.sso.services import (
    add_domain,
    change_connection,
    create_connection,
    verify_domain,
)
from tests.conftest import Cast, signed_in
from tests.tenancy.saml_idp import IdentityProvider
from tests.tenancy.test_second_factor import code, require
from tests.tenancy.test_sign_in import led_to
from tests.tenancy.test_sso_saml import (
    ERIN,
    begin,
    come,
    connection,
    finish,
    idp,
    role_of,
    visitor,
)

__all__ = ["connection", "idp"]
pytestmark = pytest.mark.django_db
PAGE = "/requests"
SECRET = "JBSWY3DPEHPK3PXP"
ENROLL = "/accounts/2fa/"
GO_ON = "/accounts/sso/?email=erin%40acme-corp.example&next=%2Frequests"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _unlimited() -> Iterator[None]:
    """Attempts are counted in the cache, for all tests together."""
    cache.clear()
    yield
    cache.clear()


def arrive(idp: IdentityProvider, connection: SsoConnection) -> Client:
    """A browser that erin came in with by acme's single sign-on, open on acme."""
    client = visitor()
    answer = finish(client, connection, idp.answer(begin(client, idp, connection), ERIN))
    assert answer["Location"] == PAGE
    return client


def require_sso(cast: Cast, connection: SsoConnection) -> None:
    change_connection(cast.acme.id, connection.id, details=Details(required=True), actor=SYSTEM)


def member(organization: Organization, role: Role = Role.MEMBER) -> User:
    erin = create_user(ERIN, PASSWORD)
    add_member(organization.id, user=erin, role=role, actor=SYSTEM)
    return erin


def open_rival(client: Client, cast: Cast) -> None:
    client.post("/enterprise-router/organization", {"organization": str(cast.rival.id)})


def test_single_sign_on_stands_for_the_second_factor_of_its_organization(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    TOTP.activate(member(cast.acme), SECRET)
    require(cast.acme)
    client = arrive(idp, connection)
    assert client.get(PAGE).status_code == 200
    assert b"requires it" not in client.get(ENROLL).content


def test_who_has_none_needs_none_by_single_sign_on_but_does_by_password(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = member(cast.acme)
    require(cast.acme)
    client = arrive(idp, connection)
    assert client.get(PAGE).status_code == 200
    assert b"requires it" not in client.get(ENROLL).content
    by_password = signed_in(erin)
    assert by_password.get(PAGE)["Location"] == ENROLL
    assert b"Acme test requires it" in by_password.get(ENROLL).content


def test_signing_in_by_password_afterwards_loses_the_exemption(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = member(cast.acme)
    require(cast.acme)
    client = arrive(idp, connection)
    client.post("/accounts/logout/")
    client.post("/accounts/login/", {"login": erin.email, "password": PASSWORD})
    assert client.get(PAGE)["Location"] == ENROLL


def test_who_belongs_elsewhere_too_is_asked_when_signing_in(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    TOTP.activate(member(cast.rival), SECRET)
    assert come(idp, connection, ERIN)["Location"].startswith("/accounts/2fa/authenticate/")
    assert role_of(cast, ERIN) is None


def test_another_organizations_single_sign_on_shows_no_second_factor_here(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = member(cast.acme)
    TOTP.activate(erin, SECRET)
    client = arrive(idp, connection)
    # Joined meanwhile, so that signing in did not ask.
    add_member(cast.rival.id, user=erin, role=Role.MEMBER, actor=SYSTEM)
    open_rival(client, cast)
    way = client.get(PAGE)["Location"]
    assert way == "/accounts/2fa/reauthenticate/?next=%2Frequests"
    assert b"Rival test asks for your own second factor" in client.get(way).content
    swap: Any = client.get(PAGE, headers={"HX-Request": "true", "HX-Target": "panel"})
    assert swap["HX-Redirect"].startswith("/accounts/2fa/reauthenticate/")
    assert client.post(way, {"code": code(SECRET), "next": PAGE})["Location"] == PAGE
    assert b"Member of Rival test" in client.get(PAGE).content


def test_another_organizations_rule_holds_for_who_has_no_second_factor(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = member(cast.acme)
    add_member(cast.rival.id, user=erin, role=Role.MEMBER, actor=SYSTEM)
    require(cast.rival)
    client = arrive(idp, connection)
    assert client.get(PAGE).status_code == 200
    open_rival(client, cast)
    assert client.get(PAGE)["Location"] == ENROLL
    assert b"Rival test requires it" in client.get(ENROLL).content


def test_requiring_single_sign_on_holds_for_open_sessions(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenancy.event_stream.POLL_S", 0.01)
    erin = member(cast.acme)
    by_password = signed_in(erin)
    by_sso = arrive(idp, connection)
    listening: Any = by_password.get("/requests/live")
    stream = iter(listening.streaming_content)
    assert next(stream) == b": open\n\n"
    require_sso(cast, connection)
    assert next(stream) == b"event: done\ndata: \n\n"
    assert by_password.get(PAGE)["Location"] == GO_ON
    assert b"Acme test signs in with single sign-on" in by_password.get(GO_ON).content
    posted = by_password.post("/get-started/dismiss")
    assert posted["Location"].startswith("/accounts/sso/?email=")
    assert by_sso.get(PAGE).status_code == 200
    # Another address of the same person is no way around.
    own = EmailAddress.objects.create(user=erin, email="erin@private.example", verified=True)
    own.set_as_primary()
    assert signed_in(User.objects.get(id=erin.id)).get(PAGE)["Location"] == GO_ON


def follow(
    client: Client, idp: IdentityProvider, connection: SsoConnection, way: str, email: str
) -> Any:
    """The way to single sign-on, gone to its end: the page that asks, the provider, and back."""
    form = dict(parse_qsl(urlsplit(way).query))
    asked = idp.read_request(led_to(client.post("/accounts/sso/", form)))
    return finish(client, connection, idp.answer(asked, email))


def test_who_made_another_address_primary_still_gets_in(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    arrive(idp, connection)
    require_sso(cast, connection)
    erin = User.objects.get(email=ERIN)
    erin.set_password(PASSWORD)
    erin.save()
    own = EmailAddress.objects.create(user=erin, email="erin@private.example", verified=True)
    own.set_as_primary()
    client = visitor()
    answer = client.post("/accounts/login/", {"login": own.email, "password": PASSWORD})
    assert answer["Location"] == "/accounts/sso/?email=erin%40acme-corp.example"
    assert follow(client, idp, connection, answer["Location"], ERIN).status_code == 302
    assert b"Member of Acme test" in client.get(PAGE).content
    assert get_user(client).pk == erin.pk


def test_a_member_by_a_second_address_gets_in_by_it(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = create_user("erin@private.example", PASSWORD)
    add_member(cast.acme.id, user=erin, role=Role.MEMBER, actor=SYSTEM)
    EmailAddress.objects.create(user=erin, email=ERIN, verified=True)
    client = visitor()
    client.force_login(erin)
    require_sso(cast, connection)
    assert client.get(PAGE)["Location"] == GO_ON
    assert follow(client, idp, connection, GO_ON, ERIN)["Location"] == PAGE
    assert client.get(PAGE).status_code == 200
    assert get_user(client).pk == erin.pk
    # The next time the account is known by the provider's name for it.
    again = visitor()
    assert follow(again, idp, connection, GO_ON, ERIN)["Location"] == PAGE
    assert again.get(PAGE).status_code == 200


def test_two_organizations_that_require_theirs_each_let_in(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = member(cast.acme)
    other = "erin@rival-corp.example"
    EmailAddress.objects.create(user=erin, email=other, verified=True)
    add_member(cast.rival.id, user=erin, role=Role.MEMBER, actor=SYSTEM)
    details = Details(name="Rival IdP", metadata=idp.metadata())
    second = create_connection(cast.rival.id, kind="saml", details=details, actor=SYSTEM)
    domain = add_domain(cast.rival.id, second.id, domain="rival-corp.example", actor=SYSTEM)
    verify_domain(cast.rival.id, second.id, domain.id, actor=SYSTEM, lookup=None)
    required = Details(required=True)
    change_connection(cast.rival.id, second.id, details=required, actor=SYSTEM)
    require_sso(cast, connection)
    for through, email, name in ((connection, ERIN, b"Acme"), (second, other, b"Rival")):
        client = visitor()
        way = f"/accounts/sso/?{urlencode({'email': email, 'next': PAGE})}"
        assert follow(client, idp, through, way, email)["Location"] == PAGE
        assert b"Member of " + name in client.get(PAGE).content
    # The pages of the other one still ask for its own.
    client.post("/enterprise-router/organization", {"organization": str(cast.acme.id)})
    assert client.get(PAGE)["Location"] == GO_ON


def test_an_owner_may_get_in_should_the_provider_fail(
    cast: Cast, connection: SsoConnection
) -> None:
    erin = member(cast.acme, Role.OWNER)
    client = signed_in(erin)
    require_sso(cast, connection)
    assert client.get(PAGE).status_code == 200
    with tenant_scope(cast.acme.id):
        Membership.objects.filter(user=erin).update(role=Role.ADMIN)
    assert client.get(PAGE)["Location"] == GO_ON


def test_other_domains_and_other_organizations_are_unaffected(
    cast: Cast, connection: SsoConnection
) -> None:
    erin = member(cast.rival)
    require_sso(cast, connection)
    assert signed_in(cast.bob).get(PAGE).status_code == 200
    assert signed_in(erin).get(PAGE).status_code == 200


def test_the_operator_lets_in_who_lost_every_second_factor(cast: Cast) -> None:
    TOTP.activate(cast.alice, SECRET)
    require(cast.acme)
    client = Client()
    form = {"login": cast.alice.email, "password": PASSWORD}
    assert "/2fa/authenticate/" in client.post("/accounts/login/", form)["Location"]
    of = ("--organization", str(cast.acme.id))
    with pytest.raises(CommandError, match="EMAIL: There is no such member"):
        call_command("member", "remove-second-factor", cast.carol.email, *of)
    out = StringIO()
    call_command("member", "remove-second-factor", cast.alice.email, *of, stdout=out)
    assert out.getvalue() == "removed: 1\n"
    again = Client()
    assert again.post("/accounts/login/", form)["Location"] == "/enterprise-router/"
    assert again.get(PAGE)["Location"] == ENROLL


def test_the_last_owner_with_a_second_factor_keeps_it_or_leaves_and_another_gets_in(
    cast: Cast,
) -> None:
    with tenant_scope(cast.acme.id):
        Membership.objects.filter(user=cast.bob).update(role=Role.OWNER)
    TOTP.activate(cast.alice, SECRET)
    require(cast.acme)
    client = signed_in(cast.alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    kept = client.post("/accounts/2fa/totp/deactivate/")
    assert b"Your organization requires a second factor" in kept.content
    client.post("/accounts/2fa/reauthenticate/", {"code": code(SECRET)})
    assert client.get(PAGE).status_code == 200
    assert client.post("/members/leave").status_code == 302
    other = signed_in(cast.bob)
    assert other.get(PAGE)["Location"] == ENROLL
    assert b"Acme test requires it" in other.get(ENROLL).content
    TOTP.activate(cast.bob, SECRET)
    other.post("/accounts/2fa/reauthenticate/", {"code": code(SECRET)})
    assert other.get(PAGE).status_code == 200
