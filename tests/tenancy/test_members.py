"""Members: roles, removal, leaving, handing over; and that an owner always remains."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from lib.errors import RouterError
from tenancy import members
from tenancy.core import SYSTEM, Actor, Role, Scope
from tenancy.models import ApiKey, AuditEntry, Membership, User
from tenancy.pages import memberships_of
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_user, revoke_key, rotate_key
from tests.conftest import Cast, signed_in


def membership(cast: Cast, user: User) -> Membership:
    with tenant_scope(cast.acme.id):
        return Membership.objects.get(user=user)


def role_of(cast: Cast, user: User) -> str | None:
    with tenant_scope(cast.acme.id):
        return Membership.objects.filter(user=user).values_list("role", flat=True).first()


def refused(status: int, code: str) -> Any:
    return pytest.raises(RouterError, check=lambda why: (why.status, why.code) == (status, code))


def test_the_only_owner_is_not_demoted_removed_and_does_not_leave(cast: Cast) -> None:
    id_, owner = cast.acme.id, membership(cast, cast.alice)
    with refused(409, "last_owner"):
        members.set_role(id_, owner.id, Role.ADMIN, by=Role.OWNER, actor=SYSTEM)
    with refused(409, "last_owner"):
        members.remove_member(id_, owner.id, by=Role.OWNER, actor=SYSTEM)
    with refused(409, "last_owner"):
        members.leave(id_, cast.alice, actor=SYSTEM)
    with refused(409, "last_owner"):
        add_member(id_, user=cast.alice, role=Role.VIEWER, actor=SYSTEM)
    assert role_of(cast, cast.alice) == "owner"


def test_one_of_two_owners_goes(cast: Cast) -> None:
    id_ = cast.acme.id
    add_member(id_, user=cast.bob, role=Role.OWNER, actor=SYSTEM)
    owner = membership(cast, cast.alice)
    members.set_role(id_, owner.id, Role.MEMBER, by=Role.OWNER, actor=SYSTEM)
    assert role_of(cast, cast.alice) == "member"
    with refused(409, "last_owner"):
        members.leave(id_, cast.bob, actor=SYSTEM)


def test_admins_neither_make_nor_unmake_owners(cast: Cast) -> None:
    id_, bob = cast.acme.id, membership(cast, cast.bob)
    add_member(id_, user=cast.carol, role=Role.OWNER, actor=SYSTEM)
    owner = membership(cast, cast.alice)
    with refused(403, "role_missing"):
        members.set_role(id_, bob.id, Role.OWNER, by=Role.ADMIN, actor=SYSTEM)
    with refused(403, "role_missing"):
        members.set_role(id_, owner.id, Role.VIEWER, by=Role.ADMIN, actor=SYSTEM)
    with refused(403, "role_missing"):
        members.remove_member(id_, owner.id, by=Role.ADMIN, actor=SYSTEM)
    with refused(403, "role_missing"):
        members.set_role(id_, bob.id, Role.MEMBER, by=Role.MEMBER, actor=SYSTEM)
    assert role_of(cast, cast.bob) == "viewer"


def test_a_role_that_somebody_else_changed_is_not_overwritten(cast: Cast) -> None:
    bob = membership(cast, cast.bob)
    with refused(409, "changed_meanwhile"):
        members.set_role(
            cast.acme.id, bob.id, Role.ADMIN, by=Role.OWNER, seen=Role.MEMBER, actor=SYSTEM
        )
    assert role_of(cast, cast.bob) == "viewer"


def test_removing_ends_access_on_the_next_request_and_the_keys_that_act_for_them(
    cast: Cast,
) -> None:
    id_ = cast.acme.id
    mine = create_key(id_, name="bob's", scopes=[Scope.ADMIN], actor=SYSTEM, user=cast.bob)
    browser = signed_in(cast.bob)
    api = Client(headers={"Authorization": f"Bearer {mine.secret}"})
    assert browser.get("/members").status_code == 200
    assert api.get("/api/calls").status_code == 200
    bob = membership(cast, cast.bob)
    assert members.remove_member(id_, bob.id, by=Role.ADMIN, actor=SYSTEM) == 1
    assert browser.get("/members")["Location"] == "/enterprise-router/organization/new"
    assert api.get("/api/calls").status_code == 401
    assert memberships_of(cast.bob) == []
    with tenant_scope(id_):
        assert ApiKey.objects.get(name="acme key").revoked_at is None
        actions = list(AuditEntry.objects.order_by("-position").values_list("action", flat=True))
    assert actions[:2] == ["member.remove", "api_key.revoke"]


def test_handing_over_makes_one_owner_and_one_admin(cast: Cast) -> None:
    bob = membership(cast, cast.bob)
    members.transfer_ownership(cast.acme.id, bob.id, owner=cast.alice, actor=SYSTEM)
    assert (role_of(cast, cast.bob), role_of(cast, cast.alice)) == ("owner", "admin")
    with refused(403, "role_missing"):
        members.transfer_ownership(cast.acme.id, bob.id, owner=cast.alice, actor=SYSTEM)


def test_members_of_others_are_not_found(cast: Cast) -> None:
    bob = membership(cast, cast.bob)
    with refused(404, "not_found"):
        members.set_role(cast.rival.id, bob.id, Role.ADMIN, by=Role.OWNER, actor=SYSTEM)
    with refused(404, "not_found"):
        members.remove_member(cast.rival.id, bob.id, by=Role.OWNER, actor=SYSTEM)
    with refused(404, "not_found"):
        members.leave(cast.rival.id, cast.bob, actor=SYSTEM)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each act gave or raised, all begun at the same moment on connections of their own."""
    start = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def _run(place: int, act: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            start.wait(10)
            results[place] = act()
        except RouterError as why:
            results[place] = why.code
        finally:
            connection.close()

    threads = [threading.Thread(target=_run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.parametrize("round_", range(3))
def test_of_two_owners_who_go_at_the_same_moment_one_stays(committed: Cast, round_: int) -> None:
    id_ = committed.acme.id
    add_member(id_, user=committed.bob, role=Role.OWNER, actor=SYSTEM)
    first, second = (membership(committed, user) for user in (committed.alice, committed.bob))
    acts: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (
            lambda: members.leave(id_, committed.alice, actor=SYSTEM),
            lambda: members.leave(id_, committed.bob, actor=SYSTEM),
        ),
        (
            lambda: members.set_role(id_, first.id, Role.VIEWER, by=Role.OWNER, actor=SYSTEM),
            lambda: members.remove_member(id_, second.id, by=Role.OWNER, actor=SYSTEM),
        ),
        (
            lambda: add_member(id_, user=committed.alice, role=Role.ADMIN, actor=SYSTEM),
            lambda: members.transfer_ownership(id_, first.id, owner=committed.bob, actor=SYSTEM),
        ),
    ]
    results = at_once(*acts[round_])
    with tenant_scope(id_):
        assert Membership.objects.filter(role="owner").count() >= 1
    if round_ < 2:
        assert results.count("last_owner") == 1


def test_two_at_once_on_keys_and_members_do_not_block_each_other(committed: Cast) -> None:
    id_ = committed.acme.id
    add_member(id_, user=committed.bob, role=Role.ADMIN, actor=SYSTEM)
    key = create_key(id_, name="k", scopes=[Scope.GATEWAY], actor=SYSTEM, user=committed.bob).key
    bob = membership(committed, committed.bob)
    results = at_once(
        lambda: rotate_key(id_, key.id, overlap=timedelta(0), actor=SYSTEM),
        lambda: members.remove_member(id_, bob.id, by=Role.OWNER, actor=SYSTEM),
    )
    assert results[1] == 1
    with tenant_scope(id_):
        assert ApiKey.objects.get(id=key.id).revoked_at is not None


class TestPage:
    """The page as a browser gets it."""

    def test_it_asks_postgres_the_same_for_few_and_for_many(
        self, cast: Cast, as_alice: Client, django_assert_max_num_queries: Any
    ) -> None:
        counts = []
        for more in (0, 60):
            for number in range(more):
                user = create_user(f"m{number}@many.example.com", None)
                add_member(cast.acme.id, user=user, role=Role.MEMBER, actor=SYSTEM)
            with django_assert_max_num_queries(12) as asked:
                page = as_alice.get("/members").content.decode()
            counts.append(len(asked))
            assert page.count("<tr id=") == (2 if not more else 50)
        assert counts[0] == counts[1]

    def test_pages_and_search_reach_everybody(self, cast: Cast, as_alice: Client) -> None:
        for number in range(60):
            user = create_user(f"m{number:02}@many.example.com", None)
            add_member(cast.acme.id, user=user, role=Role.MEMBER, actor=SYSTEM)
        first = as_alice.get("/members").content.decode()
        link = first.split('hx-get="/members?after=')[1].split('"')[0]
        second = as_alice.get(f"/members?after={link}").content.decode()
        assert second.count("<tr id=") == 12
        assert "m59@many.example.com" in second
        found = as_alice.get("/members?q=M5").content.decode()
        assert found.count("<tr id=") == 10
        assert "Nobody matches" in as_alice.get("/members?q=nobody%00").content.decode()

    def test_a_viewer_sees_who_is_there_and_changes_nothing(self, as_bob: Client) -> None:
        page = as_bob.get("/members").content.decode()
        assert "alice-test@example.com" in page
        assert "Only admins and owners invite people" in page
        # A page that would be refused is not in the menu.
        assert 'href="/audit-log"' not in page
        assert "/role" not in page
        assert "/remove" not in page

    def test_a_role_is_swapped_as_its_row(self, cast: Cast, as_alice: Client) -> None:
        bob = membership(cast, cast.bob)
        headers = {"HX-Request": "true", "HX-Target": f"m-{bob.id}"}
        url = f"/members/{bob.id}/role"
        answer = as_alice.post(url, {"role": "admin", "was": "viewer"}, headers=headers)
        assert answer.status_code == 200
        assert answer.content.decode().lstrip().startswith(f'<tr id="m-{bob.id}"')
        assert "an admin now" in answer["HX-Trigger"]
        stale = as_alice.post(url, {"role": "member", "was": "viewer"}, headers=headers)
        assert stale.status_code == 409
        assert "Somebody made this member admin meanwhile" in stale.content.decode()
        assert role_of(cast, cast.bob) == "admin"
        assert as_alice.post(url, {"role": "king", "was": "admin"}).status_code == 422

    def test_the_only_owner_is_told_why_leaving_waits(self, cast: Cast, as_alice: Client) -> None:
        link, why = 'href="/members/leave"', "Make somebody else an owner first."
        page = as_alice.get("/members").content.decode()
        assert (link in page, why in page) == (False, True)
        with tenant_scope(cast.acme.id):
            Membership.objects.filter(user=cast.bob).update(role=Role.OWNER)
        page = as_alice.get("/members").content.decode()
        assert (link in page, why in page) == (True, False)

    def test_a_refusal_names_who_can_change_the_role(self, cast: Cast, as_bob: Client) -> None:
        alice = membership(cast, cast.alice)
        page = as_bob.get(f"/members/{alice.id}/transfer").content.decode()
        assert "This needs the role owner; yours is viewer. An owner can change that." in page
        page = as_bob.get("/audit-log").content.decode()
        assert "This needs the role admin; yours is viewer. An admin can change that." in page

    def test_leaving_leads_away(self, cast: Cast, as_bob: Client) -> None:
        assert b"Leave Acme test?" in as_bob.get("/members/leave").content
        assert as_bob.post("/members/leave")["Location"] == "/enterprise-router/"
        assert role_of(cast, cast.bob) is None

    def test_the_question_says_what_becomes_of_keys(self, cast: Cast, as_alice: Client) -> None:
        for name in ("one", "two"):
            create_key(cast.acme.id, name=name, scopes=[Scope.GATEWAY], actor=SYSTEM, user=cast.bob)
        url = f"/members/{membership(cast, cast.bob).id}/remove"
        assert b"The 2 API keys that act for them are revoked" in as_alice.get(url).content
        headers = {"HX-Request": "true", "HX-Target": "ask"}
        part = as_alice.get(url, headers=headers).content.decode()
        assert "<dialog" in part
        assert "<!doctype" not in part


def test_who_is_no_admin_any_more_has_no_key_of_the_admin_scope(cast: Cast) -> None:
    id_, admin = cast.acme.id, create_user("admin@acme.example.com", None)
    add_member(id_, user=admin, role=Role.ADMIN, actor=SYSTEM)
    scopes = [Scope.ADMIN, Scope.GATEWAY]
    ours = create_key(id_, name="ops", scopes=scopes, actor=SYSTEM, user=admin).key
    calls = create_key(id_, name="app", scopes=[Scope.GATEWAY], actor=SYSTEM, user=admin).key
    other = create_key(id_, name="ci", scopes=scopes, actor=SYSTEM).key
    members.set_role(
        id_, membership(cast, admin).id, Role.MEMBER, by=Role.OWNER, actor=SYSTEM, seen=Role.ADMIN
    )
    with tenant_scope(id_):
        revoked = set(ApiKey.objects.exclude(revoked_at=None).values_list("id", flat=True))
    assert revoked & {ours.id, calls.id, other.id} == {ours.id}


def admin_key(cast: Cast, maker: User, name: str, **more: Any) -> Any:
    actor = Actor("user", maker.id, maker.email)
    return create_key(cast.acme.id, name=name, scopes=[Scope.ADMIN], actor=actor, **more).key


def test_who_removes_or_demotes_is_told_which_admin_keys_stay(cast: Cast) -> None:
    with tenant_scope(cast.acme.id):
        Membership.objects.filter(user=cast.bob).update(role=Role.ADMIN)
    bobs = membership(cast, cast.bob)
    made = admin_key(cast, cast.bob, "of nobody")
    admin_key(cast, cast.bob, "for alice", user=cast.alice)
    admin_key(cast, cast.bob, "for himself", user=cast.bob)
    revoke_key(cast.acme.id, admin_key(cast, cast.bob, "revoked").id, actor=SYSTEM)
    alice = signed_in(cast.alice)
    asked = alice.get(f"/members/{bobs.id}/remove").content.decode()
    assert "2 admin keys that they made stay valid" in asked
    (link,) = re.findall(r'href="(/api-keys\?q=[^"]+)"', asked)
    listed = alice.get(link).content.decode()
    assert "of nobody" in listed
    assert "no longer" not in listed
    form = {"role": "member", "was": "admin"}
    target = {"HX-Request": "true", "HX-Target": f"m-{bobs.id}"}
    row = alice.post(f"/members/{bobs.id}/role", form, headers=target).content.decode()
    assert "2 admin keys that they made stay valid" in row
    assert link in row
    assert f"by {cast.bob.email}, no longer an admin" in alice.get(link).content.decode()
    assert b"No longer an admin" in alice.get(f"/api-keys/{made.id}").content
    alice.post(f"/members/{bobs.id}/remove")
    assert f"by {cast.bob.email}, no longer a member" in alice.get(link).content.decode()


def test_an_admin_who_made_no_such_key_leaves_none(cast: Cast) -> None:
    page = signed_in(cast.alice).get(f"/members/{membership(cast, cast.bob).id}/remove")
    assert b"stay valid" not in page.content
    assert b"stays valid" not in page.content
