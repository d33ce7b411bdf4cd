"""An organization's settings, how long its calls are kept, its export and its end."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from analytics.ending import end_organization
from analytics.erasure import erase_deleted, erase_ledger, expire_calls
from analytics.export import summed_models
from analytics.ledger import Ledger
from analytics.models import Call, Rollup
from lib.errors import RouterError
from routing.compiler import DatabaseLoader
from tenancy.core import SYSTEM, Actor, Role, Scope, live_key
from tenancy.models import AuditEntry, Erasure, Organization, new_id
from tenancy.organization import change_organization
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key
from tests.analytics.rows import row, said
from tests.conftest import Cast, signed_in
from tests.tenancy.samples import make_samples, tenant_column, tenant_models

ACTOR = Actor("user", new_id(), "alice@example.com", "203.0.113.9")
DAY_MS = 86_400_000
FORM = {
    "name": "Acme test",
    "time_zone": "Europe/Berlin",
    "retention_days": "",
    "store_bodies": "",
    "bodies_retention_days": "30",
}


def form(**changes: str) -> dict[str, str]:
    """What the page's form posts, as it was seen, with some fields typed anew."""
    return {f"was_{name}": value for name, value in FORM.items()} | FORM | changes


def stored(organization_id: UUID) -> Organization:
    with tenant_scope(organization_id):
        return Organization.objects.get(id=organization_id)


def write(organization_id: UUID, ages_days: list[int]) -> None:
    """Calls of so many days ago."""
    now_ms = time.time_ns() // 1_000_000
    first = timezone.now() - timedelta(days=max(ages_days))
    with connection.cursor() as cursor:
        cursor.execute("SELECT app.ensure_ledger_partitions(%s, now())", [first])
    ledger = Ledger(django_settings.DATABASE_INGEST_URL)
    ledger.write(
        [row(organization_id, now_ms - age * DAY_MS, chance=n) for n, age in enumerate(ages_days)]
    )
    ledger.close()


def count(model: Any, organization_id: UUID) -> int:
    with tenant_scope(organization_id):
        found: int = model.objects.filter(organization_id=organization_id).count()
    return found


def refused(status: int, param: str) -> Any:
    return pytest.raises(RouterError, check=lambda why: (why.status, why.param) == (status, param))


@pytest.mark.django_db
class TestSettings:
    """The settings and their page."""

    def test_saving_holds_is_audited_and_moves_the_epoch(
        self, cast: Cast, as_alice: Client
    ) -> None:
        before = stored(cast.acme.id).epoch
        typed = form(name="Nova", time_zone="Asia/Kolkata", retention_days="90", store_bodies="on")
        assert as_alice.post("/organization", typed).status_code == 302
        row = stored(cast.acme.id)
        assert (row.name, row.time_zone) == ("Nova", "Asia/Kolkata")
        assert (row.retention_days, row.store_bodies, row.bodies_retention_days) == (90, True, 30)
        assert row.epoch > before
        page = as_alice.get("/audit-log").content.decode()
        assert "Organization changed" in page
        assert "<dt>prompts and answers stored</dt><dd><del><bdi>off</bdi></del>" in page

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", " "),
            ("name", "x" * 121),
            ("time_zone", "Berlin"),
            ("retention_days", "0"),
            ("retention_days", "401"),
            ("retention_days", "a week"),
            ("retention_days", "99999999999"),
            ("bodies_retention_days", ""),
            ("bodies_retention_days", "366"),
        ],
    )
    def test_what_is_wrong_stands_beside_the_field(
        self, as_alice: Client, cast: Cast, field: str, value: str
    ) -> None:
        before = stored(cast.acme.id).epoch
        answer = as_alice.post("/organization", form(**{field: value}))
        assert answer.status_code == 422
        assert f'aria-describedby="{field}-error"' in answer.content.decode()
        assert stored(cast.acme.id).epoch == before

    def test_what_somebody_else_changed_is_not_overwritten_unseen(
        self, as_alice: Client, cast: Cast
    ) -> None:
        id_ = cast.acme.id
        change_organization(id_, {"name": "Theirs", "retention_days": 30}, actor=ACTOR)
        answer = as_alice.post("/organization", form(name="Mine"))
        assert answer.status_code == 409
        page = answer.content.decode()
        assert "Somebody else made this Theirs meanwhile" in page
        assert 'name="was_name" value="Theirs"' in page
        assert 'name="name" value="Mine"' in page
        # A field that nobody else touched is saved, and theirs stays.
        assert as_alice.post("/organization", form(time_zone="UTC")).status_code == 302
        row = stored(id_)
        assert (row.name, row.time_zone, row.retention_days) == ("Theirs", "UTC", 30)

    def test_who_may_not_change_sees_why(self, as_bob: Client) -> None:
        page = as_bob.get("/organization").content.decode()
        assert "Only admins and owners change these. Your role is viewer." in page
        assert "Only an owner deletes it." in page
        assert 'href="/organization/delete"' not in page
        assert 'href="/organization/export"' not in page

    def test_there_is_no_other_setting(self, cast: Cast) -> None:
        with refused(422, "epoch"):
            change_organization(cast.acme.id, {"epoch": 1}, actor=ACTOR)


