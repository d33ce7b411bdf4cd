"""Mail: every message as text and HTML in one layout, and over a real SMTP connection."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.core.mail import get_connection
from django.test import Client
from django.utils import timezone

from project import env
from tenancy.mail import make_mail, send_mail
from tests.conftest import Cast
from tests.tenancy.smtp_server import mail_server

TEMPLATES = Path(django_settings.BASE_DIR) / "templates"
NAMES = sorted(
    path.relative_to(TEMPLATES).as_posix().removesuffix("_subject.txt")
    for path in TEMPLATES.rglob("*_subject.txt")
)
HOSTILE = "<script>alert(1)</script> & Söhne"
LINK = "https://router.example.com/x?a=1&b=2"
CONTEXT: dict[str, Any] = {
    "timestamp": timezone.now(),
    "ip": "203.0.113.7",
    "user_agent": HOSTILE,
    "provider": HOSTILE,
    "deleted_email": "old@example.com",
    "from_email": "old@example.com",
    "to_email": "new@example.com",
    **dict.fromkeys(("activate_url", "password_reset_url", "signup_url"), LINK),
}


def test_there_are_messages() -> None:
    assert len(NAMES) >= 19


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_text_and_html_in_the_one_layout(name: str) -> None:
    message = make_mail(name, "alice@example.com", CONTEXT)
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    assert message.subject
    assert "\n" not in message.subject
    assert "&amp;" not in message.subject + str(message.body)
    assert django_settings.PUBLIC_URL in message.body
    assert "<script>" not in str(html)
    assert "Enterprise Router</td>" in str(html)
    # Nothing is loaded, so that nobody learns when it was opened.
    assert re.findall(r"<(?:img|link|script|iframe)", str(html)) == []
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("mfa/", "socialaccount/"))])
def test_a_notice_says_when_and_from_where_as_it_was(name: str) -> None:
    message = make_mail(name, "alice@example.com", CONTEXT)
    assert HOSTILE in str(message.body)
    assert "203.0.113.7" in str(message.body)
    assert "UTC" in str(message.body)


def test_mail_reaches_a_real_server_with_its_password(monkeypatch: Any, settings: Any) -> None:
    with mail_server() as server:
        monkeypatch.setenv("EMAIL_URL", f"smtp://router:p%40ss@127.0.0.1:{server.port}/")
        for name, value in env.mail("EMAIL_URL").items():
            setattr(settings, name, value)
        send_mail("mfa/email/totp_activated", "alice@example.com", CONTEXT)
    (message,) = server.messages
    assert message["To"] == "alice@example.com"
    assert message["From"] == settings.DEFAULT_FROM_EMAIL
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    (auth,) = [words.split()[-1] for words in server.said if words.startswith("AUTH")]
    assert base64.b64decode(auth) == b"\0router\0p@ss"


@pytest.mark.django_db
def test_changing_the_password_sends_a_notice(client: Client, cast: Cast) -> None:
    client.force_login(cast.alice)
    new = "a much longer battery staple"
    given = {"oldpassword": "correct horse battery", "password": new, "password1": new}
    assert client.post("/accounts/password/change/", given | {"password2": new}).status_code == 302
    (message,) = mail.outbox
    assert message.subject == "Your password was changed"
    assert "127.0.0.1" in str(message.body)
    assert len(message.alternatives) == 1  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_resetting_a_password_answers_alike_for_everybody(client: Client, cast: Cast) -> None:
    for email in (cast.alice.email, "nobody@example.com"):
        answer = client.post("/accounts/password/reset/", {"email": email})
        assert answer["Location"] == "/accounts/password/reset/done/"
    known, unknown = mail.outbox
    assert known.subject == "Reset your password"
    assert unknown.subject == "There is no account for this address"
    assert re.search(r"/accounts/password/reset/key/\S+", str(known.body))


@pytest.mark.django_db
def test_a_mail_server_that_is_down_is_told_of(client: Client, cast: Cast, settings: Any) -> None:
    with mail_server() as server:
        port = server.port
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    answer = client.post("/accounts/password/reset/", {"email": cast.alice.email}, follow=True)
    assert answer.status_code == 200
    assert b"could not be sent" in answer.content


@pytest.mark.parametrize("in_terminal", [True, False])
def test_pages_say_where_messages_go(
    client: Client, as_alice: Client, cast: Cast, settings: Any, in_terminal: bool
) -> None:
    settings.EMAIL_CONSOLE = in_terminal
    # An address gets one link in three minutes.
    more = f"more-{in_terminal}@example.com".lower()
    asked = client.post("/accounts/password/reset/", {"email": cast.alice.email}, follow=True)
    waits = client.get("/accounts/confirm-email/")
    added = as_alice.post("/accounts/email/", {"email": more, "action_add": ""}, follow=True)
    for page in (asked, waits, added):
        said = page.content.decode()
        assert page.status_code == 200
        assert ("No mail server is set up here" in said) is in_terminal
    said = added.content.decode()
    assert (f"Confirmation email sent to {more}." in said) is not in_terminal


def test_without_a_server_a_message_is_printed_without_its_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    backend = get_connection(str(env.mail("EMAIL_URL")["EMAIL_BACKEND"]))
    message = make_mail("account/email/password_reset_key", "erin@example.com", CONTEXT)
    assert backend.send_messages([message]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(f"Mail to erin@example.com: {message.subject}\n\n")
    assert LINK in printed
    assert "<" not in printed.replace(HOSTILE, "")
    assert "Content-Type" not in printed
