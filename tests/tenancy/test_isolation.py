"""The wall between organizations, table by table: every tenant model, operation and scope.

A new tenant model is found by itself; without a row in ``samples.make_samples`` it fails here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import Error, connection, transaction
from django.db.models import ForeignKey, Model

from tenancy.models import Organization, new_id
from tenancy.scope import SETTING
from tests.conftest import make_cast
from tests.tenancy.samples import make_samples, tenant_column, tenant_models

NO_PRIVILEGE = "42501"
NO_SUCH_REFERENCE = "23503"
MODELS = tenant_models()
NAMES = [model._meta.label for model in MODELS]
every_model = pytest.mark.parametrize("model", MODELS, ids=NAMES)


@dataclass(frozen=True, slots=True)
class Two:
    """Two organizations, each with a row in every tenant table."""

    ours: UUID
    theirs: UUID


@pytest.fixture(scope="module")
def two(django_db_setup: None, django_db_blocker: Any) -> Iterator[Two]:
    """Made once, committed, under names of their own."""
    with django_db_blocker.unblock():
        cast = make_cast(new_id().hex[-12:])
        make_samples(cast.acme.id)
        make_samples(cast.rival.id)
        yield Two(cast.acme.id, cast.rival.id)
        connection.close()


@contextmanager
def as_if_in(organization_id: UUID | None) -> Iterator[Any]:
    """A cursor in a transaction that is undone; with the setting alone, whatever sets it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            value = str(organization_id) if organization_id else ""
            cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, value])
            yield cursor
        transaction.set_rollback(True)


@contextmanager
def refused(*states: str) -> Iterator[None]:
    """The database refuses the block with one of these states."""
    with pytest.raises(Error) as raised:
        yield
    assert getattr(raised.value.__cause__, "sqlstate", None) in states, raised.value


@contextmanager
def harmless() -> Iterator[None]:
    """The block finds nothing to change, or the role may not change the table at all."""
    try:
        yield
    except Error as why:
        if getattr(why.__cause__, "sqlstate", None) != NO_PRIVILEGE:
            raise


def table(model: type[Model]) -> str:
    return f'"{model._meta.db_table}"'


def a_row(model: type[Model], organization_id: UUID) -> dict[str, Any]:
    """A row of the organization as JSON, by column."""
    with as_if_in(organization_id) as cursor:
        cursor.execute(
            f"SELECT to_jsonb(t) FROM {table(model)} t WHERE {tenant_column(model)} = %s LIMIT 1",
            [organization_id],
        )
        found = cursor.fetchone()
    assert found, f"{model._meta.label} has no sample: give make_samples one."
    made: dict[str, Any] = json.loads(found[0]) if isinstance(found[0], str) else found[0]
    return made


def insert(cursor: Any, model: type[Model], values: dict[str, Any], conflict: str = "") -> int:
    cursor.execute(
        f"INSERT INTO {table(model)}"
        f" SELECT * FROM jsonb_populate_record(NULL::{table(model)}, %s) {conflict}",
        [json.dumps(values)],
    )
    count: int = cursor.rowcount
    return count


