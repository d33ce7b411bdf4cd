"""Connections and their domains: forms, REST, the guard of addresses, proofs and the operator."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from lib.errors import RouterError
from tenancy.core import SYSTEM
from tenancy.models import AuditEntry, SsoConnection, SsoDomain, User
from tenancy.scope import tenant_scope
from tenancy.sso.core import clean_domain, domain_of, proof_name, proof_text
from tenancy.sso.details import Details
from tenancy.sso.dns import LookupFailedError, read_answer
from tenancy.sso.http import ANSWER_BYTES_MAX, guarded_session
from tenancy.sso.keys import KeyPair
from tenancy.sso.selectors import find_connection, route_of
from tenancy.sso.services import (
    add_domain,
    change_connection,
    create_connection,
    open_client_secret,
    remove_domain,
    verify_domain,
)
from tests.conftest import Cast, signed_in
from tests.tenancy.saml_idp import IdentityProvider
from tests.tenancy.test_sign_in import led_to

PAGE = "/organization/security"
API = "/api/organization/sso"
Answer = Callable[[str], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A web server on loopback that answers each path as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests say what is wrong."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def issuer() -> Iterator[str]:
    """A provider that describes itself; /liar names another."""

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        said = url if not path.startswith("/liar") else "https://somebody.example"
        told = {
            "issuer": said,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    with serving(answer) as url:
        yield url


def oidc(address: str, **more: Any) -> Details:
    given = {"name": "Okta", "issuer": address, "client_id": "id", "client_secret": "hush-hush"}
    return Details(**(given | more))


def made(cast: Cast, issuer: str) -> SsoConnection:
    return create_connection(cast.acme.id, kind="oidc", details=oidc(issuer), actor=SYSTEM)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Example.COM", "example.com"),
        (" @example.com. ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_domain_has_one_form(text: str, domain: str) -> None:
    assert clean_domain(text) == domain
    assert domain_of(f"x@{text.strip().strip('@.')}") == domain


@pytest.mark.parametrize(
    "text", ["", "com", "a b.example", "-a.example", "a..example", "1.2.3.4", "x" * 64 + ".example"]
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no e-mail domain"):
        clean_domain(text)


@pytest.mark.parametrize("email", ["", "example.com", "@example.com", "x@", "x@localhost"])
def test_what_is_no_address_has_no_domain(email: str) -> None:
    assert domain_of(email) is None


def test_txt_records_are_read_and_other_answers_are_not() -> None:
    question = b"\x01a\x07example\0\x00\x10\x00\x01"
    head = b"\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
    cname = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c"
    txt = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x08\x03abc\x03def"
    answer = head + question + cname + txt
    assert read_answer(answer, 0x1234, question) == ["abcdef"]
    nothing = b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" + question
    assert read_answer(nothing, 0x1234, question) == []
    other = question.replace(b"a", b"b", 1)
    for bad in (
        (answer, 0x9999, question),
        (answer, 0x1234, other),
        (head.replace(b"\x81\x80", b"\x81\x82") + question, 0x1234, question),
    ):
        with pytest.raises(ValueError, match="resolver"):
            read_answer(*bad)


def test_providers_are_asked_in_allowed_networks_alone(settings: Any) -> None:
    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/away":
            return 302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""
        return 200, {}, b"x" * (ANSWER_BYTES_MAX + 1 if path == "/long" else 5)

    with serving(answer) as url, guarded_session() as session:
        assert session.get(url).text == "xxxxx"
        for path in ("/away", "/long"):
            with pytest.raises(requests.RequestException):
                session.get(url + path)
        settings.PRIVATE_NETWORKS = ()
        for address in (url, url.replace("127.0.0.1", "localhost")):
            guard = pytest.raises(requests.RequestException, match="not allowed")
            with guard, guarded_session() as new:
                new.get(address)
        settings.PRIVATE_NETWORKS = (ip_network("10.0.0.0/8"),)
        with pytest.raises(requests.RequestException), guarded_session() as new:
            new.get(url)


@pytest.mark.django_db
def test_a_provider_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenancy.sso.http.ANSWERED_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not stop.wait(0.02):
                    client.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with suppress(requests.RequestException), guarded_session() as session:
            session.get(f"http://127.0.0.1:{server.getsockname()[1]}")
        took = time.monotonic() - began
        stop.set()
        thread.join()
    assert took < 3


@pytest.mark.django_db
def test_no_transaction_waits_for_a_provider(
    as_alice: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    around = len(connection.savepoint_ids)

    def asked(address: str) -> str:
        held.append(len(connection.savepoint_ids) - around)
        raise RouterError(422, "invalid_value", "No.", param="issuer")

    monkeypatch.setattr("tenancy.sso.fields.issuer", asked)
    form = {"kind": "oidc", "name": "Okta", "issuer": "https://a.example", "client_id": "id"}
    bearer = {"Authorization": f"Bearer {cast.acme_key}"}
    assert as_alice.post(f"{PAGE}/sso", form).status_code == 422
    by_rest = Client().post(API, json.dumps(form), content_type="application/json", headers=bearer)
    assert by_rest.status_code == 422
    assert held == [0, 0]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": " "}),
        ("issuer", {"issuer": "https://10.0.0.1"}),
        ("issuer", {"issuer": "ftp://example.com"}),
        ("issuer", {"issuer": "{url}/liar"}),
        ("client_id", {"client_id": ""}),
        ("client_secret", {"client_secret": ""}),
        ("default_role", {"default_role": "owner"}),
    ],
)
def test_a_connection_that_cannot_work_is_refused_by_field(
    cast: Cast, issuer: str, field: str, change: dict[str, str]
) -> None:
    change = {name: value.format(url=issuer) for name, value in change.items()}
    with pytest.raises(RouterError) as why:
        create_connection(cast.acme.id, kind="oidc", details=oidc(issuer, **change), actor=SYSTEM)
    assert (why.value.status, why.value.param) == (422, field)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("metadata", {"metadata": "<html>"}),
        ("metadata", {"metadata": "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"}),
        ("metadata_url", {"metadata_url": "https://192.168.0.1/metadata"}),
        ("idp_certificate", {"idp_certificate": "nonsense"}),
        ("idp_sso_url", {"idp_sso_url": "javascript:alert(1)"}),
        ("idp_entity_id", {}),
    ],
)
def test_a_saml_provider_that_cannot_work_is_refused_by_field(
    cast: Cast, field: str, change: dict[str, str]
) -> None:
    with pytest.raises(RouterError) as why:
        create_connection(
            cast.acme.id, kind="saml", details=Details(name="IdP", **change), actor=SYSTEM
        )
    assert (why.value.status, why.value.param) == (422, field)


@pytest.mark.django_db
def test_metadata_is_read_by_its_address(cast: Cast) -> None:
    idp = IdentityProvider()
    with serving(lambda path: (200, {}, idp.metadata().encode())) as url:
        details = Details(name="IdP", metadata_url=f"{url}/metadata")
        found = create_connection(cast.acme.id, kind="saml", details=details, actor=SYSTEM)
    assert found.idp_certificate == idp.certificate


@pytest.mark.django_db
def test_the_secret_is_sealed_and_goes_to_its_issuer_alone(cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    assert open_client_secret(found) == "hush-hush"
    assert b"hush-hush" not in bytes(found.secret_sealed or b"")
    with pytest.raises(RouterError) as why, serving_other() as other:
        change_connection(cast.acme.id, found.id, details=Details(issuer=other), actor=SYSTEM)
    assert why.value.param == "client_secret"
    with tenant_scope(cast.acme.id):
        entries = AuditEntry.objects.filter(object_kind="sso_connection")
        assert [entry.action for entry in entries] == ["sso.create"]
        assert "hush" not in json.dumps([entry.after for entry in entries])


@contextmanager
def serving_other() -> Iterator[str]:
    """Another issuer."""

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        told = dict.fromkeys(names, f"{url}/x") | {"issuer": url}
        return 200, {}, json.dumps(told).encode()

    with serving(answer) as url:
        yield url


@pytest.mark.django_db
def test_a_domain_counts_once_its_record_is_there(cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    domain = add_domain(cast.acme.id, found.id, domain="Acme-Corp.example", actor=SYSTEM)
    asked: list[str] = []

    def verify(records: list[str]) -> SsoDomain:
        def lookup(name: str) -> list[str]:
            asked.append(name)
            return records

        return verify_domain(cast.acme.id, found.id, domain.id, actor=SYSTEM, lookup=lookup)

    for records in ([], ["v=spf1"], [proof_text("0" * 32)]):
        with pytest.raises(RouterError) as why:
            verify(records)
        assert why.value.status == 422
    assert route_of("x@acme-corp.example") is None
    verify(["v=spf1", proof_text(domain.proof)])
    assert set(asked) == {proof_name("acme-corp.example")}
    route = route_of("X@ACME-CORP.example")
    assert route is not None
    assert (route.connection_id, route.required) == (found.id, False)


class Provider:
    """An OpenID provider on loopback, which says of a person what it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        told: dict[str, Any] = self.userinfo
        if path.startswith("/.well-known/"):
            names = ("authorization", "token", "userinfo")
            told = {f"{name}_endpoint": f"{self.url}/{name}" for name in names}
            told |= {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        elif path == "/token":
            now = int(time.time())
            claims = {"iss": self.url, "aud": "id", "iat": now, "exp": now + 60, "sub": "erin-1"}
            token = jwt.encode(claims | self.claims, "k" * 32, algorithm="HS256")
            told = {"access_token": "x", "token_type": "Bearer", "id_token": token}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with serving(made.answer) as made.url:
        yield made


ERIN: dict[str, Any] = {"sub": "erin-1", "email": "erin@acme-corp.example"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("claims", "userinfo", "status"),
    [
        ({}, ERIN, 302),
        ({}, ERIN | {"email_verified": True}, 302),
        ({}, ERIN | {"email_verified": False}, 403),
        ({}, ERIN | {"email_verified": "false"}, 403),
        ({}, ERIN | {"sub": "mallory-1"}, 403),
        ({}, ERIN | {"email": "erin@elsewhere.example"}, 403),
        ({}, {"sub": "erin-1"}, 403),
        ({"aud": "somebody else"}, ERIN, 401),
        ({"iss": "https://somebody.example"}, ERIN, 401),
        ({"exp": 1}, ERIN, 401),
    ],
)
def test_an_openid_answer_must_be_for_us_and_about_one_person(
    cast: Cast,
    provider: Provider,
    claims: dict[str, Any],
    userinfo: dict[str, Any],
    status: int,
) -> None:
    provider.claims, provider.userinfo = claims, userinfo
    found = made(cast, provider.url)
    domain = add_domain(cast.acme.id, found.id, domain="acme-corp.example", actor=SYSTEM)
    verify_domain(cast.acme.id, found.id, domain.id, actor=SYSTEM, lookup=None)
    client = Client()
    begun = led_to(client.post(f"/accounts/oidc/{found.id}/login/"))
    asked = parse_qs(urlsplit(begun).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = {"code": "c", "state": asked["state"][0]}
    url = f"/accounts/oidc/{found.id}/login/callback/"
    assert client.get(url, back).status_code == status
    assert client.get(url, back).status_code == 401, "a state counts once"
    assert User.objects.filter(email=ERIN["email"]).exists() is (status == 302)


@pytest.mark.django_db
def test_a_provider_that_is_down_is_told_of(cast: Cast) -> None:
    gone = Provider()
    with serving(gone.answer) as gone.url:
        found = made(cast, gone.url)
    answer = Client().post(f"/accounts/oidc/{found.id}/login/")
    assert answer.status_code == 401
    assert b"Sign-in did not work" in answer.content


@pytest.mark.django_db
def test_without_dns_it_says_so(cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    domain = add_domain(cast.acme.id, found.id, domain="acme-corp.example", actor=SYSTEM)

    def broken(name: str) -> list[str]:
        raise LookupFailedError("timed out")

    with pytest.raises(RouterError) as why:
        verify_domain(cast.acme.id, found.id, domain.id, actor=SYSTEM, lookup=broken)
    assert why.value.status == 503


@pytest.mark.django_db
def test_a_domain_leads_to_one_organization(cast: Cast, issuer: str) -> None:
    mine = made(cast, issuer)
    theirs = create_connection(cast.rival.id, kind="oidc", details=oidc(issuer), actor=SYSTEM)
    domains = [
        add_domain(of.organization_id, of.id, domain="shared.example", actor=SYSTEM)
        for of in (mine, theirs)
    ]
    verify_domain(cast.acme.id, mine.id, domains[0].id, actor=SYSTEM, lookup=None)
    with pytest.raises(RouterError) as why:
        verify_domain(cast.rival.id, theirs.id, domains[1].id, actor=SYSTEM, lookup=None)
    assert why.value.status == 409
    route = route_of("x@shared.example")
    assert route is not None
    assert route.organization_id == cast.acme.id


@pytest.mark.django_db
def test_required_needs_a_proved_domain_and_keeps_it(cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    required = Details(required=True)
    with pytest.raises(RouterError) as why:
        change_connection(cast.acme.id, found.id, details=required, actor=SYSTEM)
    assert why.value.param == "required"
    domain = add_domain(cast.acme.id, found.id, domain="acme-corp.example", actor=SYSTEM)
    verify_domain(cast.acme.id, found.id, domain.id, actor=SYSTEM, lookup=None)
    change_connection(cast.acme.id, found.id, details=required, actor=SYSTEM)
    with pytest.raises(RouterError):
        remove_domain(cast.acme.id, found.id, domain.id, actor=SYSTEM)


@pytest.mark.django_db
def test_the_page_makes_changes_and_removes(
    as_alice: Client, as_bob: Client, cast: Cast, issuer: str, settings: Any
) -> None:
    form = {"kind": "oidc", "name": "<b>Okta</b>", "issuer": issuer, "client_id": "id"}
    form |= {"client_secret": "hush-hush", "default_role": "viewer"}
    missing = as_alice.post(f"{PAGE}/sso", form | {"client_id": ""})
    assert missing.status_code == 422
    assert b'aria-describedby="client_id-error"' in missing.content
    assert b"hush-hush" not in missing.content
    assert as_alice.post(f"{PAGE}/sso", form).status_code == 302
    with tenant_scope(cast.acme.id):
        found = SsoConnection.objects.get(organization=cast.acme)
    one = f"{PAGE}/sso/{found.id}"
    assert as_alice.post(f"{one}/domains", {"domain": "nonsense"}).status_code == 422
    as_alice.post(f"{one}/domains", {"domain": "acme-corp.example"})
    with tenant_scope(cast.acme.id):
        domain = found.domains.get()
    page = as_bob.get(PAGE).content.decode()
    assert "&lt;b&gt;Okta&lt;/b&gt;" in page
    assert proof_text(domain.proof) in page
    assert f"/accounts/oidc/{found.id}/login/callback/" in page
    assert "hush-hush" not in page
    assert "Look for the record" not in page
    settings.SSO_TXT_LOOKUP = "tests.tenancy.test_sso.no_records"
    assert as_alice.post(f"{one}/domains/{domain.id}/verify").status_code == 422
    NO_RECORDS.append(proof_text(domain.proof))
    assert as_alice.post(f"{one}/domains/{domain.id}/verify").status_code == 302
    NO_RECORDS.clear()
    as_alice.post(one, {"name": "Entra", "required": "on"})
    changed = find_connection(str(found.id))
    assert changed is not None
    assert (changed.name, changed.required, changed.issuer) == ("Entra", True, issuer)
    assert open_client_secret(changed) == "hush-hush"
    as_alice.post(f"{one}/delete")
    assert find_connection(str(found.id)) is None
    assert route_of("x@acme-corp.example") is None


NO_RECORDS: list[str] = []


def no_records(name: str) -> list[str]:
    """What the page's lookup finds."""
    return NO_RECORDS


@pytest.mark.django_db
def test_the_page_asks_the_database_the_same_for_any_number(
    as_alice: Client, cast: Cast, issuer: str, django_assert_num_queries: Any
) -> None:
    made(cast, issuer)
    as_alice.get(PAGE)
    with CaptureQueriesContext(connection) as one:
        as_alice.get(PAGE)
    for number in range(4):
        more = made(cast, issuer)
        add_domain(cast.acme.id, more.id, domain=f"a{number}.example", actor=SYSTEM)
    with django_assert_num_queries(len(one)):
        as_alice.get(PAGE)


@pytest.mark.django_db
def test_what_belongs_to_others_is_not_there(as_carol: Client, cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    domain = add_domain(cast.acme.id, found.id, domain="acme-corp.example", actor=SYSTEM)
    one = f"{PAGE}/sso/{found.id}"
    assert as_carol.get(one).status_code == 404
    for path in ("", "/delete", "/domains", f"/domains/{domain.id}/verify"):
        assert as_carol.post(one + path, {"name": "x"}).status_code == 404, path
    headers = {"Authorization": f"Bearer {cast.rival_key}"}
    client = Client(headers=headers)
    assert client.get(f"{API}/{found.id}").status_code == 404
    assert client.delete(f"{API}/{found.id}").status_code == 404
    assert find_connection(str(found.id)) is not None


@pytest.mark.django_db
def test_everything_by_rest(cast: Cast, issuer: str, settings: Any) -> None:
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})

    def send(method: str, path: str, **body: Any) -> Any:
        return getattr(client, method)(API + path, body, content_type="application/json")

    answer = send(
        "post", "", kind="oidc", name="Okta", issuer=issuer, client_id="id", client_secret="hush"
    )
    assert answer.status_code == 201
    told = answer.json()
    assert told["has_client_secret"] is True
    assert "hush" not in answer.content.decode()
    assert told["redirect_uri"].endswith(f"/accounts/oidc/{told['id']}/login/callback/")
    wrong = send("patch", f"/{told['id']}", issuer="https://10.0.0.1")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "issuer")
    domain = send("post", f"/{told['id']}/domains", domain="acme-corp.example").json()
    settings.SSO_TXT_LOOKUP = "tests.tenancy.test_sso.no_records"
    verify = f"/{told['id']}/domains/{domain['id']}/verify"
    assert send("post", verify).status_code == 422
    NO_RECORDS.append(domain["proof_text"])
    assert send("post", verify).json()["verified_at"]
    NO_RECORDS.clear()
    changed = send("patch", f"/{told['id']}", name="Entra", required=True).json()
    assert (changed["name"], changed["required"], changed["issuer"]) == ("Entra", True, issuer)
    (listed,) = send("get", "").json()["data"]
    assert [one["domain"] for one in listed["domains"]] == ["acme-corp.example"]
    assert send("delete", f"/{told['id']}/domains/{domain['id']}").status_code == 422
    assert send("delete", f"/{told['id']}").status_code == 204
    TOTP.activate(cast.alice, generate_totp_secret())
    security = client.patch(
        "/api/organization/security", {"require_mfa": True}, content_type="application/json"
    )
    assert security.json() == {"require_mfa": True}
    assert client.get("/api/organization/security").json() == {"require_mfa": True}
    with tenant_scope(cast.acme.id):
        entry = AuditEntry.objects.get(action="organization.require_mfa")
    assert (entry.actor_kind, entry.before) == ("key", {"require_mfa": False})


@pytest.mark.django_db
def test_the_operator_vouches_where_dns_cannot(cast: Cast, issuer: str) -> None:
    found = made(cast, issuer)
    add_domain(cast.acme.id, found.id, domain="acme-corp.example", actor=SYSTEM)
    of = ("--organization", str(cast.acme.id))
    with pytest.raises(CommandError, match="was not added"):
        call_command("sso", "verify-domain", "other.example", *of)
    out = StringIO()
    call_command("sso", "verify-domain", "Acme-Corp.example", *of, stdout=out)
    assert "acme-corp.example" in out.getvalue()
    assert route_of("x@acme-corp.example") is not None
    out = StringIO()
    call_command("sso", "list", *of, "--json", stdout=out)
    (row,) = json.loads(out.getvalue())
    assert row["verified_at"]


def test_no_transaction_waits_for_a_provider_even_once_only(committed: Cast) -> None:
    held: list[bool] = []
    asking, provider = connections["default"], Provider()

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        held.append(asking.in_atomic_block)
        return provider.answer(path)

    key = {"Authorization": f"Bearer {committed.acme_key}", "Idempotency-Key": "k1"}
    with serving(answer) as provider.url:
        body = {"kind": "oidc", "name": "Okta", "client_id": "i", "client_secret": "s" * 9}
        client = Client(headers=key)
        first, second = (
            client.post(API, body | {"issuer": provider.url}, content_type="application/json")
            for _ in range(2)
        )
        body |= {"issuer": f"{provider.url}/x"}
        other = client.post(API, body, content_type="application/json")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second["Idempotency-Replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_invalid"
    assert held == [False], "asked once, by nobody who holds a transaction"
    with tenant_scope(committed.acme.id):
        assert SsoConnection.objects.filter(organization_id=committed.acme.id).count() == 1


def test_what_a_provider_says_wrong_may_be_repeated_under_the_same_key(committed: Cast) -> None:
    told = {"kind": "saml", "name": "Okta", "metadata_url": "http://127.0.0.1:9/"}
    key = {"Authorization": f"Bearer {committed.acme_key}", "Idempotency-Key": "k2"}
    for _ in range(2):
        answer = Client(headers=key).post(API, told, content_type="application/json")
        assert (answer.status_code, answer.json()["field"]) == (422, "metadata_url")


@pytest.mark.django_db
def test_providers_are_asked_so_often_a_minute(cast: Cast, issuer: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("tenancy.sso.details.QUESTIONS_PER_MINUTE_MAX", 2)
    body = {"kind": "oidc", "name": "Okta", "client_id": "i", "client_secret": "s" * 9}
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})
    answers = [
        client.post(API, body | {"issuer": issuer}, content_type="application/json")
        for _ in range(5)
    ]
    # The minute may turn in between, but not three times.
    assert answers[0].status_code == 201
    refused = [answer for answer in answers if answer.status_code != 201]
    assert refused
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_questions")
        assert 0 < int(answer["Retry-After"]) <= 60
    shown = signed_in(cast.alice).post(f"{PAGE}/sso", body | {"issuer": issuer})
    assert shown.status_code == 429
    assert b"a minute" in shown.content


@pytest.mark.django_db
def test_no_key_pair_is_made_for_what_is_refused(cast: Cast, monkeypatch: Any) -> None:
    pairs: list[Any] = []

    def counted(now: Any) -> KeyPair:
        pairs.append(now)
        return KeyPair("a certificate", "a key")

    monkeypatch.setattr("tenancy.sso.services.new_key_pair", counted)
    monkeypatch.setattr("tenancy.sso.details.QUESTIONS_PER_MINUTE_MAX", 0)
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})

    def send(**more: str) -> Any:
        body = {"kind": "saml", "name": "IdP"} | more
        return client.post(API, body, content_type="application/json")

    metadata = IdentityProvider().metadata()
    refused = send()
    assert (refused.status_code, refused.json()["field"]) == (422, "idp_entity_id")
    assert send(metadata=metadata).json()["code"] == "too_many_questions"
    assert pairs == []
    monkeypatch.setattr("tenancy.sso.details.QUESTIONS_PER_MINUTE_MAX", 1000)
    monkeypatch.setattr("tenancy.sso.services.CONNECTIONS_MAX", 1)
    assert send(metadata=metadata).status_code == 201
    full = send(metadata=metadata)
    assert (full.status_code, full.json()["field"]) == (422, "kind")
    assert len(pairs) == 1


@pytest.mark.django_db
def test_a_connection_has_versions(cast: Cast, issuer: str) -> None:
    path = f"{API}/{made(cast, issuer).id}"
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})

    def rename(name: str, tag: str) -> Any:
        body = {"name": name}
        return client.patch(path, body, content_type="application/json", headers={"If-Match": tag})

    old = client.get(path)["ETag"]
    assert rename("Entra", old).status_code == 200
    refused = rename("Okta", old)
    assert (refused.status_code, refused.json()["current"]["name"]) == (412, "Entra")
    assert rename("Okta", client.get(path)["ETag"]).json()["name"] == "Okta"