class TestRetention:
    """How long calls are kept."""

    def test_calls_past_it_go_and_totals_stay(self, committed: Cast) -> None:
        acme, rival = committed.acme.id, committed.rival.id
        for id_ in (acme, rival):
            write(id_, [1, 5, 9, 12])
        change_organization(acme, {"retention_days": 7}, actor=ACTOR)
        hours = count(Rollup, acme)
        expire_calls(timezone.now())
        assert (count(Call, acme), count(Call, rival)) == (2, 4)
        assert count(Rollup, acme) == hours

    def test_a_batch_takes_the_oldest_and_the_rest_follows(
        self, committed: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from analytics import erasure

        monkeypatch.setattr(erasure, "BATCH_CALLS", 2)
        write(committed.acme.id, [2, 3, 4, 5, 6])
        with tenant_scope(committed.acme.id), connection.cursor() as cursor:
            cursor.execute("SELECT app.delete_calls(%s, now(), 2)", [committed.acme.id])
            assert cursor.fetchone() == (2,)
        assert count(Call, committed.acme.id) == 3
        change_organization(committed.acme.id, {"retention_days": 1}, actor=ACTOR)
        assert expire_calls(timezone.now()) >= 3
        assert count(Call, committed.acme.id) == 0

    def test_nothing_of_the_last_day_goes_while_the_organization_stands(
        self, committed: Cast
    ) -> None:
        write(committed.acme.id, [0, 2])
        with tenant_scope(committed.acme.id), connection.cursor() as cursor:
            cursor.execute("SELECT app.delete_calls(%s, 'infinity', 100)", [committed.acme.id])
            assert cursor.fetchone() == (1,)
        assert count(Call, committed.acme.id) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT app.delete_calls(%(other)s, now(), 10)",
        "SELECT app.erase_totals(%(other)s, 10)",
        "SELECT app.erase_audit_trail(%(other)s)",
        "SELECT app.delete_calls(NULL, now(), 10)",
        # While it stands:
        "SELECT app.erase_totals(%(own)s, 10)",
        "SELECT app.erase_audit_trail(%(own)s)",
    ],
)
def test_no_function_reaches_others_or_takes_what_must_stay(cast: Cast, sql: str) -> None:
    ids = {"own": cast.acme.id, "other": cast.rival.id}
    with (
        pytest.raises(DatabaseError) as why,
        transaction.atomic(),
        tenant_scope(cast.acme.id),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, ids)
    assert getattr(why.value.__cause__, "sqlstate", None) == "42501"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, ids)


def test_functions_of_the_owner_work_where_it_bypasses_no_policy(committed: Cast) -> None:
    acme = committed.acme.id
    write(acme, [2, 3])
    admin, name = os.environ["TEST_ADMIN_URL"], django_settings.DATABASES["default"]["NAME"]
    with psycopg.connect(f"{admin.rpartition('/')[0]}/{name}") as server:
        # As on a managed server, whose administrator may not grant it; undone below.
        server.execute("ALTER ROLE er_owner NOBYPASSRLS")
        server.execute("SET LOCAL ROLE er_web")
        server.execute("SELECT set_config('app.organization_id', %s, true)", [str(acme)])

        def ask(sql: str) -> Any:
            row = server.execute(sql, {"id": acme}).fetchone()
            return row and row[0]

        assert ask("SELECT app.delete_calls(%(id)s, now(), 1)") == 1
        server.execute("SAVEPOINT standing")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask("SELECT app.erase_audit_trail(%(id)s)")
        server.execute("ROLLBACK TO standing")
        server.execute("DELETE FROM tenancy_organization WHERE id = %s", [acme])
        assert ask("SELECT app.erase_audit_trail(%(id)s)") > 0
        assert ask("SELECT app.erase_totals(%(id)s, 1000)") > 0
        assert ask("SELECT app.delete_calls(%(id)s, 'infinity', 10)") == 1
        server.rollback()
    assert count(Call, acme) == 2


