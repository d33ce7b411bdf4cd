"""The list of one's sessions: what it says, and ending one of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client

from tenancy.models import User
from tests.conftest import Cast

PAGE = "/accounts/sessions/"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)


def entered(user: User, user_agent: str) -> Client:
    cache.clear()
    client = Client(HTTP_USER_AGENT=user_agent)
    form = {"login": user.email, "password": "correct horse battery"}
    assert client.post("/accounts/login/", form).status_code == 302
    return client


def ends(page: Any) -> list[str]:
    """The addresses of the buttons that end one session."""
    return re.findall(r'action="(/accounts/sessions/\d+/end)"', page.content.decode())


@pytest.mark.django_db
def test_one_session_is_ended_and_the_others_stay(cast: Cast) -> None:
    here, phone = entered(cast.alice, WINDOWS), entered(cast.alice, IPHONE)
    third = entered(cast.alice, "curl/8.5.0")
    page = here.get(PAGE)
    text = page.content.decode()
    assert (
        text.index("Chrome on Windows")
        < text.index("This session")
        < text.index("Safari on iPhone")
    )
    assert len(ends(page)) == 2
    of_phone = UserSession.objects.get(user_agent=IPHONE)
    gone = here.post(f"/accounts/sessions/{of_phone.id}/end", follow=True)
    assert "Safari on iPhone (127.0.0.1) is signed out." in gone.content.decode()
    assert phone.get("/requests")["Location"].startswith("/accounts/login/")
    for client in (here, third):
        assert client.get("/requests").status_code == 200
    assert len(ends(gone)) == 1


@pytest.mark.django_db
def test_neither_this_session_nor_anothers_is_ended_so(cast: Cast) -> None:
    here = entered(cast.alice, WINDOWS)
    theirs = entered(cast.carol, IPHONE)
    for one in UserSession.objects.all():
        assert here.post(f"/accounts/sessions/{one.id}/end").status_code == 404
    assert here.get("/requests").status_code == 200
    assert theirs.get("/requests").status_code == 200


@pytest.mark.django_db
def test_times_are_in_the_organizations_zone(cast: Cast) -> None:
    here = entered(cast.alice, WINDOWS)
    UserSession.objects.update(created_at=datetime(2026, 1, 5, 23, 30, tzinfo=UTC))
    text = here.get(PAGE).content.decode()
    assert "Times in Europe/Berlin" in text
    assert ">6 Jan 2026, 00:30</time>" in text
