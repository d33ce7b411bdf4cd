"""/api/members, /api/invitations, /api/audit and /api/organization as a client sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tenancy.core import SYSTEM, Role
from tenancy.models import Membership, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tests.conftest import Cast

pytestmark = pytest.mark.django_db
Ask = Callable[..., Any]


@pytest.fixture
def ask(cast: Cast) -> Ask:
    """One operation with acme's key; the answer must have the status."""
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})

    def _ask(method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        answer = getattr(client, method)(path, body, content_type="application/json")
        assert answer.status_code == expect, answer.content
        if expect >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer.json() if answer.content else None

    return _ask


def pages(ask: Ask, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = ask("get", f"{path}{'&' if '?' in path else '?'}cursor={cursor}")
        rows += page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            return rows


def test_members_are_listed_changed_and_removed(cast: Cast, ask: Ask) -> None:
    for number in range(60):
        user = create_user(f"m{number:02}@many.example.com", None)
        add_member(cast.acme.id, user=user, role=Role.MEMBER, actor=SYSTEM)
    found = pages(ask, "/api/members")
    assert len({one["id"] for one in found}) == len(found) == 62
    assert [one["email"] for one in pages(ask, "/api/members?q=M59")] == ["m59@many.example.com"]
    one = found[-1]
    changed = ask("patch", f"/api/members/{one['id']}", {"role": "admin"})
    assert changed["role"] == "admin"
    assert ask("get", f"/api/members/{one['id']}") == changed
    ask("delete", f"/api/members/{one['id']}", expect=204)
    ask("get", f"/api/members/{one['id']}", expect=404)
    ask("delete", f"/api/members/{one['id']}", expect=404)


def test_a_key_neither_makes_nor_unmakes_owners(cast: Cast, ask: Ask) -> None:
    with tenant_scope(cast.acme.id):
        alice, bob = (Membership.objects.get(user=u).id for u in (cast.alice, cast.bob))
    for id_, role in ((bob, "owner"), (alice, "viewer")):
        refused = ask("patch", f"/api/members/{id_}", {"role": role}, expect=403)
        assert refused["field"] == "role"
    ask("delete", f"/api/members/{alice}", expect=403)
    ask("patch", f"/api/members/{bob}", {"role": "king"}, expect=422)


def test_an_invitation_is_made_sent_again_and_withdrawn(ask: Ask, settings: Any) -> None:
    made = ask("post", "/api/invitations", {"email": "x@new.example.com"}, expect=201)
    assert made["role"] == "member"
    assert "/invitations/" in made["link"]
    (listed,) = pages(ask, "/api/invitations")
    assert "link" not in listed
    assert ask("post", f"/api/invitations/{made['id']}/resend", expect=429)["code"]
    again = ask("post", "/api/invitations", {"email": "x@new.example.com"}, expect=409)
    assert again["field"] == "email"
    ask("delete", f"/api/invitations/{made['id']}", expect=204)
    assert pages(ask, "/api/invitations") == []
    settings.EMAIL_CONSOLE = False
    sent = ask("post", "/api/invitations", {"email": "y@new.example.com"}, expect=201)
    assert sent["link"] is None
    refused = ask("post", "/api/invitations", {"email": "nobody"}, expect=422)
    assert refused["field"] == "email"


def test_changes_are_listed_filtered_and_checked(cast: Cast, ask: Ask) -> None:
    for number in range(55):
        ask("patch", "/api/organization", {"retention_days": number + 1})
    found = pages(ask, "/api/audit?action=organization.update")
    assert len({one["id"] for one in found}) == len(found) == 55
    assert found[0]["after"] == {"retention_days": 55}
    assert found[0]["actor_kind"] == "key"
    assert len(pages(ask, "/api/audit?kind=member")) == 1
    assert pages(ask, "/api/audit?until=2020-01-01T00:00:00Z") == []
    chain = ask("get", "/api/audit/chain")
    assert chain["is_intact"]
    assert chain["entries"] >= 57
    for wrong in ("since=2020-01-01T00:00:00", "cursor=x", f"cursor={new_id()}", "actor=%00"):
        ask("get", f"/api/audit?{wrong}", expect=422)


def test_settings_are_shown_and_changed_by_field(ask: Ask) -> None:
    before = ask("get", "/api/organization")
    changed = ask("patch", "/api/organization", {"store_bodies": True})
    assert changed == before | {"store_bodies": True}
    ask("patch", "/api/organization", {"retention_days": 30})
    assert ask("patch", "/api/organization", {"retention_days": None})["retention_days"] is None
    refused = ask("patch", "/api/organization", {"time_zone": "Berlin"}, expect=422)
    assert refused["field"] == "time_zone"
    assert ask("get", "/api/organization")["time_zone"] == before["time_zone"]
