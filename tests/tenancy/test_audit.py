"""Who changed what, from what to what, when and from where: for every change there is.

A function that is added to a ``services.py`` fails here until it stands in one of the two tables.
"""

from __future__ import annotations

import inspect
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

import tenancy.invitations
import tenancy.key_services
import tenancy.members
import tenancy.organization
import tenancy.services
from tenancy import changes
from tenancy.core import live_key
from tenancy.models import AuditEntry, Organization
from tenancy.scope import tenant_scope
from tenancy.selectors import audit_entries
from tests.conftest import Cast
from tests.tenancy.audited_changes import (
    ACTOR,
    CHANGES,
    OTHERS,
    SECRET,
    SERVICES,
    Change,
    key_of,
)


def entries(organization_id: UUID) -> list[AuditEntry]:
    with tenant_scope(organization_id):
        return list(audit_entries(organization_id))


def epoch(organization_id: UUID) -> int:
    with tenant_scope(organization_id):
        return Organization.objects.get(id=organization_id).epoch


def epoch_in_redis(organization_id: UUID) -> int:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return int(client.hget(live_key(organization_id.hex), "e") or 0)  # type: ignore[arg-type]


def test_every_function_that_changes_something_stands_here() -> None:
    found = {
        name
        for module in SERVICES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert found == CHANGES.keys() | OTHERS.keys()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_leaves_who_what_when_and_from_where(cast: Cast, change: Change) -> None:
    known, epoch_before, began = set(entries(cast.acme.id)), epoch(cast.acme.id), timezone.now()
    made = change.do(cast)
    organization_id = made.id if change.action == "organization.create" else cast.acme.id
    entry = entries(organization_id)[0]
    assert entry not in known
    assert (entry.actor_kind, entry.actor_id, entry.actor) == ("user", ACTOR.id, ACTOR.name)
    assert entry.source == "203.0.113.9"
    assert (entry.action, entry.object_kind) == (change.action, change.kind)
    assert entry.object_name == change.name
    assert entry.object_id is not None
    assert began <= entry.created_at <= timezone.now()
    assert entry.before == change.before
    assert entry.after is not None
    assert change.after is not None
    assert entry.after.keys() == change.after.keys()
    for name, value in change.after.items():
        assert entry.after[name] == value or (value is ... and entry.after[name])
    assert SECRET not in str(entry.after)
    if organization_id == cast.acme.id:
        assert epoch(cast.acme.id) > epoch_before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE tenancy_auditentry SET actor = 'somebody else'",
        "DELETE FROM tenancy_auditentry",
        "TRUNCATE tenancy_auditentry",
        "ALTER TABLE tenancy_auditentry DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON tenancy_auditentry",
    ],
)
def test_the_trail_is_only_added_to(cast: Cast, sql: str) -> None:
    before = len(entries(cast.acme.id))
    with (
        pytest.raises(ProgrammingError) as why,
        tenant_scope(cast.acme.id),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert getattr(why.value.__cause__, "sqlstate", None) == "42501"
    assert len(entries(cast.acme.id)) == before > 0


def test_an_organization_with_a_trail_cannot_be_deleted_by_a_web_process(cast: Cast) -> None:
    with pytest.raises(ProgrammingError), tenant_scope(cast.acme.id):
        Organization.objects.filter(id=cast.acme.id).delete()


def test_nobody_reads_the_trail_of_others(cast: Cast) -> None:
    theirs = {entry.id for entry in entries(cast.rival.id)}
    with tenant_scope(cast.acme.id):
        assert not list(audit_entries(cast.rival.id))
        assert not theirs & set(AuditEntry.objects.values_list("id", flat=True))


def test_a_change_reaches_redis_once_it_is_committed(committed: Cast) -> None:
    id_ = committed.acme.id
    before = epoch(id_)
    assert epoch_in_redis(id_) == before
    with transaction.atomic():
        tenancy.services.revoke_key(id_, key_of(committed).id, actor=ACTOR)
        assert epoch_in_redis(id_) == before
    assert epoch_in_redis(id_) == epoch(id_) > before


def test_a_change_that_is_rolled_back_is_never_announced(committed: Cast) -> None:
    id_ = committed.acme.id
    before, trail = epoch(id_), len(entries(id_))
    with transaction.atomic():
        tenancy.services.revoke_key(id_, key_of(committed).id, actor=ACTOR)
        transaction.set_rollback(True)
    assert epoch_in_redis(id_) == epoch(id_) == before
    assert len(entries(id_)) == trail


def test_an_epoch_in_redis_never_falls(committed: Cast) -> None:
    id_ = committed.acme.id
    now = epoch_in_redis(id_)
    changes.publish(id_, now - 1)
    assert epoch_in_redis(id_) == now


def test_a_change_stands_without_redis(
    committed: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis(port=1, socket_connect_timeout=0.5) as away:
        monkeypatch.setattr(changes, "_redis", lambda: away)
        tenancy.services.revoke_key(committed.acme.id, key_of(committed).id, actor=ACTOR)
    assert entries(committed.acme.id)[0].action == "api_key.revoke"
    assert "Redis did not take epoch" in caplog.text
