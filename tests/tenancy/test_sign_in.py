"""The sign-in page: the ways that the operator offers, and limits on attempts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from itertools import count
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from project.env import SettingError, sign_in_apps
from tenancy.browsers import browser
from tests.conftest import Cast

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def led_to(answer: Any) -> str:
    """Where the page that leads on goes by itself."""
    page = answer.content.decode()
    (address,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', page)
    return unescape(str(address))


@pytest.fixture(autouse=True)
def unlimited() -> Iterator[None]:
    """Attempts are counted in the cache, for all tests together."""
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize(
    ("name", "label", "host"),
    [("google", "Google", "accounts.google.com"), ("github", "GitHub", "github.com")],
)
def test_a_provider_is_offered_where_the_operator_set_it(
    client: Client, settings: Any, name: str, label: str, host: str
) -> None:
    offer = f"Continue with {label}".encode()
    assert offer not in client.get(LOGIN).content
    assert client.get(f"/accounts/{name}/login/").status_code == 404
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_apps(**{name: ("the-id", "the-secret")})
    page = client.get(f"{LOGIN}?next=/requests")
    assert offer in page.content
    assert b"the-secret" not in page.content
    way = f"/accounts/{name}/login/?process=login&next=%2Frequests"
    assert f'<form method="post" action="{escape(way)}">' in page.content.decode()
    location = led_to(client.post(way))
    assert location.startswith(f"https://{host}/")
    assert "client_id=the-id" in location
    assert "code_challenge=" in location


@pytest.mark.parametrize("name", ["google", "github"])
def test_no_link_and_no_other_site_signs_anybody_in(settings: Any, name: str) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_apps(**{name: ("the-id", "the-secret")})
    client = Client(enforce_csrf_checks=True)
    way = f"/accounts/{name}/login/?process=login"
    asked = client.get(way)
    assert asked.status_code == 200
    assert b'<form class="entries" method="post">' in asked.content
    assert dict(client.session) == {}
    assert client.post(way).status_code == 403


def test_half_a_provider_stops_the_start() -> None:
    with pytest.raises(SettingError, match="GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"):
        sign_in_apps(google=("the-id", ""))
    assert sign_in_apps(google=("", "")) == {}


def test_wrong_passwords_are_limited_and_alike_for_everybody(client: Client, cast: Cast) -> None:
    told = set()
    for email in (cast.alice.email, "nobody@example.com"):
        answer = client.post(LOGIN, {"login": email, "password": "wrong"})
        told.add(answer.content.count(b"errorlist"))
    assert told == {1}
    for _ in range(6):
        answer = client.post(LOGIN, {"login": cast.alice.email, "password": "wrong"})
    assert b"Too many attempts failed" in answer.content
    right = {"login": cast.alice.email, "password": "correct horse battery"}
    assert client.post(LOGIN, right).status_code == 200


def test_attempts_are_counted_by_the_address_that_proxies_saw(settings: Any, cast: Cast) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1

    calls = count()

    def ask(address: str) -> int:
        # What stands before the proxy's own word is the caller's to write.
        headers = {"X-Forwarded-For": f"198.51.100.{next(calls)}, {address}"}
        given = {"email": "x@nowhere.example"}
        return Client(headers=headers).post("/accounts/sso/", given).status_code

    assert {ask("203.0.113.1") for _ in range(30)} == {422}
    assert ask("203.0.113.1") == 429
    assert ask("203.0.113.2") == 422


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("curl/8.5", "curl/8.5"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(said: str, shown: str) -> None:
    assert browser(said) == shown


def test_a_lone_confirmed_address_offers_nothing_that_cannot_be_done(
    as_alice: Client, cast: Cast
) -> None:
    def offered() -> list[str]:
        html = as_alice.get("/accounts/email/").content.decode()
        return re.findall(r'name="action_(\w+)"', html)

    EmailAddress.objects.filter(user=cast.alice).update(verified=True)
    assert offered() == ["add"]
    EmailAddress.objects.create(user=cast.alice, email="second@example.com", verified=False)
    assert offered() == ["primary", "send", "remove", "add"]


def test_signing_up_hides_who_has_an_account_where_mail_is_set_up(
    cast: Cast, settings: Any
) -> None:
    settings.EMAIL_CONSOLE = False
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    told = []
    for email in (cast.alice.email, "nobody@new.example.com"):
        browser = Client()
        form = {"email": email, "password1": "correct horse battery"}
        answer = browser.post("/accounts/signup/", form, follow=True)
        page = re.sub(r'[Tt]oken" ?(value=|:)"\w+"', "", answer.content.decode())
        told.append((answer.redirect_chain, page.replace(email, "EMAIL").splitlines()))
    assert told[0] == told[1]
    known, unknown = mail.outbox
    assert (known.to, known.subject) == ([cast.alice.email], "You have an account already")
    assert (unknown.to, unknown.subject) == (
        ["nobody@new.example.com"],
        "Confirm your email address",
    )
