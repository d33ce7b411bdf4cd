"""The audit log as people read, filter, check and export it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tenancy import audit
from tenancy.core import SYSTEM, Actor, Role
from tenancy.models import AuditEntry, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member
from tests.conftest import Cast, make_cast

ACTOR = Actor("user", new_id(), "=cmd|'/C calc'!A0", "203.0.113.9")


def record(organization_id: UUID, count: int, **more: Any) -> None:
    with tenant_scope(organization_id):
        for number in range(count):
            audit.record(
                organization_id,
                ACTOR,
                action="preferences.update",
                kind="preferences",
                object_id=more.get("object_id"),
                name=f"row {number:03}",
                before={"max_cost": None, "providers": ["a"], "same": 1},
                after={"max_cost": "0.05", "providers": ["a", "b"], "same": 1},
            )


def body(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


@pytest.mark.django_db
def test_changes_stand_there_readably(cast: Cast, as_alice: Client) -> None:
    record(cast.acme.id, 1)
    page = as_alice.get("/audit-log").content.decode()
    assert "Preferences changed" in page
    assert "<del><bdi>empty</bdi></del>" in page
    assert "<ins><bdi>0.05</bdi></ins>" in page
    assert "<ins><bdi>a, b</bdi></ins>" in page
    assert "203.0.113.9" in page
    assert ">same<" not in page


@pytest.mark.django_db
def test_values_are_in_words_on_the_page_and_exact_in_files(cast: Cast, as_alice: Client) -> None:
    before = {
        "input_nano_per_mtok": 2_500_000_000,
        "price_as_of": "2026-11-20T23:30:00.123456+00:00",
        "max_latency_ms": 20000,
        "max_cost_per_request": "0.05",
    }
    with tenant_scope(cast.acme.id):
        audit.record(
            cast.acme.id,
            ACTOR,
            action="deployment.clear_price",
            kind="deployment",
            object_id=None,
            before=before,
            after=dict.fromkeys(before),
        )
    page = as_alice.get("/audit-log").content.decode()
    assert "Deployment own price removed" in page
    for name, value in (
        ("price of input", "$2.50 per million tokens"),
        ("price as of", "21 Nov 2026, 00:30:00"),
        ("longest answer", "20,000 ms"),
        ("most a request may cost", "$0.05"),
    ):
        assert f"<dt>{name}</dt><dd><del><bdi>{value}</bdi></del>" in page
    kept = json.loads(body(as_alice.get("/audit-log/export?format=json")))[0]
    assert kept["before"] == before


@pytest.mark.django_db
def test_filters_narrow_and_stay_in_every_address(cast: Cast, as_alice: Client) -> None:
    thing = new_id()
    record(cast.acme.id, 60, object_id=thing)
    add_member(cast.acme.id, user=cast.bob, role=Role.ADMIN, actor=SYSTEM)

    def count(**query: str) -> int:
        return as_alice.get("/audit-log", query).content.decode().count('<td class="num">')

    assert count() == 50
    assert count(action="member.set_role") == 2
    assert count(kind="member", actor="system") == 2
    assert count(actor="nobody") == 0
    assert count(object=str(thing)) == 50
    assert count(object="row 00") == 10
    today = timezone.now().date()
    assert count(**{"to": (today - timedelta(days=2)).isoformat()}) == 0
    assert count(**{"from": "not a day", "object": "row 00"}) == 10
    assert count(object="row 00\x00") == 50
    first = as_alice.get("/audit-log?kind=preferences").content.decode()
    older = first.split('href="/audit-log?kind=preferences&amp;older=')[1].split('"')[0]
    second = as_alice.get(f"/audit-log?kind=preferences&older={older}").content.decode()
    assert second.count('<td class="num">') == 10
    newer = second.split('href="/audit-log?kind=preferences&amp;newer=')[1].split('"')[0]
    again = as_alice.get(f"/audit-log?kind=preferences&newer={newer}").content.decode()
    assert again.count('<td class="num">') == 50
    assert "row 059" in again


@pytest.mark.django_db
def test_it_asks_postgres_the_same_for_few_and_for_many(
    cast: Cast, as_alice: Client, django_assert_max_num_queries: Any
) -> None:
    counts = []
    for more in (0, 60):
        record(cast.acme.id, more)
        with django_assert_max_num_queries(11) as asked:
            as_alice.get("/audit-log")
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_the_export_holds_every_row_that_matches(cast: Cast, as_alice: Client) -> None:
    record(cast.acme.id, 1100)
    answer = as_alice.get("/audit-log/export?format=csv&kind=preferences")
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(body(answer))))
    assert len(rows) == 1100
    assert len({row["id"] for row in rows}) == 1100
    assert rows[0]["object_name"] == "row 1099"
    assert rows[0]["created_at"].endswith("+00:00")
    assert json.loads(rows[0]["after"]) == {"max_cost": "0.05", "providers": ["a", "b"]}
    # A spreadsheet would run it.
    assert rows[0]["actor"].startswith("'=")
    told = json.loads(body(as_alice.get("/audit-log/export?format=json&object=row 109")))
    assert [row["object_name"] for row in told] == [
        *(f"row {1099 - n}" for n in range(10)),
        "row 109",
    ]
    assert told[0]["before"] == {"max_cost": None, "providers": ["a"]}
    assert json.loads(body(as_alice.get("/audit-log/export?format=json&actor=x"))) == []
    assert as_alice.get("/audit-log/export?format=pdf").status_code == 422


@pytest.mark.django_db
def test_only_what_is_of_the_organization_is_shown(cast: Cast, as_carol: Client) -> None:
    record(cast.acme.id, 3)
    assert "row 00" not in as_carol.get("/audit-log").content.decode()
    assert "row 00" not in body(as_carol.get("/audit-log/export?format=json"))


def as_owner(sql: str, *values: object) -> None:
    """What somebody with the database in their hands could do."""
    import os

    admin = os.environ["TEST_ADMIN_URL"]
    name = settings.DATABASES["default"]["NAME"]
    with psycopg.connect(admin.rpartition("/")[0] + f"/{name}", autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")  # no trigger runs
        owner.execute(sql, values)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE tenancy_auditentry SET actor = 'somebody else' WHERE id = %s",
        'UPDATE tenancy_auditentry SET after = \'{"max_cost": "9"}\' WHERE id = %s',
        "UPDATE tenancy_auditentry SET created_at = created_at - interval '1 day' WHERE id = %s",
        "DELETE FROM tenancy_auditentry WHERE id = %s",
    ],
)
def test_what_is_altered_afterwards_breaks_the_chain(committed: Cast, tampering: str) -> None:
    id_ = committed.acme.id
    record(id_, 5)
    with tenant_scope(id_):
        chain = audit.verify(id_)
        assert chain.is_intact
        assert chain.entries >= 5
        assert len(chain.head) == 64
        third = AuditEntry.objects.get(object_name="row 002")
    call_command("audit", "verify", "--organization", str(id_))
    as_owner(tampering, third.id)
    with tenant_scope(id_):
        broken = audit.verify(id_).broken_at
    assert broken is not None
    assert broken.object_name in ("row 002", "row 003")
    with pytest.raises(CommandError, match="broken at entry"):
        call_command("audit", "verify", "--organization", str(id_))
    rival = committed.rival.id
    with tenant_scope(rival):
        assert audit.verify(rival).is_intact


@pytest.mark.django_db
def test_the_page_walks_the_chain_when_asked(cast: Cast, as_alice: Client) -> None:
    headers = {"HX-Request": "true", "HX-Target": "chain"}
    part = as_alice.get("/audit-log?check=1", headers=headers).content.decode()
    assert "The chain is intact." in part
    assert "<!doctype" not in part
    assert "The chain is intact." in as_alice.get("/audit-log?check=1").content.decode()
    assert "The chain" not in as_alice.get("/audit-log").content.decode()


@pytest.mark.django_db
def test_what_json_can_hold_stays_as_it_was_hashed(cast: Cast) -> None:
    odd = {"f": 1.0, "big": 1e20, "n": None, "deep": {"l": [1, 2.5, "ü 😀", True]}, "s": "\u2028"}
    with tenant_scope(cast.acme.id):
        audit.record(
            cast.acme.id, ACTOR, action="x.update", kind="x", object_id=None, after=odd, before=None
        )
        assert audit.verify(cast.acme.id).is_intact


def test_entries_written_at_the_same_moment_form_one_chain(committed: Cast) -> None:
    from tests.tenancy.test_members import at_once

    id_ = committed.acme.id
    at_once(*[lambda: record(id_, 5) for _ in range(6)])
    with tenant_scope(id_):
        chain = audit.verify(id_)
    assert chain.is_intact
    assert chain.entries >= 30


def test_chains_begin_anew_for_each_organization(committed: Cast) -> None:
    other = make_cast(new_id().hex[-12:])
    for id_ in (committed.acme.id, other.acme.id):
        with tenant_scope(id_):
            assert audit.verify(id_).is_intact