class TestExport:
    """Everything in one file, without a secret."""

    def test_it_holds_every_table_and_no_secret(self, committed: Cast) -> None:
        make_samples(committed.acme.id)
        write(committed.acme.id, [1, 2])
        answer = signed_in(committed.alice).get("/organization/export")
        text = b"".join(answer.streaming_content).decode()
        rows = [json.loads(line) for line in text.splitlines()]
        kinds = {one["kind"] for one in rows}
        assert {
            "organization",
            "membership",
            "invitation",
            "apikey",
            "provider",
            "deployment",
            "userrouterpreferences",
            "auditentry",
            "ssoconnection",
            "call",
        } <= kinds
        assert len([one for one in rows if one["kind"] == "call"]) == 3
        assert committed.alice.email in {one.get("email") for one in rows}
        for secret in ("sk-sample", committed.acme_key, "digest", "sealed"):
            assert secret not in text
        assert str(committed.rival.id) not in text

    def test_it_holds_what_was_said_and_every_sum(
        self, committed: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        acme = committed.acme.id
        # Several batches of each.
        monkeypatch.setattr("analytics.export.BATCH_BODIES", 2)
        monkeypatch.setattr("analytics.export.BATCH_ROWS", 2)
        write(acme, [1, 2])
        ledger = Ledger(django_settings.DATABASE_INGEST_URL)
        now_ms = time.time_ns() // 1_000_000
        calls = [row(acme, now_ms - n * DAY_MS, chance=n) for n in range(5)]
        ledger.write(calls, [said(call, b"asked %d" % n, b"hi") for n, call in enumerate(calls)])
        # A body of another organization is sealed for that one alone.
        foreign = row(committed.rival.id, now_ms, chance=9)
        ledger.write([foreign], [said(foreign, b"rival secret", b"hi")])
        ledger.close()
        key = Client(headers={"Authorization": f"Bearer {committed.acme_key}"})
        answer = key.get("/api/organization/export")
        assert answer["Content-Type"] == "application/x-ndjson"
        assert "attachment" in answer["Content-Disposition"]
        text = b"".join(answer.streaming_content).decode()
        rows = [json.loads(line) for line in text.splitlines()]
        told = {one["call_id"]: one for one in rows if one["kind"] == "callbodies"}
        assert {id_: one["request"]["text"] for id_, one in told.items()} == {
            call["id"]: f"asked {n}" for n, call in enumerate(calls)
        }
        assert next(iter(told.values()))["answer"] == {"text": "hi", "size": 2, "is_cut": False}
        assert "rival secret" not in text
        for model in (Call, *summed_models()):
            with tenant_scope(acme):
                stored = model._base_manager.filter(organization_id=acme).count()
            found = [one for one in rows if one["kind"] == model._meta.model_name]
            assert len(found) == stored == len({json.dumps(one) for one in found}), model
        sums = [one["calls"] for one in rows if one["kind"] == "rollup"]
        assert sum(sums) == len([one for one in rows if one["kind"] == "call"])
        with tenant_scope(acme):
            assert AuditEntry.objects.get(action="organization.export").actor == "key acme key"

    def test_it_is_audited(self, cast: Cast, db: None) -> None:
        client = signed_in(cast.alice)
        client.head("/organization/export")
        client.get("/organization/export")
        with tenant_scope(cast.acme.id):
            entry = AuditEntry.objects.get(action="organization.export")
        assert (entry.actor_id, entry.object_id) == (cast.alice.id, cast.acme.id)
        assert entry.object_name == cast.acme.name

    def test_a_member_does_not_get_it(self, cast: Cast, db: None) -> None:
        add_member(cast.acme.id, user=cast.bob, role=Role.MEMBER, actor=SYSTEM)
        assert signed_in(cast.bob).get("/organization/export").status_code == 403


class TestEnd:
    """The end of an organization."""

    def test_nothing_is_left_of_it_and_others_are_whole(
        self, committed: Cast, caplog: pytest.LogCaptureFixture
    ) -> None:
        acme, rival = committed.acme.id, committed.rival.id
        for id_ in (acme, rival):
            make_samples(id_)
            write(id_, [0, 1, 3])
        with redis.Redis.from_url(django_settings.REDIS_URL) as client:
            client.set(f"{live_key(acme.hex)}:l:deployment", "1")
            client.set(f"{live_key(rival.hex)}:l:deployment", "1")
        before = {model: _rows_of(model, rival) for model in tenant_models()}
        browser = signed_in(committed.alice)
        api = Client(headers={"Authorization": f"Bearer {committed.acme_key}"})
        assert api.get("/api/calls").status_code == 200
        loader = DatabaseLoader()
        loader.changed()
        epoch = stored(acme).epoch

        wrong = browser.post("/organization/delete", {"name": "acme"})
        assert wrong.status_code == 422
        assert stored(acme)
        with caplog.at_level(logging.WARNING):
            done = browser.post("/organization/delete", {"name": committed.acme.name})

        assert done["Location"] == "/enterprise-router/"
        assert {model._meta.label: _rows_of(model, acme) for model in tenant_models()} == {
            model._meta.label: 0 for model in tenant_models()
        }
        assert {model: _rows_of(model, rival) for model in tenant_models()} == before
        assert f"organization {acme} " in caplog.text
        assert committed.alice.email in caplog.text
        # Keys stop at once, in every process that knows them.
        assert api.get("/api/calls").status_code == 401
        assert loader.changed()[acme.hex] > epoch
        assert loader.load(acme.hex) is None
        with redis.Redis.from_url(django_settings.REDIS_URL) as client:
            keys = list(client.scan_iter(f"er:{{{acme.hex}}}:*"))
            assert keys == [live_key(acme.hex).encode()]
            assert int(client.hget(keys[0], "e") or 0) > epoch  # type: ignore[arg-type]
            assert client.hlen(keys[0]) == 1
            assert 0 < client.ttl(keys[0]) <= 86_400  # type: ignore[operator]
            assert client.exists(f"{live_key(rival.hex)}:l:deployment")
        assert browser.get("/members")["Location"] == "/enterprise-router/organization/new"

    def test_calls_that_are_drained_late_go_too(self, committed: Cast) -> None:
        acme = committed.acme.id
        end_organization(acme, typed_name=committed.acme.name, actor=ACTOR)
        write(acme, [0, 1])
        assert count(Call, acme) == 2
        erase_deleted(timezone.now())
        assert (count(Call, acme), count(Rollup, acme)) == (0, 0)
        assert Erasure.objects.filter(id=acme).exists()
        erase_deleted(timezone.now() + timedelta(days=3))
        assert not Erasure.objects.filter(id=acme).exists()

    def test_it_goes_on_where_it_was_cut_off(
        self, committed: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from analytics import ending, erasure

        monkeypatch.setattr(erasure, "BATCH_CALLS", 2)
        monkeypatch.setattr(ending, "BATCHES_NOW", 1)
        acme = committed.acme.id
        write(acme, [0, 1, 2, 3, 4])
        end_organization(acme, typed_name=committed.acme.name, actor=ACTOR)
        assert count(Call, acme) == 3
        assert not erase_ledger(acme, batches_max=1)
        erase_deleted(timezone.now())
        assert count(Call, acme) == 0

    def test_a_member_of_two_goes_on_in_the_other(self, committed: Cast) -> None:
        add_member(committed.rival.id, user=committed.alice, role=Role.MEMBER, actor=SYSTEM)
        browser = signed_in(committed.alice)
        browser.post("/organization/delete", {"name": committed.acme.name})
        assert committed.rival.name in browser.get("/members").content.decode()

    def test_a_failure_half_way_leaves_it_whole(
        self, committed: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tenancy import organization

        create_key(committed.acme.id, name="k", scopes=[Scope.GATEWAY], actor=SYSTEM)
        before = {model: _rows_of(model, committed.acme.id) for model in tenant_models()}
        monkeypatch.setattr(
            organization.Erasure.objects, "create", lambda **_: (_ for _ in ()).throw(OSError())
        )
        with pytest.raises(OSError):  # noqa: PT011
            end_organization(committed.acme.id, typed_name=committed.acme.name, actor=ACTOR)
        assert {model: _rows_of(model, committed.acme.id) for model in tenant_models()} == before


def _rows_of(model: Any, organization_id: UUID) -> int:
    with tenant_scope(organization_id), connection.cursor() as cursor:
        cursor.execute(
            f'SELECT count(*) FROM "{model._meta.db_table}" WHERE {tenant_column(model)} = %s',
            [organization_id],
        )
        (found,) = cursor.fetchone()
    return int(found)
