"""Single sign-on in a real browser: by a real OpenID provider, and by a SAML one."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect

from tenancy.core import SYSTEM
from tenancy.models import SsoConnection, User
from tenancy.pages import memberships_of
from tenancy.scope import tenant_scope
from tenancy.sso.details import Details
from tenancy.sso.services import add_domain, create_connection, verify_domain
from tests.e2e import upstreams
from tests.e2e.browsing import Open
from tests.e2e.pages_server import House
from tests.tenancy.saml_idp import IdentityProvider

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
PASSWORD = "her own password over there"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running OpenID provider."""
    place: Path = tmp_path_factory.mktemp("idp")
    port = upstreams.free_port()
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "IDP_DATABASE": str(place / "idp.sqlite3")}
    ready = upstreams.answers(f"{url}/.well-known/openid-configuration")
    command = [sys.executable, "-m", "tests.e2e.idp", str(port)]
    with upstreams.running(command, place / "idp.log", env=env, is_ready=ready):
        yield url


def register(provider: str, address: str, connection_id: str, *people: str) -> None:
    told = {
        "client_id": "router",
        "client_secret": "client secret",
        "redirect_uri": f"{address}/accounts/oidc/{connection_id}/login/callback/",
        "people": dict.fromkeys(people, PASSWORD),
    }
    body = json.dumps(told).encode()
    with urllib.request.urlopen(f"{provider}/register", data=body, timeout=10) as answer:
        assert answer.status == 200


def connect(house: House, domain: str, kind: str, **details: str) -> SsoConnection:
    id_ = house.organization.id
    made = create_connection(
        id_, kind=kind, details=Details(name="Acme login", **details), actor=SYSTEM
    )
    added = add_domain(id_, made.id, domain=domain, actor=SYSTEM)
    verify_domain(id_, made.id, added.id, actor=SYSTEM, lookup=None)
    return made


def start(browser: Browser, address: str, email: str) -> Page:
    """From the sign-in page to where the organization's provider takes over."""
    cache.clear()
    page = browser.new_context(base_url=address).new_page()
    page.goto("/requests")
    page.get_by_role("link", name="Continue with single sign-on").click()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Continue").click()
    return page


def sign_in_there(page: Page, provider: str, email: str) -> None:
    page.wait_for_url(re.compile(re.escape(provider)))
    page.locator("[name=login]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign In").click()
    page.locator("button[value=grant]").click()


def test_an_admin_connects_a_provider_and_people_come_in(
    browser: Browser, open_page: Open, house: House, address: str, provider: str
) -> None:
    domain = f"{house.organization.id.hex}.example"
    erin, mallory = f"erin@{domain}", "mallory@elsewhere.example"
    page = open_page("/organization/security")
    page.get_by_role("link", name="Connect OpenID").click()
    page.get_by_label("Name").fill("Acme login")
    page.get_by_label("Issuer").fill(provider + "/nothing")
    page.get_by_label("Client ID").fill("router")
    page.get_by_label("Client secret").fill("client secret")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_label("Issuer")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Issuer").fill(provider)
    page.get_by_label("Client secret").fill("client secret")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("Acme login is connected")).to_be_visible()
    page.get_by_label("Email domain for Acme login").fill(domain)
    page.get_by_role("button", name="Add domain").click()
    expect(page.get_by_text("Not proved")).to_be_visible()
    with tenant_scope(house.organization.id):
        made = SsoConnection.objects.get(organization=house.organization)
        added = made.domains.get()
    verify_domain(house.organization.id, made.id, added.id, actor=SYSTEM, lookup=None)
    register(provider, address, str(made.id), erin, mallory)

    page = start(browser, address, erin)
    sign_in_there(page, provider, erin)
    page.wait_for_url(f"{address}/requests")
    user = User.objects.get(email=erin)
    assert user.name == "Erin Ek"
    (member,) = memberships_of(user)
    assert (member.organization_id, member.role) == (house.organization.id, "member")

    page = start(browser, address, erin)
    sign_in_there(page, provider, mallory)
    expect(page.get_by_text("it is of another domain")).to_be_visible()
    assert not User.objects.filter(email=mallory).exists()
    page.goto("/requests")
    expect(page.locator("h1")).to_have_text("Sign in")


@contextmanager
def saml_provider(email: str) -> Iterator[IdentityProvider]:
    """A SAML provider on a port of its own, where ``email`` is signed in already."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = idp.read_request(self.path)
            fields = {"SAMLResponse": idp.answer(asked, email), "RelayState": ""}
            inputs = "".join(f'<input name="{n}" value="{v}">' for n, v in fields.items())
            form = (
                f'<form method="post" action="{asked.acs_url}">{inputs}<button>Go</button></form>'
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>Provider</title>{form}".encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests say what is wrong."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        idp = IdentityProvider(f"http://127.0.0.1:{server.server_port}/sso")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield idp
        server.shutdown()
        thread.join()


def test_saml_in_a_browser(browser: Browser, house: House, address: str) -> None:
    domain = f"saml-{house.organization.id.hex}.example"
    email = f"erin@{domain}"
    # Another host than ours, so that no cookie of ours comes along with its answer.
    ours = address.replace("127.0.0.1", "localhost")
    with saml_provider(email) as idp:
        connect(house, domain, "saml", metadata=idp.metadata())
        page = start(browser, ours, email)
        page.get_by_role("button", name="Go").click()
        page.wait_for_url(f"{ours}/requests")
    (member,) = memberships_of(User.objects.get(email=email))
    assert member.organization_id == house.organization.id


def test_a_second_look_at_the_way_in(browser: Browser, house: House, address: str) -> None:
    page = start(browser, address, "somebody@nowhere.example")
    field = page.get_by_label("Email")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("No organization here signs in nowhere.example")).to_be_visible()
    context: Any = page.context
    context.close()
