"""What Postgres itself says of the wall: policies, rights, owners, views and functions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.tenancy.samples import tenant_column, tenant_models

pytestmark = pytest.mark.django_db

RUNNING = ("er_web", "er_ingest")
# Each answers a question that comes before a scope is known, or needs its owner's rights.
WITH_OWNERS_RIGHTS = {
    "app.key_organization(bytea)": {"er_web"},
    "app.user_memberships(uuid)": {"er_web"},
    "app.sso_of_domain(text)": {"er_web"},
    "app.sso_organization(uuid)": {"er_web"},
    "app.organizations_changed_since(timestamp with time zone)": {"er_web"},
    "app.invitation_organization(bytea)": {"er_web"},
    "app.organizations_with_retention()": {"er_web"},
    "app.erase_audit_trail(uuid)": {"er_web"},
    "app.delete_calls(uuid,timestamp with time zone,integer)": {"er_web"},
    "app.erase_totals(uuid,integer)": {"er_web"},
    "app.ensure_ledger_partitions(timestamp with time zone,timestamp with time zone)": {
        "er_web",
        "er_ingest",
    },
    "app.drop_ledger_partitions(timestamp with time zone)": {"er_web"},
}
WITH_CALLERS_RIGHTS = {"app.organization_id()": {"er_web"}, "app.refuse_change()": set()}
INGEST_MAY = {
    "router_analytics": {"SELECT", "INSERT"},
    "router_rollups": {"SELECT", "INSERT", "UPDATE"},
    "router_quarters": {"SELECT", "INSERT", "UPDATE"},
    "router_latency_totals": {"SELECT", "INSERT", "UPDATE"},
    "router_fallbacks": {"SELECT", "INSERT", "UPDATE"},
    "router_tags": {"SELECT", "INSERT", "UPDATE"},
    "router_bodies": {"INSERT"},
    "router_quarantine": {"SELECT", "INSERT"},
    "tenancy_apikey.id": {"SELECT"},
    "tenancy_apikey.organization_id": {"SELECT"},
    "tenancy_apikey.last_used_at": {"SELECT", "UPDATE"},
}
PARTITION = re.compile(r"router_analytics_\d")
OURS = "n.nspname IN ('public', 'app')"
RIGHTS = """
SELECT c.relname, x.privilege_type FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
  WHERE {ours} AND c.relkind IN ({kinds}) AND x.grantee IN (%s::regrole, 0)
UNION ALL
SELECT c.relname || '.' || a.attname, x.privilege_type FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x
  WHERE {ours} AND c.relkind IN ({kinds}) AND x.grantee IN (%s::regrole, 0)
