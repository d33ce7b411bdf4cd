"""Single sign-on by SAML: whom a signed answer lets in, and every answer that does not count."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from tenancy.core import SYSTEM, Role
from tenancy.models import AuditEntry, Membership, SsoConnection, User
from tenancy.pages import memberships_of
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
from tests.tenancy.saml_idp import ENTITY_ID, Asked, IdentityProvider
from tests.tenancy.test_sign_in import led_to

pytestmark = pytest.mark.django_db
DOMAIN = "acme-corp.example"
ERIN = f"erin@{DOMAIN}"


def visitor() -> Client:
    """A new browser, which says where it goes, as SAML needs."""
    return Client(HTTP_HOST="testserver")


@pytest.fixture(scope="module")
def idp() -> IdentityProvider:
    return IdentityProvider()


@pytest.fixture
def connection(cast: Cast, idp: IdentityProvider) -> SsoConnection:
    """acme's connection; acme proved one domain and added another."""
    made = create_connection(
        cast.acme.id,
        kind="saml",
        details=Details(name="Acme IdP", metadata=idp.metadata(), default_role="member"),
        actor=SYSTEM,
    )
    domain = add_domain(cast.acme.id, made.id, domain=DOMAIN, actor=SYSTEM)
    verify_domain(cast.acme.id, made.id, domain.id, actor=SYSTEM, lookup=None)
    add_domain(cast.acme.id, made.id, domain="unproved.example", actor=SYSTEM)
    return made


def begin(client: Client, idp: IdentityProvider, connection: SsoConnection) -> Asked:
    """The way to the provider, as far as the browser leaves us."""
    location = led_to(client.post(f"/accounts/saml/{connection.id}/login/?next=/requests"))
    assert location.startswith(idp.sso_url)
    return idp.read_request(location)


def finish(client: Client, connection: SsoConnection, saml_response: str) -> Any:
    """The provider's answer brought back by the browser."""
    url = f"/accounts/saml/{connection.id}/acs/"
    stepped = client.post(url, {"SAMLResponse": saml_response, "RelayState": ""})
    assert stepped["Location"] == f"{url}finish/"
    return client.get(stepped["Location"])


def come(idp: IdentityProvider, connection: SsoConnection, email: str, **how: Any) -> Any:
    """Signing in from the beginning, in a new browser."""
    client = visitor()
    asked = begin(client, idp, connection)
    return finish(client, connection, idp.answer(asked, email, **how))


def role_of(cast: Cast, email: str) -> str | None:
    with tenant_scope(cast.acme.id):
        found = Membership.objects.filter(organization=cast.acme, user__email=email).first()
    return found.role if found else None


