"""Migrations on a server whose administrator may let no role bypass row-level security."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from project import database

ROOT = Path(__file__).resolve().parents[2]
NAME = "er_migrations_test"
CALL = """
INSERT INTO router_analytics (id, organization_id, created_at, provider, task_type, model_requested,
    model_used, priority, success, status, error_code, stream, latency_ms, input_tokens,
    output_tokens, cached_tokens, reasoning_tokens, cost_nano, cost_estimated, usage, fallback_used,
    attempts, cache_hit, variant, region, decision, metadata)
  VALUES (gen_random_uuid(), gen_random_uuid(), now(), 'sandbox', 'chat', 'auto', 'tiny', 'cost',
    true, 200, '', false, 400, 3, 4, 0, 0, 7, false, '{}', true, 2, false, '', '',
    '{"attempts": [{"provider": "openai"}]}', '{"team": "search"}')
"""
FORCED = """
SELECT relname FROM pg_class WHERE relname LIKE 'router%' AND relkind IN ('r', 'p')
  AND relrowsecurity AND NOT relforcerowsecurity
"""


@pytest.fixture
def bare() -> Iterator[tuple[str, str]]:
    """The administrator's address of an empty database, and the migrating role's."""
    admin_url = os.environ.get("TEST_ADMIN_URL")
    if not admin_url:
        pytest.skip("TEST_ADMIN_URL is not set: run these through ./test")
    passwords = {"er_backup": os.environ["TEST_BACKUP_PASSWORD"]}
    for variable, role in (
        ("DATABASE_URL", "er_web"),
        ("DATABASE_MIGRATE_URL", "er_migrate"),
        ("DATABASE_INGEST_URL", "er_ingest"),
    ):
        passwords[role] = str(conninfo_to_dict(os.environ[variable])["password"])
    drop = f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(drop)
        made = database.bootstrap(admin_url, database=NAME, passwords=passwords)
        admin.execute("ALTER ROLE er_owner NOBYPASSRLS")
        try:
            yield psycopg.conninfo.make_conninfo(admin_url, dbname=NAME), made.migrate
        finally:
            admin.execute("ALTER ROLE er_owner BYPASSRLS")
            admin.execute(drop)


def migrate(url: str, *to: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0", *to],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1500:]


def test_calls_of_before_are_in_every_sum_after(bare: tuple[str, str]) -> None:
    admin_url, migrate_url = bare
    migrate(migrate_url, "analytics", "0003")
    with psycopg.connect(admin_url) as admin:
        admin.execute("SELECT app.ensure_ledger_partitions(now(), now())")
        admin.execute(CALL)
    migrate(migrate_url)
    with psycopg.connect(admin_url) as admin:
        for table in ("router_quarters", "router_fallbacks", "router_tags"):
            found = admin.execute(f"SELECT sum(calls) FROM {table}").fetchall()
            assert found == [(1,)], table
        assert admin.execute(FORCED).fetchall() == []