def identity(model: type[Model]) -> tuple[str, ...]:
    """The columns of the table's primary key, without those that it only carries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a"
            " ON a.attrelid = i.indrelid"
            " AND a.attnum = ANY((i.indkey::smallint[])[0:i.indnkeyatts - 1])"
            " WHERE i.indrelid = %s::regclass AND i.indisprimary",
            [model._meta.db_table],
        )
        (columns,) = cursor.fetchone()
    return tuple(columns)


def test_the_walk_finds_the_tenant_models() -> None:
    assert len(MODELS) >= 13
    assert {"tenancy.ApiKey", "catalog.Credential", "analytics.Call"} <= set(NAMES)


@pytest.mark.django_db
@every_model
def test_each_organization_sees_its_own_rows_and_no_other(model: type[Model], two: Two) -> None:
    for own, other in ((two.ours, two.theirs), (two.theirs, two.ours)):
        assert a_row(model, own)
        with as_if_in(own) as cursor:
            column = tenant_column(model)
            cursor.execute(
                f"SELECT count(*), count(*) FILTER (WHERE {column} = %s) FROM {table(model)}", [own]
            )
            everything, mine = cursor.fetchone()
            assert everything == mine >= 1
            cursor.execute(f"SELECT 1 FROM {table(model)} WHERE {column} = %s", [other])
            assert cursor.fetchall() == []


@pytest.mark.django_db
@every_model
def test_without_a_scope_nothing_is_read(model: type[Model], two: Two) -> None:
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        cursor.execute(f"SELECT count(*) FROM {table(model)}")
    with refused(NO_PRIVILEGE), transaction.atomic():
        model._default_manager.first()


@pytest.mark.django_db
@every_model
def test_without_a_scope_nothing_is_written(model: type[Model], two: Two) -> None:
    mine = a_row(model, two.ours)
    column = tenant_column(model)
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        insert(cursor, model, {**mine, "id": str(new_id())})
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        insert(cursor, model, mine, "ON CONFLICT DO NOTHING")
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        cursor.execute(f"UPDATE {table(model)} SET {column} = {column}")
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        cursor.execute(f"DELETE FROM {table(model)}")


@pytest.mark.django_db
@every_model
def test_no_row_is_inserted_for_another_organization(model: type[Model], two: Two) -> None:
    theirs = a_row(model, two.theirs)
    stranger = str(new_id())
    fresh = {**theirs, "id": stranger}
    with refused(NO_PRIVILEGE), as_if_in(two.ours) as cursor:
        insert(cursor, model, fresh)


@pytest.mark.django_db
@every_model
def test_no_row_of_another_organization_is_updated(model: type[Model], two: Two) -> None:
    column = tenant_column(model)
    with harmless(), as_if_in(two.ours) as cursor:
        cursor.execute(
            f"UPDATE {table(model)} SET {column} = {column} WHERE {column} = %s", [two.theirs]
        )
        assert cursor.rowcount == 0
    with refused(NO_PRIVILEGE), as_if_in(two.ours) as cursor:
        cursor.execute(f"UPDATE {table(model)} SET {column} = %s", [two.theirs])


@pytest.mark.django_db
@every_model
def test_no_row_of_another_organization_is_deleted(model: type[Model], two: Two) -> None:
    with harmless(), as_if_in(two.ours) as cursor:
        cursor.execute(
            f"DELETE FROM {table(model)} WHERE {tenant_column(model)} = %s", [two.theirs]
        )
        assert cursor.rowcount == 0
    assert a_row(model, two.theirs)


@pytest.mark.django_db
@every_model
def test_no_upsert_reaches_a_row_of_another_organization(model: type[Model], two: Two) -> None:
    before = a_row(model, two.theirs)
    column, keys = tenant_column(model), ", ".join(identity(model))
    for claimed in ({**before, column: str(two.ours)}, before):
        if model is Organization:
            claimed = before
        with refused(NO_PRIVILEGE), as_if_in(two.ours) as cursor:
            insert(
                cursor,
                model,
                claimed,
                f"ON CONFLICT ({keys}) DO UPDATE SET {column} = EXCLUDED.{column}",
            )
        with harmless(), as_if_in(two.ours) as cursor:
            assert insert(cursor, model, claimed, f"ON CONFLICT ({keys}) DO NOTHING") == 0
    assert a_row(model, two.theirs) == before


REFERENCES = [
    (model, field)
    for model in MODELS
    for field in model._meta.concrete_fields
    if isinstance(field, ForeignKey)
    and field.related_model in MODELS
    and field.related_model is not Organization
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "field"), REFERENCES, ids=[f"{m._meta.label}.{f.name}" for m, f in REFERENCES]
)
def test_no_row_refers_to_one_of_another_organization(
    model: type[Model], field: ForeignKey[Any, Any], two: Two
) -> None:
    target = a_row(field.related_model, two.theirs)["id"]
    with refused(NO_SUCH_REFERENCE), as_if_in(two.ours) as cursor:
        cursor.execute(f"UPDATE {table(model)} SET {field.column} = %s", [target])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with refused(NO_PRIVILEGE), as_if_in(None) as cursor:
        cursor.execute(f"UPDATE {table(model)} SET {field.column} = %s", [target])


def test_references_between_tenant_tables_are_known() -> None:
    assert {f"{m._meta.label}.{f.name}" for m, f in REFERENCES} >= {
        "catalog.Credential.provider",
        "catalog.Deployment.provider",
        "preferences.KeyPreferences.api_key",
        "tenancy.ApiKeySecret.api_key",
    }


@pytest.mark.django_db
def test_a_partition_is_closed_to_a_direct_read(two: Two) -> None:
    with as_if_in(two.ours) as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM router_analytics LIMIT 1")
        (partition,) = cursor.fetchone()
    assert partition.startswith("router_analytics_")
    for scope in (None, two.ours, two.theirs):
        with refused(NO_PRIVILEGE), as_if_in(scope) as cursor:
            cursor.execute(f"SELECT count(*) FROM {partition}")
        with refused(NO_PRIVILEGE), as_if_in(scope) as cursor:
            cursor.execute(f"DELETE FROM {partition}")