"""


def ask(sql: str, *values: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return cursor.fetchall()


def rights_of(role: str, kinds: str = "'r','p','v','m','f'") -> dict[str, set[str]]:
    """What a role, or everybody, may do with each table and column."""
    found: dict[str, set[str]] = {}
    for name, right in ask(RIGHTS.format(ours=OURS, kinds=kinds), role, role):
        found.setdefault(name, set()).add(right)
    return found


def tenant_tables() -> dict[str, str]:
    """Every table and partition that belongs to organizations, with the column that says so."""
    rows = ask(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"
        f" WHERE {OURS} AND c.relkind IN ('r', 'p', 'm', 'v', 'f')"
        " AND a.attname = 'organization_id'"
    )
    return {name: "organization_id" for (name,) in rows} | {"tenancy_organization": "id"}


def test_every_tenant_model_is_one_of_these_tables() -> None:
    models = {model._meta.db_table: tenant_column(model) for model in tenant_models()}
    tables = tenant_tables()
    assert models.items() <= tables.items()
    rest = tables.keys() - models.keys()
    assert rest
    assert all(name.startswith("router_analytics_") for name in rest), "only partitions remain"


def test_row_security_is_forced_on_every_tenant_table_and_partition() -> None:
    rows = ask(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relname = ANY(%s) AND relnamespace = 'public'::regnamespace",
        list(tenant_tables()),
    )
    assert len(rows) == len(tenant_tables())
    assert [name for name, on, forced in rows if not (on and forced)] == []


def test_one_restrictive_policy_holds_for_a_web_process() -> None:
    rows = ask(
        "SELECT tablename, permissive, cmd, qual, with_check FROM pg_policies"
        " WHERE 'er_web' = ANY(roles) OR 'public' = ANY(roles)"
    )
    for table, column in tenant_tables().items():
        mine = [row[1:] for row in rows if row[0] == table]
        narrowing = [row for row in mine if row[0] == "RESTRICTIVE"]
        assert len(narrowing) == 1, table
        assert len(mine) == 2, table
        _, command, using, check = narrowing[0]
        assert command == "ALL"
        once = f"({column} = ( SELECT app.organization_id() AS organization_id))"
        assert using == check == once, table


def test_who_sees_every_row_is_known() -> None:
    rows = ask(
        "SELECT tablename, roles::text[] FROM pg_policies"
        " WHERE NOT 'er_web' = ANY(roles) AND policyname <> 'er_owner_here'"
    )
    seen: dict[str, set[str]] = {}
    for table, roles in rows:
        name = "partition" if table.startswith("router_analytics_") else table
        seen.setdefault(name, set()).update(roles)
    assert seen == {
        "tenancy_organization": {"er_auth"},
        "tenancy_membership": {"er_auth"},
        "tenancy_apikeysecret": {"er_auth"},
        "tenancy_ssoconnection": {"er_auth"},
        "tenancy_ssodomain": {"er_auth"},
        "tenancy_invitation": {"er_auth"},
        "tenancy_apikey": {"er_auth", "er_ingest"},
        "router_analytics": {"er_ingest"},
        "partition": {"er_ingest"},
        "router_rollups": {"er_ingest"},
        "router_quarters": {"er_ingest"},
        "router_latency_totals": {"er_ingest"},
        "router_fallbacks": {"er_ingest"},
        "router_tags": {"er_ingest"},
        "router_bodies": {"er_ingest"},
    }


def test_functions_of_the_owner_see_the_scope_alone_where_it_bypasses_nothing() -> None:
    rows = ask(
        "SELECT tablename, roles::text[], qual FROM pg_policies WHERE policyname = 'er_owner_here'"
    )
    ledger = [name for name in tenant_tables() if name.startswith("router_")]
    columns = {name: "organization_id" for name in ledger if not PARTITION.match(name)}
    columns |= {"tenancy_organization": "id", "tenancy_auditentry": "organization_id"}
    assert {table for table, _, _ in rows} == columns.keys()
    for table, roles, using in rows:
        assert roles == ["er_owner"]
        assert using == f"({columns[table]} = ( SELECT app.organization_id() AS organization_id))"


@pytest.mark.parametrize("role", RUNNING)
def test_a_running_process_is_nobody_special(role: str) -> None:
    powers = ask(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
        " FROM pg_roles WHERE rolname = %s",
        role,
    )
    assert powers == [(False,) * 5]
    assert ask("SELECT 1 FROM pg_auth_members WHERE member = %s::regrole", role) == []
    # A temporary table is of one session alone; the drainer copies through one.
    owned = ask(
        "SELECT relname FROM pg_class WHERE relowner = %s::regrole"
        " AND relnamespace::regnamespace::text !~ '^pg_(toast_)?temp'"
        " UNION ALL SELECT proname FROM pg_proc WHERE proowner = %s::regrole"
        " UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = %s::regrole"
        " UNION ALL SELECT datname FROM pg_database WHERE datdba = %s::regrole",
        *[role] * 4,
    )
    assert owned == []
    for schema in ("public", "app"):
        assert ask("SELECT has_schema_privilege(%s, %s, 'CREATE')", role, schema) == [(False,)]
    assert ask("SELECT has_database_privilege(%s, current_database(), 'CREATE')", role) == [
        (False,)
    ]


def test_a_web_process_only_reads_and_writes_rows() -> None:
    rights = rights_of("er_web")
    assert set().union(*rights.values()) == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert rights["tenancy_auditentry"] == {"SELECT", "INSERT"}
    for table in (
        "router_analytics",
        "router_rollups",
        "router_quarters",
        "router_latency_totals",
        "router_fallbacks",
    ):
        assert rights[table] == {"SELECT"}
    assert rights["router_bodies"] == {"SELECT", "DELETE"}
    assert rights["router_tags"] == {"SELECT", "DELETE"}
    assert "router_quarantine" not in rights
    assert not [name for name in rights if name.startswith("router_analytics_")]


def test_the_drainer_only_writes_the_ledger() -> None:
    assert rights_of("er_ingest") == INGEST_MAY


def test_the_backup_only_reads() -> None:
    assert set().union(*rights_of("er_backup").values()) == {"SELECT"}
    readable = rights_of("er_backup").keys()
    assert tenant_tables().keys() <= readable


def test_no_view_shows_what_its_owner_sees() -> None:
    rows = ask(
        "SELECT c.relname, c.relkind, c.reloptions FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND c.relkind IN ('v', 'm')"
    )
    loose = [n for n, kind, o in rows if kind == "m" or "security_invoker=true" not in (o or [])]
    assert loose == []


def functions() -> list[Any]:
    """Name, whether with the owner's rights, settings, who may execute it, owner."""
    return ask(
        "SELECT n.nspname || '.' || p.proname || '('"
        " || replace(oidvectortypes(p.proargtypes), ', ', ',') || ')',"
        " p.prosecdef, coalesce(p.proconfig, '{}'),"
        " ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END"
        "  FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))"
        "  WHERE grantee <> p.proowner), p.proowner::regrole::text"
        f" FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS}"
    )