def test_the_first_time_makes_an_account_and_a_member(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = visitor()
    asked = begin(client, idp, connection)
    assert asked.audience == f"http://testserver/accounts/saml/{connection.id}/metadata/"
    answer = finish(client, connection, idp.answer(asked, "Erin@ACME-corp.example"))
    assert answer["Location"] == "/requests"
    assert role_of(cast, ERIN) == Role.MEMBER
    assert b"Member of Acme test" in client.get("/requests").content
    with tenant_scope(cast.acme.id):
        entry = AuditEntry.objects.filter(action="member.join").get()
    assert (entry.actor, entry.after) == (ERIN, {"role": "member", "by": "Acme IdP"})
    assert come(idp, connection, ERIN).status_code == 302
    assert User.objects.filter(email=ERIN).count() == 1


def test_metadata_filled_in_the_provider(connection: SsoConnection, idp: IdentityProvider) -> None:
    assert connection.idp_entity_id == ENTITY_ID
    assert connection.idp_sso_url == idp.sso_url
    assert connection.idp_certificate == idp.certificate
    ours = visitor().get(f"/accounts/saml/{connection.id}/metadata/")
    assert ours.status_code == 200
    assert f"/accounts/saml/{connection.id}/acs/".encode() in ours.content


@pytest.mark.parametrize(
    "how",
    [
        {"tamper": ("erin@", "alice@")},
        {"audience": "https://somebody-else.example/metadata"},
        {"ended_s_ago": 600},
        {"tamper": ("ds:SignatureValue>", "ds:Nothing>")},
    ],
    ids=["forged address", "other audience", "expired", "no signature"],
)
def test_what_the_provider_did_not_sign_so_is_refused(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection, how: dict[str, Any]
) -> None:
    answer = come(idp, connection, ERIN, **how)
    assert answer.status_code == 401
    assert b"Sign-in did not work" in answer.content
    assert not User.objects.filter(email__endswith=DOMAIN).exists()


def test_another_key_under_the_same_name_is_refused(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    assert come(IdentityProvider(), connection, ERIN).status_code == 401
    assert role_of(cast, ERIN) is None


def test_an_answer_counts_once(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = visitor()
    signed = idp.answer(begin(client, idp, connection), ERIN)
    assert finish(client, connection, signed).status_code == 302
    client.post("/accounts/logout/")
    assert finish(client, connection, signed).status_code == 403
    thief = visitor()
    begin(thief, idp, connection)
    assert finish(thief, connection, signed).status_code == 403
    assert thief.get("/requests")["Location"].startswith("/accounts/login/")


def test_an_answer_that_nobody_asked_for_is_refused(
    idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = visitor()
    asked = begin(client, idp, connection)
    signed = idp.answer(Asked("", asked.acs_url, asked.audience), ERIN)
    assert finish(client, connection, signed).status_code in (401, 403)
    assert not User.objects.filter(email=ERIN).exists()


@pytest.mark.parametrize(
    "email", ["mallory@unproved.example", "carol-test@example.com", f"x@sub.{DOMAIN}"]
)
def test_a_provider_speaks_for_proved_domains_alone(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection, email: str
) -> None:
    users = User.objects.count()
    answer = come(idp, connection, email)
    assert answer.status_code == 403
    assert b"may not sign in" in answer.content
    assert User.objects.count() == users
    assert not SocialAccount.objects.exists()


def test_an_existing_account_of_the_domain_is_its_own(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = create_user(ERIN, "correct horse battery")
    add_member(cast.acme.id, user=erin, role=Role.ADMIN, actor=SYSTEM)
    assert come(idp, connection, ERIN).status_code == 302
    assert SocialAccount.objects.get().user == erin
    assert role_of(cast, ERIN) == Role.ADMIN


def test_an_account_that_moved_to_another_domain_is_out_of_reach(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    assert come(idp, connection, ERIN).status_code == 302
    erin = User.objects.get(email=ERIN)
    own = EmailAddress.objects.create(user=erin, email="erin@private.example", verified=True)
    own.set_as_primary()
    # An address that nobody confirmed ties the account to no domain.
    EmailAddress.objects.filter(email=ERIN).update(verified=False)
    answer = come(idp, connection, ERIN)
    assert answer.status_code == 403
    assert b"may not sign in erin@private.example" in answer.content


def test_a_second_address_leads_into_an_account_that_confirmed_it(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    EmailAddress.objects.create(user=cast.carol, email=ERIN, verified=True)
    assert come(idp, connection, ERIN)["Location"] == "/requests"
    assert SocialAccount.objects.get().user == cast.carol
    assert role_of(cast, cast.carol.email) == Role.MEMBER
    assert not User.objects.filter(email=ERIN).exists()


def test_a_second_address_that_nobody_confirmed_leads_nowhere_and_stops_nobody(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    EmailAddress.objects.create(user=cast.carol, email=ERIN, verified=False)
    assert come(idp, connection, ERIN)["Location"] == "/requests"
    assert SocialAccount.objects.get().user == User.objects.get(email=ERIN)
    assert role_of(cast, cast.carol.email) is None
    assert not EmailAddress.objects.filter(user=cast.carol, email=ERIN).exists()


def test_who_confirmed_an_address_goes_before_who_only_signed_up_with_it(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    squatter = User.objects.create_user(ERIN, "correct horse battery")
    EmailAddress.objects.create(user=squatter, email=ERIN, verified=False, primary=True)
    EmailAddress.objects.create(user=cast.carol, email=ERIN, verified=True)
    assert come(idp, connection, ERIN).status_code == 302
    assert SocialAccount.objects.get().user == cast.carol


def test_a_confirmed_address_of_an_unproved_domain_leads_nowhere(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    email = "carol@unproved.example"
    EmailAddress.objects.create(user=cast.carol, email=email, verified=True)
    assert come(idp, connection, email).status_code == 403
    assert not SocialAccount.objects.exists()


def test_who_was_removed_stays_out_until_let_in_again(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    assert come(idp, connection, ERIN).status_code == 302
    erin = User.objects.get(email=ERIN)
    with tenant_scope(cast.acme.id):
        Membership.objects.get(organization=cast.acme, user=erin).delete()
    answer = come(idp, connection, ERIN)
    assert answer.status_code == 403
    assert b"no longer a member" in answer.content
    assert memberships_of(erin) == []
    add_member(cast.acme.id, user=erin, role=Role.VIEWER, actor=SYSTEM)
    assert come(idp, connection, ERIN).status_code == 302
    assert role_of(cast, ERIN) == Role.VIEWER


def test_where_it_is_required_nothing_else_lets_in(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    erin = create_user(ERIN, "correct horse battery")
    owner = create_user(f"olga@{DOMAIN}", "correct horse battery")
    add_member(cast.acme.id, user=owner, role=Role.OWNER, actor=SYSTEM)
    required = Details(required=True)
    change_connection(cast.acme.id, connection.id, details=required, actor=SYSTEM)
    form = {"password": "correct horse battery"}
    answer = visitor().post("/accounts/login/", form | {"login": erin.email})
    assert answer["Location"] == "/accounts/sso/?email=erin%40acme-corp.example"
    assert visitor().post("/accounts/login/", form | {"login": owner.email})["Location"] == (
        "/enterprise-router/"
    )
    # Nor does another address of the same person.
    own = EmailAddress.objects.create(
        user=erin, email="erin@private.example", verified=True, primary=False
    )
    own.set_as_primary()
    erin.refresh_from_db()
    answer = visitor().post("/accounts/login/", form | {"login": own.email})
    assert answer["Location"] == "/accounts/sso/?email=erin%40acme-corp.example"
    signed_in(erin).post("/accounts/email/", {"action_remove": "", "email": ERIN})
    assert EmailAddress.objects.filter(user=erin, email=ERIN).exists()
    assert come(idp, connection, ERIN).status_code == 302


def test_the_way_begins_with_an_address(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = visitor()
    asked = idp.read_request(
        led_to(client.post("/accounts/sso/", {"email": ERIN, "next": "/requests"}))
    )
    assert finish(client, connection, idp.answer(asked, ERIN))["Location"] == "/requests"
    for email in ("x@unproved.example", "x@nowhere.example", "nonsense", ""):
        refused = visitor().post("/accounts/sso/", {"email": email})
        assert refused.status_code == 422
        assert b'aria-invalid="true"' in refused.content
    away = visitor().post("/accounts/sso/", {"email": ERIN, "next": "https://evil.example/"})
    assert b"evil" not in away.content


def test_an_ended_connection_lets_nobody_in(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    assert come(idp, connection, ERIN).status_code == 302
    erin = User.objects.get(email=ERIN)
    path = f"/organization/security/sso/{connection.id}"
    assert signed_in(cast.alice).post(f"{path}/delete").status_code == 302
    assert visitor().get(f"/accounts/saml/{connection.id}/login/").status_code == 404
    assert signed_in(erin).get("/accounts/3rdparty/").status_code == 200
    assert role_of(cast, ERIN) == Role.MEMBER


def test_nobody_is_signed_out_by_a_link(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    client = visitor()
    asked = begin(client, idp, connection)
    finish(client, connection, idp.answer(asked, ERIN))
    url = f"/accounts/saml/{connection.id}/sls/"
    assert client.get(url, {"SAMLRequest": "x"}).status_code == 400
    assert client.get(url, {"SAMLRequest": "x", "Signature": "x"}).status_code == 400
    assert client.get("/requests").status_code == 200


@pytest.mark.parametrize("garbage", ["", "x", "bm90IHhtbA==", "PHg+PC94Pg==", "A" * 999])
def test_garbage_is_an_answer_like_any_other_bad_one(
    idp: IdentityProvider, connection: SsoConnection, garbage: str
) -> None:
    client = visitor()
    begin(client, idp, connection)
    assert finish(client, connection, garbage).status_code in (401, 404)


def published(connection: SsoConnection) -> str:
    """The certificate for which a provider encrypts, as our metadata says it."""
    metadata = visitor().get(f"/accounts/saml/{connection.id}/metadata/").content.decode()
    described = metadata.partition('use="encryption"')[2]
    (body,) = re.findall(r"X509Certificate>([^<]+)</", described.partition("</md:Key")[0])
    return f"-----BEGIN CERTIFICATE-----\n{body.strip()}\n-----END CERTIFICATE-----\n"


def test_an_encrypted_answer_lets_in_too(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    certificate = published(connection)
    answer = come(idp, connection, ERIN, encrypt_for=certificate)
    assert answer["Location"] == "/requests"
    assert role_of(cast, ERIN) == Role.MEMBER


def test_encryption_is_no_signature(
    cast: Cast, idp: IdentityProvider, connection: SsoConnection
) -> None:
    certificate = published(connection)
    for how in ({"signed": False}, {"tamper": (ERIN, f"olga@{DOMAIN}")}):
        assert come(idp, connection, ERIN, encrypt_for=certificate, **how).status_code == 401
    other = published(create_second(cast, idp))
    assert other != certificate
    assert come(idp, connection, ERIN, encrypt_for=other).status_code == 401
    assert not User.objects.filter(email__endswith=DOMAIN).exists()


def test_our_private_key_is_stored_sealed(connection: SsoConnection) -> None:
    assert connection.sp_key_sealed
    assert b"PRIVATE" not in bytes(connection.sp_key_sealed)


def create_second(cast: Cast, idp: IdentityProvider) -> SsoConnection:
    details = Details(name="Second", metadata=idp.metadata())
    return create_connection(cast.acme.id, kind="saml", details=details, actor=SYSTEM)
