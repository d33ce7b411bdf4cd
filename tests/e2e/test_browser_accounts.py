"""Getting in, in a real browser: addresses, passwords, second factors, passkeys and sessions."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect

from tenancy.core import SYSTEM, Role
from tenancy.models import Organization, User, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tests.e2e.browsing import SIZES, Open
from tests.e2e.pages_server import House
from tests.e2e.test_browser_looks import AXE, run_axe

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple of another kind"


@pytest.fixture(autouse=True)
def unlimited() -> Iterator[None]:
    """Attempts are counted in the cache, for all tests together."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def member(house: House) -> User:
    """Somebody who signs in with a password."""
    user = create_user(f"mia-{new_id().hex[-12:]}@example.com", PASSWORD)
    add_member(house.organization.id, user=user, role=Role.MEMBER, actor=SYSTEM)
    return user


def visit(browser: Browser, address: str, path: str, **options: Any) -> Page:
    page = browser.new_context(base_url=address, **options).new_page()
    page.goto(path)
    return page


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def link_in_mail(pattern: str) -> str:
    """The path of the link in the newest message."""
    found = re.search(rf"http://[^/\s]+({pattern}\S+)", str(mail.outbox[-1].body))
    assert found, mail.outbox[-1].body
    return found[1]


def code(secret: str, steps: int = 0) -> str:
    """What an authenticator app shows so many steps of 30 seconds from now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def test_an_address_is_confirmed_and_a_password_reset_by_mail(
    browser: Browser, house: House, address: str, settings: Any
) -> None:
    settings.EMAIL_CONSOLE = False
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    email = f"nina-{house.organization.id.hex[-12:]}@example.com"
    page = visit(browser, address, "/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.locator("h1")).to_have_text("Confirm your email address")
    page.goto(link_in_mail("/accounts/confirm-email/"))
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("h1")).to_have_text("Sign in")
    sign_in(page, email)
    expect(page.locator("h1")).to_have_text("Name your organization")
    page.get_by_role("button", name="Sign out").click()

    page.goto("/accounts/password/reset/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.locator("h1")).to_have_text("Look into your mail")
    link = link_in_mail("/accounts/password/reset/key/")
    page.goto(link)
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    if page.get_by_label("New password (again)").count():
        page.get_by_label("New password (again)").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.locator("h1")).to_have_text("Your password is changed")
    assert mail.outbox[-1].subject == "Your password was reset"
    page.goto(link)
    expect(page.locator("h1")).to_have_text("This link does not work any more")
    page.goto("/accounts/login/")
    sign_in(page, email)
    expect(page.locator("h1")).to_have_text("Sign in")
    sign_in(page, email, NEW_PASSWORD)
    expect(page.locator("h1")).to_have_text("Name your organization")


def test_a_required_second_factor_by_app_and_by_recovery_code(
    browser: Browser, house: House, address: str, member: User
) -> None:
    with tenant_scope(house.organization.id):
        Organization.objects.filter(id=house.organization.id).update(require_mfa=True)
    page = visit(browser, address, "/requests")
    sign_in(page, member.email)
    expect(page.get_by_text(f"{house.organization.name} requires it.")).to_be_visible()
    page.goto("/enterprise-router/preferences")
    expect(page.locator("h1")).to_have_text("Two-factor authentication")
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 0
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Authenticator code").fill("000000")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    assert page.locator("#secret").inner_text() == secret
    page.get_by_label("Authenticator code").fill(code(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("h1")).to_have_text("Recovery codes")
    recovery = page.locator(".codes code").all_inner_texts()
    assert len(recovery) == 10
    assert [message.subject for message in mail.outbox] == ["Authenticator app added"]
    page.goto("/requests")
    expect(page.locator("h1")).to_have_text("Requests")

    # It cannot be put away while it is required.
    page.goto("/accounts/2fa/totp/deactivate/")
    expect(page.get_by_text("Your organization requires a second factor.")).to_be_visible()

    for second in (code(secret, 1), recovery[0]):
        page = visit(browser, address, "/requests")
        sign_in(page, member.email)
        expect(page.locator("h1")).to_have_text("Two-factor authentication")
        page.get_by_label("Code").fill(second)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.locator("h1")).to_have_text("Requests")
    page = visit(browser, address, "/requests")
    sign_in(page, member.email)
    page.get_by_label("Code").fill(recovery[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()


def test_a_passkey_signs_in_alone_and_as_the_second_factor(
    browser: Browser, house: House, address: str, member: User
) -> None:
    # A key belongs to a name; no name is made of numbers.
    address = address.replace("127.0.0.1", "localhost")
    page = visit(browser, address, "/requests")
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    sign_in(page, member.email)
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add this key").click()
    expect(page.locator("h1")).to_have_text("Recovery codes")
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("Laptop")).to_be_visible()
    assert "Security key added" in {message.subject for message in mail.outbox}

    page.goto("/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(re.compile("/(enterprise-router|get-started)"))

    page.goto("/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, member.email)
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(re.compile("/(enterprise-router|get-started)"))
    assert said == []


def test_other_sessions_are_signed_out(
    browser: Browser, house: House, address: str, member: User
) -> None:
    first = visit(browser, address, "/requests", user_agent="iPhone OS 18 Safari/604.1")
    sign_in(first, member.email)
    sent = len(mail.outbox)
    second = visit(
        browser, address, "/requests", user_agent="Windows NT 10.0 Chrome/142.0 Safari/537.36"
    )
    sign_in(second, member.email)
    expect(second.locator("h1")).to_have_text("Requests")
    assert [message.subject for message in mail.outbox[sent:]] == ["New sign-in to your account"]
    second.goto("/accounts/sessions/")
    expect(second.locator("li", has_text="Chrome on Windows")).to_contain_text("This session")
    phone = second.locator("li", has_text="Safari on iPhone")
    phone.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(second.get_by_text("Safari on iPhone (127.0.0.1) is signed out.")).to_be_visible()
    expect(phone).to_have_count(0)
    first.goto("/requests")
    expect(first.locator("h1")).to_have_text("Sign in")
    sign_in(first, member.email)
    second.reload()
    second.get_by_role("button", name="Sign out everywhere else").click()
    expect(phone).to_have_count(0)
    first.goto("/requests")
    expect(first.locator("h1")).to_have_text("Sign in")
    second.goto("/requests")
    expect(second.locator("h1")).to_have_text("Requests")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_nothing_on_the_way_in(
    open_page: Open, house: House, theme: str, width: int
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed under var/node")
    page = open_page("/organization/security", width=width, color_scheme=theme, bypass_csp=True)
    found = {}
    for path in (
        "/organization/security",
        "/organization/security/sso?kind=oidc",
        "/organization/security/sso?kind=saml",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/webauthn/add/",
        "/accounts/sso/",
        "/accounts/sessions/",
        "/accounts/3rdparty/login/cancelled/",
        "/accounts/confirm-email/nonsense/",
    ):
        page.goto(path)
        if violations := run_axe(page):
            found[path] = violations
        if page.evaluate("document.documentElement.scrollWidth - innerWidth"):
            found[path, "wide"] = []
    assert found == {}