def test_functions_with_their_owners_rights_are_the_known_ones() -> None:
    found = {name: set(who) for name, definer, _, who, _ in functions() if definer}
    assert found == WITH_OWNERS_RIGHTS


def test_every_other_function_is_known_too() -> None:
    found = {name: set(who) for name, definer, _, who, _ in functions() if not definer}
    assert found == WITH_CALLERS_RIGHTS


def test_no_function_looks_first_into_temporary_tables() -> None:
    for name, _, config, _, _ in functions():
        (path,) = [word for word in config if word.startswith("search_path=")]
        first, *rest = path.removeprefix("search_path=").split(", ")
        assert first == "pg_catalog", name
        assert rest[-1] == "pg_temp", name


def test_who_looks_across_organizations_cannot_write() -> None:
    assert rights_of("er_auth") == {
        table: {"SELECT"}
        for table in (
            "tenancy_organization",
            "tenancy_membership",
            "tenancy_apikey",
            "tenancy_apikeysecret",
            "tenancy_ssoconnection",
            "tenancy_ssodomain",
            "tenancy_erasure",
            "tenancy_invitation.digest",
            "tenancy_invitation.organization_id",
        )
    }
    assert ask("SELECT rolcanlogin, rolbypassrls FROM pg_roles WHERE rolname = 'er_auth'") == [
        (False, False)
    ]


def test_no_date_takes_the_present_ledger_away() -> None:
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'router_analytics'::regclass"
    ask("SELECT app.ensure_ledger_partitions(now(), now() + interval '8 days')")
    ask("SELECT app.drop_ledger_partitions(now() + interval '100 years')")
    assert ask(count)[0][0] >= 2


@contextmanager
def signed_in_as(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as found:
        yield found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM tenancy_user",
        "SELECT name FROM tenancy_apikey",
        "SELECT digest FROM tenancy_apikeysecret",
        "SELECT * FROM catalog_credential",
        "SELECT * FROM tenancy_auditentry",
        "UPDATE tenancy_apikey SET revoked_at = NULL",
        "UPDATE router_analytics SET cost_nano = 0",
        "DELETE FROM router_analytics",
        "DELETE FROM router_rollups",
        "TRUNCATE router_rollups",
        "SELECT app.key_organization('\\x00')",
        "SELECT app.drop_ledger_partitions(now())",
        "CREATE TABLE public.mine (id int)",
    ],
)
def test_the_drainer_is_refused_everything_else(sql: str) -> None:
    with (
        signed_in_as(settings.DATABASE_INGEST_URL) as drainer,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        drainer.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO tenancy_organization (id, name) VALUES (gen_random_uuid(), 'x')",
        "UPDATE tenancy_organization SET name = 'x'",
        "DELETE FROM router_rollups",
        "TRUNCATE tenancy_auditentry",
        "SELECT app.user_memberships(gen_random_uuid())",
        "CREATE TABLE public.mine (id int)",
    ],
)
def test_the_backup_is_refused_everything_but_reading(sql: str) -> None:
    password = os.environ.get("TEST_BACKUP_PASSWORD")
    if not password:
        pytest.skip("TEST_BACKUP_PASSWORD is not set")
    parts = urlsplit(settings.DATABASE_INGEST_URL)
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"er_backup:{quote(password, safe='')}@{place}"))
    with signed_in_as(url) as backup:
        assert backup.execute("SELECT count(*) FROM catalog_credential").fetchone() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            backup.execute(sql)
