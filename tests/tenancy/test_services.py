"""API keys from their making to their end, and names as people write them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from lib.errors import RouterError
from tenancy.api_auth import AdminKey, Holder
from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import ApiKey, ApiKeySecret, Membership, new_id
from tenancy.scope import tenant_scope
from tenancy.services import (
    NewKey,
    add_member,
    create_key,
    create_organization,
    create_user,
    revoke_key,
    rotate_key,
)
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

ADMIN = [Scope.ADMIN]
HOUR = timedelta(hours=1)
ASTRONAUTS = "\U0001f9d1\u200d\U0001f680" * 40


def use(secret: str, *, address: str = "203.0.113.7", **headers: str) -> Holder:
    """What /api makes of a key that comes from an address."""
    request = RequestFactory().get("/api/calls", REMOTE_ADDR=address, headers=headers)
    return AdminKey().authenticate(request, secret)


def refusal(secret: str, **where: str) -> tuple[int, str]:
    with pytest.raises(RouterError) as why:
        use(secret, **where)
    return why.value.status, why.value.code


def new(cast: Cast, **wanted: Any) -> NewKey:
    return create_key(cast.acme.id, **{"name": "batch", "scopes": ADMIN, "actor": SYSTEM, **wanted})


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_a_key_works_and_tells_only_its_ends(cast: Cast) -> None:
    made = new(cast, scopes=[Scope.GATEWAY, Scope.ADMIN, Scope.ADMIN], user=cast.alice)
    assert use(made.secret) == Holder(cast.acme.id, made.key.id, "batch")
    with tenant_scope(cast.acme.id):
        key = ApiKey.objects.get(id=made.key.id)
        secret = key.secrets.get()
    assert key.scopes == ["admin", "gateway"]
    assert key.user_id == cast.alice.id
    assert key.created_by == "system"
    assert made.secret.startswith(secret.prefix)
    assert len(secret.prefix) < 16
    assert made.secret.endswith(secret.last_four)
    assert len(secret.last_four) == 4


def test_two_keys_share_nothing(cast: Cast) -> None:
    first, second = new(cast), new(cast)
    assert first.secret != second.secret
    assert first.key.id != second.key.id


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "nul\x00l"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "half \ud800"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expires_at"),
        ({"allowed_networks": ["203.0.113.7/24"]}, "allowed_networks"),
        ({"allowed_networks": ["10.0.0.0/33"]}, "allowed_networks"),
        ({"allowed_networks": ["office"]}, "allowed_networks"),
        ({"allowed_networks": ["10.0.0.0/8"] * 101}, "allowed_networks"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_by_field(
    cast: Cast, wanted: dict[str, Any], field: str
) -> None:
    with pytest.raises(RouterError) as why:
        new(cast, **wanted)
    assert (why.value.status, why.value.param) == (422, field)
    with tenant_scope(cast.acme.id):
        assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("name", ["x" * 120, ASTRONAUTS, "مفتاح الإنتاج", "a\u202eb", "'; --"])
def test_names_are_kept_as_people_write_them(cast: Cast, name: str) -> None:
    assert len(name) <= 120
    made = new(cast, name=f" {name} ")
    with tenant_scope(cast.acme.id):
        assert ApiKey.objects.get(id=made.key.id).name == name
    assert use(made.secret).name == name
    other = create_organization(name=name, owner=cast.alice, actor=SYSTEM)
    assert other.name == name


def test_rotation_gives_a_second_secret_and_the_overlap_ends_exactly(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = new(cast)
    fresh = rotate_key(cast.acme.id, old.key.id, overlap=HOUR, actor=SYSTEM)
    assert fresh.key.id == old.key.id
    assert fresh.secret != old.secret
    assert use(old.secret) == use(fresh.secret)
    with tenant_scope(cast.acme.id):
        ends = ApiKeySecret.objects.get(api_key=old.key, expires_at__isnull=False).expires_at
    assert ends is not None
    at(monkeypatch, ends - timedelta(microseconds=1))
    assert use(old.secret)
    at(monkeypatch, ends)
    assert refusal(old.secret) == (401, "key_expired")
    assert use(fresh.secret)


def test_a_second_rotation_prolongs_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    first = new(cast)
    second = rotate_key(cast.acme.id, first.key.id, overlap=HOUR, actor=SYSTEM)
    third = rotate_key(cast.acme.id, first.key.id, overlap=2 * HOUR, actor=SYSTEM)
    at(monkeypatch, timezone.now() + HOUR + timedelta(minutes=1))
    assert refusal(first.secret) == (401, "key_expired")
    assert use(second.secret) == use(third.secret)


def test_rotation_without_overlap_ends_the_old_secret_at_once(cast: Cast) -> None:
    old = new(cast)
    fresh = rotate_key(cast.acme.id, old.key.id, overlap=timedelta(0), actor=SYSTEM)
    assert refusal(old.secret) == (401, "key_expired")
    assert use(fresh.secret)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=30, seconds=1)])
def test_an_overlap_out_of_bounds_is_refused(cast: Cast, overlap: timedelta) -> None:
    with pytest.raises(RouterError) as why:
        rotate_key(cast.acme.id, new(cast).key.id, overlap=overlap, actor=SYSTEM)
    assert (why.value.status, why.value.param) == (422, "overlap")


def test_revoking_ends_every_secret(cast: Cast) -> None:
    old = new(cast)
    fresh = rotate_key(cast.acme.id, old.key.id, overlap=HOUR, actor=SYSTEM)
    revoke_key(cast.acme.id, old.key.id, actor=SYSTEM)
    assert refusal(old.secret) == refusal(fresh.secret) == (401, "key_revoked")
    for again in (
        lambda: revoke_key(cast.acme.id, old.key.id, actor=SYSTEM),
        lambda: rotate_key(cast.acme.id, old.key.id, overlap=HOUR, actor=SYSTEM),
    ):
        with pytest.raises(RouterError) as why:
            again()
        assert why.value.status == 404


def test_a_key_of_another_organization_is_not_found(cast: Cast) -> None:
    theirs = create_key(cast.rival.id, name="k", scopes=ADMIN, actor=SYSTEM)
    told = set()
    for key_id in (theirs.key.id, new_id()):
        with pytest.raises(RouterError) as why:
            revoke_key(cast.acme.id, key_id, actor=SYSTEM)
        told.add((why.value.status, why.value.message))
    assert len(told) == 1
    assert use(theirs.secret)


def test_a_key_ends_when_it_expires(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = timezone.now() + HOUR
    made = new(cast, expires_at=ends)
    at(monkeypatch, ends - timedelta(microseconds=1))
    assert use(made.secret)
    at(monkeypatch, ends)
    assert refusal(made.secret) == (401, "key_expired")


def test_a_key_is_used_from_its_networks_alone(cast: Cast) -> None:
    made = new(cast, allowed_networks=["203.0.113.0/24", " 2001:db8::/32 ", ""])
    assert made.key.allowed_networks == ["203.0.113.0/24", "2001:db8::/32"]
    for inside in ("203.0.113.7", "2001:db8::7", "::ffff:203.0.113.7"):
        assert use(made.secret, address=inside)
    for outside in ("203.0.114.7", "2001:db9::7", "::ffff:198.51.100.1"):
        assert refusal(made.secret, address=outside) == (403, "network_not_allowed")


def test_a_callers_word_on_its_address_counts_behind_a_trusted_proxy_only(
    cast: Cast, settings: Any
) -> None:
    made = new(cast, allowed_networks=["203.0.113.0/24"])
    forged = {"address": "10.0.0.1", "X-Forwarded-For": "203.0.113.7"}
    assert refusal(made.secret, **forged) == (403, "network_not_allowed")
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert use(made.secret, **forged)
    longer = {"address": "10.0.0.1", "X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
    assert refusal(made.secret, **longer) == (403, "network_not_allowed")


def test_the_scope_decides(cast: Cast) -> None:
    assert refusal(new(cast, scopes=[Scope.GATEWAY]).secret) == (403, "scope_missing")


def test_the_secret_is_nowhere_but_in_the_answer(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="django.db.backends")
    connection.force_debug_cursor = True
    try:
        made = new(cast)
        fresh = rotate_key(cast.acme.id, made.key.id, overlap=HOUR, actor=SYSTEM)
        use(fresh.secret)
        revoke_key(cast.acme.id, made.key.id, actor=SYSTEM)
        refusal(fresh.secret)
    finally:
        connection.force_debug_cursor = False
    assert "INSERT" in caplog.text
    for key in (made, fresh):
        bare = key.secret.removeprefix("er_live_")
        assert bare not in caplog.text + repr(key) + str(key) + repr(key.key)
        with tenant_scope(cast.acme.id), connection.cursor() as cursor:
            for table in ("apikey", "apikeysecret", "auditentry", "organization", "membership"):
                cursor.execute(f"SELECT t::text FROM tenancy_{table} t")
                stored = "".join(text for (text,) in cursor.fetchall())
                assert stored
                assert bare not in stored
                assert key.secret.encode().hex() not in stored


def test_a_member_has_one_role_and_may_get_another(cast: Cast) -> None:
    add_member(cast.acme.id, user=cast.carol, role=Role.MEMBER, actor=SYSTEM)
    add_member(cast.acme.id, user=cast.carol, role=Role.ADMIN, actor=SYSTEM)
    with tenant_scope(cast.acme.id):
        assert Membership.objects.get(user=cast.carol).role == "admin"


@pytest.mark.parametrize(
    ("name", "zone", "field"), [("", "UTC", "name"), ("x", "Berlin", "time_zone")]
)
def test_an_organization_needs_a_name_and_a_real_zone(
    cast: Cast, name: str, zone: str, field: str
) -> None:
    with pytest.raises(RouterError) as why:
        create_organization(name=name, owner=cast.alice, actor=SYSTEM, time_zone=zone)
    assert (why.value.status, why.value.param) == (422, field)


@pytest.mark.parametrize(
    ("email", "status"),
    [("nobody", 422), ("a b@example.com", 422), ("ALICE-test@example.com", 409)],
)
def test_an_account_needs_an_address_of_its_own(cast: Cast, email: str, status: int) -> None:
    with pytest.raises(RouterError) as why:
        create_user(email, "correct horse battery")
    assert (why.value.status, why.value.param) == (status, "email")
