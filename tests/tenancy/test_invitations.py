"""Invitations: from the mail to the membership, and every way in which they end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from lib.errors import RouterError
from tenancy import invitations, members
from tenancy.core import SYSTEM, Actor, Role
from tenancy.models import AuditEntry, Invitation, Membership, User
from tenancy.scope import tenant_scope
from tenancy.services import create_user
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.django_db
NEW = "dave@new.example.com"
PASSWORD = "correct horse battery"
ALICE = Actor("user", None, "alice-test@example.com")
Commits = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def fresh_counts() -> Iterator[None]:
    """Sign-up counts attempts in the cache."""
    cache.clear()
    yield
    cache.clear()


def invite(cast: Cast, email: str = NEW, role: Role = Role.MEMBER) -> invitations.Sent:
    return invitations.invite(cast.acme.id, email=email, role=role, by=Role.OWNER, actor=ALICE)


def path(sent: invitations.Sent) -> str:
    return "/invitations/" + sent.link.rpartition("/")[2]


def change(cast: Cast, sent: invitations.Sent, **values: Any) -> None:
    with tenant_scope(cast.acme.id):
        Invitation.objects.filter(id=sent.invitation.id).update(**values)


def role_of(cast: Cast, user: User) -> str | None:
    with tenant_scope(cast.acme.id):
        return Membership.objects.filter(user=user).values_list("role", flat=True).first()


def refused(status: int, code: str) -> Any:
    return pytest.raises(RouterError, check=lambda why: (why.status, why.code) == (status, code))


def test_the_mail_says_who_invites_where_to_as_text_and_html(
    cast: Cast, django_capture_on_commit_callbacks: Commits
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        sent = invite(cast, email="  Dave@New.example.com ")
    (message,) = mail.outbox
    assert message.to == [NEW]
    assert message.subject == "Join Acme test on Enterprise Router"
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    for text in (message.body, html):
        assert sent.link in text
        assert "alice-test@example.com" in text
        assert "7 days" in text


def test_the_token_is_nowhere_in_the_database(cast: Cast) -> None:
    token = path(invite(cast)).rpartition("/")[2]
    with tenant_scope(cast.acme.id), connection.cursor() as cursor:
        for table in ("tenancy_invitation", "tenancy_auditentry"):
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
            assert token not in str(cursor.fetchall())


def test_a_user_with_the_address_joins_once(cast: Cast) -> None:
    dave = create_user(NEW, None)
    sent = invite(cast)
    browser = signed_in(dave)
    page = browser.get(path(sent))
    assert b"Join as dave@new.example.com" in page.content
    assert "no-store" in page["Cache-Control"]
    assert browser.post(path(sent))["Location"] == "/enterprise-router/"
    assert role_of(cast, dave) == "member"
    assert b"Acme test" in browser.get("/members").content
    assert browser.post(path(sent)).status_code == 410
    assert b"accepted already" in browser.get(path(sent)).content


@pytest.mark.parametrize("with_mail", [True, False])
def test_a_new_user_signs_up_and_comes_back_to_join(
    cast: Cast, client: Client, settings: Any, with_mail: bool
) -> None:
    settings.EMAIL_CONSOLE = not with_mail
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory" if with_mail else "optional"
    sent = invite(cast)
    page = client.get(path(sent)).content.decode()
    sign_up = re.search(r'href="(/accounts/signup/[^"]+)"', page)
    assert sign_up
    url = sign_up.group(1).replace("&amp;", "&")
    form = client.get(url).content.decode()
    assert f'value="{NEW}"' in form
    assert "You join the organization that invited you" in form
    assert "You name your organization" not in form
    answer = client.post(
        url, {"email": NEW, "password1": PASSWORD, "next": path(sent)}, follow=True
    )
    assert answer.redirect_chain[-1][0] == path(sent)
    assert b"Join as dave@new.example.com" in answer.content
    client.post(path(sent))
    assert role_of(cast, User.objects.get(email=NEW)) == "member"


def test_signing_in_leads_back_to_the_invitation(cast: Cast, client: Client) -> None:
    create_user(NEW, PASSWORD)
    sent = invite(cast)
    page = client.get(path(sent)).content.decode()
    found = re.search(r'href="(/accounts/login/[^"]+)"', page)
    assert found
    answer = client.post(
        found.group(1), {"login": NEW, "password": PASSWORD, "next": path(sent)}, follow=True
    )
    assert answer.redirect_chain[-1][0] == path(sent)
    assert b"Join as" in answer.content


def test_another_address_gets_told_and_no_membership(cast: Cast) -> None:
    sent = invite(cast)
    browser = signed_in(cast.carol)
    answer = browser.get(path(sent))
    assert answer.status_code == 403
    assert b"carol-test@example.com" in answer.content
    assert b"Sign out and go on" in answer.content
    assert browser.post(path(sent)).status_code == 403
    assert role_of(cast, cast.carol) is None
    out = browser.post("/accounts/logout/", {"next": path(sent)})
    assert out["Location"] == path(sent)


def test_a_second_verified_address_counts(cast: Cast) -> None:
    from allauth.account.models import EmailAddress

    sent = invite(cast)
    other = EmailAddress.objects.create(user=cast.carol, email=NEW, verified=False)
    assert signed_in(cast.carol).post(path(sent)).status_code == 403
    other.verified = True
    other.save()
    assert signed_in(cast.carol).post(path(sent)).status_code == 302


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, b"has expired"),
        ({"withdrawn_at": timezone.now()}, b"was withdrawn"),
    ],
)
def test_one_that_is_over_says_so(cast: Cast, values: dict[str, Any], said: bytes) -> None:
    sent = invite(cast)
    change(cast, sent, **values)
    browser = signed_in(create_user(NEW, None))
    for answer in (browser.get(path(sent)), browser.post(path(sent)), Client().get(path(sent))):
        assert answer.status_code == 410
        assert said in answer.content


def test_it_is_good_for_seven_days(cast: Cast) -> None:
    found = invite(cast).invitation
    assert found.expires_at - found.sent_at == timedelta(days=7)


def test_sending_again_ends_the_older_link(
    cast: Cast, django_capture_on_commit_callbacks: Commits
) -> None:
    first = invite(cast)
    with refused(429, "rate_limit_exceeded"):
        invitations.resend(cast.acme.id, first.invitation.id, by=Role.ADMIN, actor=ALICE)
    change(cast, first, sent_at=timezone.now() - timedelta(minutes=2))
    with django_capture_on_commit_callbacks(execute=True):
        second = invitations.resend(cast.acme.id, first.invitation.id, by=Role.ADMIN, actor=ALICE)
    assert second.link in str(mail.outbox[-1].body)
    assert Client().get(path(first)).status_code == 404
    assert Client().get(path(second)).status_code == 200
    offer = invitations.offer_of(second.link.rpartition("/")[2])
    assert offer
    change(cast, first, sent_at=timezone.now() - timedelta(minutes=2))
    invitations.resend(cast.acme.id, first.invitation.id, by=Role.ADMIN, actor=ALICE)
    with refused(410, "gone"):
        invitations.accept(offer, create_user(NEW, None), actor=ALICE)


def test_nobody_is_invited_twice_or_as_a_member(cast: Cast) -> None:
    sent = invite(cast)
    with refused(409, "already_invited"):
        invite(cast, email=NEW.upper())
    with refused(409, "already_member"):
        invite(cast, email="BOB-test@example.com")
    change(cast, sent, expires_at=timezone.now() - timedelta(days=1))
    assert invite(cast).invitation.id != sent.invitation.id
    with refused(422, "invalid_value"):
        invite(cast, email="no address")


def test_an_hour_has_its_most(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "SENDS_PER_HOUR_MAX", 3)
    for number in range(3):
        invite(cast, email=f"d{number}@new.example.com")
    with refused(429, "rate_limit_exceeded"):
        invite(cast)


def test_only_owners_invite_owners(cast: Cast) -> None:
    def ask(role: Role, by: Role) -> None:
        invitations.invite(cast.acme.id, email=NEW, role=role, by=by, actor=ALICE)

    with refused(403, "role_missing"):
        ask(Role.OWNER, Role.ADMIN)
    with refused(403, "role_missing"):
        ask(Role.VIEWER, Role.MEMBER)
    sent = invite(cast, role=Role.OWNER)
    with refused(403, "role_missing"):
        invitations.resend(cast.acme.id, sent.invitation.id, by=Role.ADMIN, actor=ALICE)


def test_a_mail_that_is_not_taken_shows_on_the_page(
    cast: Cast, as_alice: Client, settings: Any, django_capture_on_commit_callbacks: Commits
) -> None:
    settings.EMAIL_CONSOLE = False
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    with django_capture_on_commit_callbacks(execute=True):
        answer = as_alice.post("/members/invite", {"email": NEW, "role": "member"})
    assert answer.status_code == 302
    page = as_alice.get("/members").content.decode()
    assert "Not delivered" in page


def test_the_link_is_shown_once_and_only_without_a_mail_server(
    as_alice: Client, settings: Any
) -> None:
    shown = as_alice.post("/members/invite", {"email": NEW, "role": "member"})
    assert b"/invitations/" in shown.content
    assert shown["Cache-Control"] == "no-store"
    page = as_alice.get("/members").content.decode()
    assert NEW in page
    assert 'id="link"' not in page
    settings.EMAIL_CONSOLE = False
    hidden = as_alice.post("/members/invite", {"email": "x@new.example.com", "role": "member"})
    assert hidden.status_code == 302


def test_what_is_wrong_stands_beside_the_field(as_alice: Client) -> None:
    answer = as_alice.post("/members/invite", {"email": "nobody", "role": "admin"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="nobody"' in page
    assert 'aria-describedby="invite-error"' in page
    assert '<option value="admin" selected>' in page


def sent_by(cast: Cast, user: User, by: Role, role: Role, email: str = NEW) -> invitations.Sent:
    actor = Actor("user", user.id, user.email)
    return invitations.invite(cast.acme.id, email=email, role=role, by=by, actor=actor)


def bob_is(cast: Cast, role: Role) -> Membership:
    with tenant_scope(cast.acme.id):
        Membership.objects.filter(user=cast.bob).update(role=role)
        return Membership.objects.get(user=cast.bob)


@pytest.mark.parametrize("how", ["demoted", "removed", "left"])
def test_an_invitation_ends_with_the_role_that_it_rests_on(cast: Cast, how: str) -> None:
    bob = bob_is(cast, Role.ADMIN)
    sent = sent_by(cast, cast.bob, Role.ADMIN, Role.ADMIN)
    others = sent_by(cast, cast.alice, Role.OWNER, Role.MEMBER, "other@example.com")
    if how == "demoted":
        members.set_role(cast.acme.id, bob.id, Role.MEMBER, by=Role.OWNER, actor=SYSTEM)
    elif how == "removed":
        members.remove_member(cast.acme.id, bob.id, by=Role.OWNER, actor=SYSTEM)
    else:
        members.leave(cast.acme.id, cast.bob, actor=SYSTEM)
    guest = signed_in(create_user(NEW, None))
    answer = guest.post(path(sent))
    assert answer.status_code == 410
    assert b"This invitation was withdrawn" in answer.content
    assert b"Ask an admin of" in answer.content
    assert Client().get(path(others)).status_code == 200
    with tenant_scope(cast.acme.id):
        (entry,) = AuditEntry.objects.filter(action="invitation.withdraw")
    assert (entry.object_name, entry.before) == (NEW, {"role": "admin"})


def test_what_an_owner_offered_and_an_admin_may_not_ends_when_ownership_goes(cast: Cast) -> None:
    owners = sent_by(cast, cast.alice, Role.OWNER, Role.OWNER)
    plain = sent_by(cast, cast.alice, Role.OWNER, Role.ADMIN, "other@example.com")
    bob = bob_is(cast, Role.ADMIN)
    giver = Actor("user", cast.alice.id, cast.alice.email)
    members.transfer_ownership(cast.acme.id, bob.id, owner=cast.alice, actor=giver)
    assert Client().get(path(owners)).status_code == 410
    assert Client().get(path(plain)).status_code == 200


def test_one_that_was_sent_while_its_sender_was_demoted_is_not_good(cast: Cast) -> None:
    # Its request began before the demotion, and it was written after it.
    sent = sent_by(cast, cast.bob, Role.ADMIN, Role.ADMIN)
    answer = signed_in(create_user(NEW, None)).post(path(sent))
    assert answer.status_code == 410
    assert b"may no longer give its role" in answer.content


def test_who_sends_it_again_stands_for_it(cast: Cast) -> None:
    bob = bob_is(cast, Role.ADMIN)
    sent = sent_by(cast, cast.bob, Role.ADMIN, Role.MEMBER)
    change(cast, sent, sent_at=timezone.now() - timedelta(hours=1))
    alice = Actor("user", cast.alice.id, cast.alice.email)
    again = invitations.resend(cast.acme.id, sent.invitation.id, by=Role.OWNER, actor=alice)
    members.remove_member(cast.acme.id, bob.id, by=Role.OWNER, actor=SYSTEM)
    assert Client().get(path(again)).status_code == 200


def test_all_invitations_are_reached_page_by_page(cast: Cast, as_alice: Client) -> None:
    for n in range(53):
        with tenant_scope(cast.acme.id):
            Invitation.objects.create(
                id=UUID(int=n + 1),  # of those of one millisecond nobody knows which came first
                organization=cast.acme,
                email=f"guest-{n:02}@example.com",
                role=Role.MEMBER,
                digest=n.to_bytes(32),
                invited_by="alice",
                sent_at=timezone.now() - timedelta(hours=2),
                expires_at=timezone.now() + timedelta(days=1),
            )
    first = as_alice.get("/members").content.decode()
    assert shown(first) == [f"guest-{n:02}@example.com" for n in range(52, 2, -1)]
    (older,) = re.findall(r'href="(/members\?before=[^"]+)"', first)
    swap = as_alice.get(older, headers={"HX-Request": "true", "HX-Target": "invited"})
    part = swap.content.decode()
    assert "<!doctype html>" not in part
    assert shown(part) == [f"guest-{n:02}@example.com" for n in range(2, -1, -1)]
    assert "before=" not in part
    assert "← Newest" in part
    assert shown(as_alice.get(older).content.decode()) == shown(part)


def shown(page: str) -> list[str]:
    return re.findall(r'title="(guest-\d\d@example.com)"', page)
