"""The pages of API keys: what they show, whom, and what their forms do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from analytics.ledger import Ledger
from preferences.models import KeyPreferences
from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import ApiKey, AuditEntry, User
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_user, revoke_key
from tests.analytics.rows import row
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script> 😀 שלום " + "W" * 80


def make(cast: Cast, name: str = "app", user: User | None = None, **more: Any) -> ApiKey:
    """A key of acme."""
    given = {"scopes": [Scope.GATEWAY], "actor": SYSTEM, **more}
    return create_key(cast.acme.id, name=name, user=user, **given).key


def stored(key: ApiKey) -> ApiKey:
    with tenant_scope(key.organization_id):
        return ApiKey.objects.get(id=key.id)


def member(cast: Cast, role: Role = Role.MEMBER) -> User:
    user = create_user(f"{role}@keys.example.com", None)
    add_member(cast.acme.id, user=user, role=role, actor=SYSTEM)
    return user


def posted(**more: Any) -> dict[str, Any]:
    return {"name": "billing", "scopes": "gateway", "expires": "90", "once": "a", **more}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def secret_in(page: str) -> str:
    return page.split('id="secret"')[1].split(">")[1].split("<")[0]


def test_a_new_key_is_shown_once_with_ready_calls_and_works(as_alice: Client, cast: Cast) -> None:
    answer = as_alice.post("/api-keys/new", posted(scopes=["gateway", "admin"]))
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    secret = secret_in(text(answer))
    assert text(answer).count(secret) == 4
    assert (
        Client().get("/api/calls", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    )
    again = as_alice.post("/api-keys/new", posted(scopes=["gateway", "admin"]), follow=True)
    assert "shown already" in text(again)
    with tenant_scope(cast.acme.id):
        key = ApiKey.objects.get(organization_id=cast.acme.id, name="billing")
        assert ApiKey.objects.filter(name="billing").count() == 1
    for path in ("/api-keys", f"/api-keys/{key.id}"):
        page = text(as_alice.get(path))
        assert secret not in page
        assert f"{secret[:12]}…{secret[-4:]}" in page
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)


def test_a_time_of_ones_own_is_the_organizations(as_alice: Client, cast: Cast) -> None:
    as_alice.post("/api-keys/new", posted(expires="at", expires_at="2099-07-01T12:00"))
    with tenant_scope(cast.acme.id):
        key = ApiKey.objects.get(name="billing")
    assert key.expires_at is not None
    assert key.expires_at.isoformat() == "2099-07-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "key-name-error"),
        ({"name": "x" * 121}, "key-name-error"),
        ({"scopes": []}, "key-scopes-error"),
        ({"scopes": "root"}, "key-scopes-error"),
        ({"expires": "at", "expires_at": "2001-01-01T00:00"}, "key-expires-error"),
        ({"expires": "at", "expires_at": ""}, "key-expires-error"),
        ({"networks": "10.0.0.1/8"}, "key-networks-error"),
        ({"holder": "nobody"}, "key-holder-error"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    as_alice: Client, cast: Cast, wrong: dict[str, Any], field: str
) -> None:
    answer = as_alice.post("/api-keys/new", posted(**wrong))
    assert answer.status_code == 422
    assert f'id="{field}"' in text(answer)
    with tenant_scope(cast.acme.id):
        assert not ApiKey.objects.filter(name="billing").exists()


def test_a_key_acts_for_members_alone(as_alice: Client, cast: Cast) -> None:
    answer = as_alice.post("/api-keys/new", posted(holder=str(cast.carol.id)))
    assert answer.status_code == 422
    assert as_alice.post("/api-keys/new", posted(holder=str(cast.bob.id))).status_code == 201


def test_a_member_holds_keys_of_their_own_for_calls_alone(cast: Cast) -> None:
    dave = member(cast)
    browser = signed_in(dave)
    others, own = make(cast, "others"), make(cast, "own", user=dave)
    page = text(browser.get("/api-keys"))
    assert "own" in page
    assert str(others.id) not in page
    assert "act for you" in page
    assert browser.get(f"/api-keys/{own.id}").status_code == 200
    for path in ("", "/rotate", "/revoke"):
        assert browser.get(f"/api-keys/{others.id}{path}").status_code == 404
        assert browser.post(f"/api-keys/{others.id}{path}", posted()).status_code == 404
    assert browser.post(f"/api-keys/{others.id}/preferences").status_code == 404
    assert browser.post("/api-keys/new", posted(scopes="admin")).status_code == 403
    assert browser.post("/api-keys/new", posted(holder=str(cast.alice.id))).status_code == 201
    with tenant_scope(cast.acme.id):
        assert ApiKey.objects.get(name="billing").user_id == dave.id
    browser.post(f"/api-keys/{own.id}", posted(name="mine", holder=str(cast.alice.id)))
    assert (stored(own).name, stored(own).user_id) == ("mine", dave.id)


def test_a_viewer_sees_their_keys_and_changes_none(as_bob: Client, cast: Cast) -> None:
    own = make(cast, "own", user=cast.bob)
    page = text(as_bob.get(f"/api-keys/{own.id}"))
    assert "disabled" in page
    assert "Rotate" not in page
    for path in ("", "/preferences", "/rotate", "/revoke"):
        assert as_bob.post(f"/api-keys/{own.id}{path}", posted()).status_code == 403
    assert 'disabled aria-describedby="narrow"' in text(as_bob.get("/api-keys"))
    assert stored(own).name == "own"


def test_settings_are_changed_and_audited_and_nothing_else(as_alice: Client, cast: Cast) -> None:
    key = make(cast, "app", user=cast.alice)
    path = f"/api-keys/{key.id}"
    wanted = posted(name="new name", networks="203.0.113.0/24\n2001:db8::/32", expires="never")
    answer = as_alice.post(path, {**wanted, "holder": str(cast.bob.id)}, follow=True)
    assert "Saved" in text(answer)
    now = stored(key)
    assert now.name == "new name"
    assert now.allowed_networks == ["203.0.113.0/24", "2001:db8::/32"]
    assert now.user_id == cast.bob.id
    assert now.scopes == ["gateway"]
    with tenant_scope(cast.acme.id):
        entry = AuditEntry.objects.get(action="api_key.update")
    assert entry.before is not None
    assert entry.before["name"] == "app"
    assert as_alice.post(path, {**wanted, "networks": "x"}).status_code == 422
    # Saving what is there already changes nothing, even where the expiry is past.
    as_alice.post(path, {**wanted, "holder": str(cast.bob.id)})
    with tenant_scope(cast.acme.id):
        assert AuditEntry.objects.filter(action="api_key.update").count() == 1


def test_rotation_lists_both_secrets_with_the_older_ones_end(as_alice: Client, cast: Cast) -> None:
    key = make(cast)
    path = f"/api-keys/{key.id}"
    answer = as_alice.post(f"{path}/rotate", {"overlap": "168", "once": "r"})
    assert answer.status_code == 201
    secret = secret_in(text(answer))
    page = text(as_alice.get(path))
    assert page.count("<li><code>er_live_") == 2
    assert page.count("ends <time") == 1
    assert secret not in page
    assert as_alice.post(f"{path}/rotate", {"overlap": "168", "once": "r"}).status_code == 302
    assert as_alice.post(f"{path}/rotate", {"overlap": "3"}).status_code == 422
    as_alice.post(f"{path}/rotate", {"overlap": "0"})
    assert text(as_alice.get(path)).count("<li><code>er_live_") == 1


def test_revoking_a_key_in_use_asks_for_its_name(
    as_alice: Client, cast: Cast, settings: Any
) -> None:
    key = make(cast, HOSTILE)
    path = f"/api-keys/{key.id}/revoke"
    assert "Nothing was done with it" in text(as_alice.get(path))
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    made = row(cast.acme.id, int(timezone.now().timestamp() * 1000), api_key_id=str(key.id))
    ledger.write([made])
    ledger.close()
    page = text(as_alice.get(path))
    assert "1 request in the last 24 hours" in page
    assert "<script>alert" not in page
    assert as_alice.post(path, {"name": "something"}).status_code == 422
    assert stored(key).revoked_at is None
    assert as_alice.post(path, {"name": HOSTILE}).status_code == 302
    assert stored(key).revoked_at is not None
    page = text(as_alice.get(f"/api-keys/{key.id}"))
    assert "This key is revoked" in page
    assert as_alice.post(f"/api-keys/{key.id}", posted()).status_code == 404


def test_use_of_the_api_counts_as_use(as_alice: Client, cast: Cast) -> None:
    made = create_key(cast.acme.id, name="terraform", scopes=[Scope.ADMIN], actor=SYSTEM)
    headers = {"Authorization": f"Bearer {made.secret}"}
    assert Client().get("/api/calls", headers=headers).status_code == 200
    used_at = stored(made.key).last_used_at
    assert used_at is not None
    Client().get("/api/calls", headers=headers)
    assert stored(made.key).last_used_at == used_at
    path = f"/api-keys/{made.key.id}/revoke"
    assert "It is in use" in text(as_alice.get(path))
    assert as_alice.post(path, {"name": ""}).status_code == 422
    assert as_alice.post(path, {"name": "terraform"}).status_code == 302


def test_a_keys_own_preferences(as_alice: Client, cast: Cast) -> None:
    key = make(cast)
    path = f"/api-keys/{key.id}/preferences"
    wanted = {"priority": "cost", "max_cost": "0.05", "max_latency": "2,000"}
    assert as_alice.post(path, wanted).status_code == 302
    with tenant_scope(cast.acme.id):
        held = KeyPreferences.objects.get(api_key=key)
    assert held.default_priority == "cost"
    assert held.max_cost_per_request_nano == 50_000_000
    assert held.max_latency_ms == 2000
    page = text(as_alice.get(f"/api-keys/{key.id}"))
    assert 'value="0.05"' in page
    assert "What holds: cost." in page
    for wrong, error in (
        ({"max_cost": "free"}, "wish-cost-error"),
        ({"max_cost": "-1"}, "wish-cost-error"),
        ({"max_latency": "1"}, "wish-latency-error"),
        ({"priority": "luck"}, "wish-priority-error"),
    ):
        answer = as_alice.post(path, {**wanted, **wrong})
        assert answer.status_code == 422
        assert f'id="{error}"' in text(answer)
    answer = as_alice.post(path, {"provider-nobody": "blocked"})
    assert answer.status_code == 422


def test_the_list_is_searched_and_filtered_on_the_server(as_alice: Client, cast: Cast) -> None:
    now = timezone.now()
    soon = make(cast, "ends soon", expires_at=now + timedelta(days=2))
    gone = make(cast, "gone")
    mine = make(cast, "of bob", user=cast.bob)
    revoke_key(cast.acme.id, gone.id, actor=SYSTEM)

    def found(query: str) -> set[str]:
        page = text(as_alice.get(f"/api-keys?{query}"))
        return {k.name for k in (soon, gone, mine) if str(k.id) in page}

    assert found("") == {"ends soon", "gone", "of bob"}
    assert found("q=SOON") == {"ends soon"}
    assert found("state=soon") == {"ends soon"}
    assert found("state=revoked") == {"gone"}
    assert found("state=live") == {"ends soon", "of bob"}
    assert found("state=expired") == set()
    assert found("state=nonsense&q=%00") == {"ends soon", "gone", "of bob"}
    assert found("q=bob-test") == {"of bob"}
    with tenant_scope(cast.acme.id):
        shown = str(mine.secrets.get())
    assert found(f"q={shown}") == {"of bob"}
    assert "No API key matches" in text(as_alice.get("/api-keys?q=nothing-like-it"))


def test_pages_of_fifty_by_keyset_and_a_fixed_number_of_queries(
    as_alice: Client, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        make(cast, f"key {number}")
    with django_assert_max_num_queries(12) as few:
        page = text(as_alice.get("/api-keys"))
    assert page.count('class="opens') == 50
    address = page.split('class="btn small" href="')[1].split('"')[0]
    with django_assert_max_num_queries(len(few)):
        rest = text(as_alice.get(address))
    assert rest.count('class="opens') == 11
    assert "Older" not in rest


def test_one_organizations_keys_are_not_found_from_another(as_carol: Client, cast: Cast) -> None:
    key = make(cast)
    for path in ("", "/rotate", "/revoke"):
        assert as_carol.get(f"/api-keys/{key.id}{path}").status_code == 404
    assert str(key.id) not in text(as_carol.get("/api-keys"))


def test_a_member_gets_no_secret_of_a_key_of_the_admin_scope(cast: Cast) -> None:
    bob = member(cast)
    key = make(cast, "ops", bob, scopes=[Scope.ADMIN], allowed_networks=["192.0.2.0/24"])
    browser = signed_in(bob)
    path = f"/api-keys/{key.id}"
    assert browser.get(f"{path}/rotate").status_code == 403
    assert browser.post(f"{path}/rotate", {"overlap": "24", "once": "r"}).status_code == 403
    assert browser.post(path, posted(networks="")).status_code == 403
    assert browser.post(f"{path}/preferences", {}).status_code == 403
    with tenant_scope(cast.acme.id):
        assert ApiKey.objects.get(id=key.id).secrets.count() == 1
    assert stored(key).allowed_networks == ["192.0.2.0/24"]


def test_a_key_and_its_preferences_are_not_overwritten_unseen(as_alice: Client, cast: Cast) -> None:
    key = make(cast)
    path = f"/api-keys/{key.id}"
    seen = re.findall(r'name="version" value="(\w*)"', text(as_alice.get(path)))
    given = {"name": "mine", "expires": "never", "networks": "10.0.0.0/8", "version": seen[0]}
    assert as_alice.post(path, {**given, "name": "theirs"}).status_code == 302
    answer = as_alice.post(path, given)
    page = text(answer)
    assert answer.status_code == 409
    assert "<dt>Name</dt><dd><bdi>theirs</bdi></dd>" in page
    assert 'value="mine"' in page
    assert stored(key).name == "theirs"
    again = re.findall(r'name="version" value="(\w*)"', page)[0]
    assert as_alice.post(path, {**given, "version": again}).status_code == 302
    assert stored(key).name == "mine"
    wishes = {"priority": "cost", "max_cost": "0.05", "max_latency": "", "version": seen[1]}
    assert as_alice.post(f"{path}/preferences", wishes).status_code == 302
    answer = as_alice.post(f"{path}/preferences", {**wishes, "max_cost": "0.70"})
    assert answer.status_code == 409
    assert "<dt>Max cost per request</dt><dd><bdi>0.05</bdi></dd>" in text(answer)
    assert 'value="0.70"' in text(answer)


def test_an_expiry_in_the_past_is_told_at_its_time(as_alice: Client) -> None:
    typed = posted(expires="at", expires_at="2020-01-01T00:00")
    answer = as_alice.post("/api-keys/new", typed)
    field = text(answer).split('id="key-expires-at"')[1].split(">")[0]
    assert answer.status_code == 422
    assert 'aria-describedby="key-expires-error" autofocus' in field
    name = text(answer).split('id="key-name"')[1].split(">")[0]
    assert "autofocus" not in name
