"""manage.py seed_calls: made-up calls whose rollups are what the drainer would have written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from analytics.ledger import Ledger
from analytics.sample import moments
from tests.analytics.rows import row
from tests.conftest import Cast

BERLIN = ZoneInfo("Europe/Berlin")


def seed(organization: object, *words: str) -> str:
    out = io.StringIO()
    call_command("seed_calls", "--organization", str(organization), *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def ingest() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(settings.DATABASE_INGEST_URL) as connection:
        yield connection


def test_moments_are_as_many_as_asked_and_fewer_at_night() -> None:
    end = datetime(2026, 11, 20, 12, tzinfo=UTC)
    start = end - timedelta(days=14)
    found = list(moments(20_000, start, end, zone=BERLIN, chance=Random(1)))
    assert len(found) == 20_000
    assert found == sorted(found)
    assert start.timestamp() * 1000 <= found[0]
    assert found[-1] < end.timestamp() * 1000
    hours = [datetime.fromtimestamp(ms / 1000, BERLIN).hour for ms in found]
    assert sum(13 <= h < 16 for h in hours) > 4 * sum(1 <= h < 4 for h in hours)


def test_rows_are_labeled_priced_and_equal_to_their_rollups(
    committed: Cast, ingest: psycopg.Connection[Any]
) -> None:
    told = seed(committed.acme.id, "--calls", "3000", "--days", "9")
    assert told.startswith("3,000 calls of 9 days written for Acme")
    of = {"organization": committed.acme.id}
    rows = ingest.execute(
        "SELECT count(*), sum(cost_nano), count(*) FILTER (WHERE success),"
        " count(*) FILTER (WHERE fallback_used), count(DISTINCT provider),"
        " count(DISTINCT api_key_id), count(DISTINCT status),"
        " bool_and(metadata->>'seeded' = 'true')"
        " FROM router_analytics WHERE organization_id = %(organization)s",
        of,
    ).fetchone()
    rollups = ingest.execute(
        "SELECT sum(calls), sum(cost_nano), sum(successes), sum(fallbacks)"
        " FROM router_rollups WHERE organization_id = %(organization)s",
        of,
    ).fetchone()
    latencies = ingest.execute(
        "SELECT sum(e & (2::bigint ^ 40 - 1)::bigint) FROM router_rollups, unnest(latencies) e"
        " WHERE organization_id = %(organization)s",
        of,
    ).fetchone()
    totals = ingest.execute(
        "SELECT span, kind, sum(calls) FROM router_latency_totals"
        " WHERE organization_id = %(organization)s GROUP BY 1, 2",
        of,
    ).fetchall()
    quarters = ingest.execute(
        "SELECT sum(calls), sum(cost_nano), sum(successes), sum(fallbacks)"
        " FROM router_quarters WHERE organization_id = %(organization)s",
        of,
    ).fetchone()
    routes = ingest.execute(
        "SELECT sum(calls), bool_and(fallback_from <> '') FROM router_fallbacks"
        " WHERE organization_id = %(organization)s",
        of,
    ).fetchone()
    assert rows is not None
    assert rollups is not None
    assert latencies is not None
    assert rows[:4] == rollups == quarters
    assert routes == (rows[3], True)
    assert len(totals) == 10
    assert {calls for _, _, calls in totals} == {rows[2]}
    assert rows[2] == latencies[0]
    count, cost, successes, fallbacks, providers, keys, statuses, labeled = rows
    assert count == 3000
    assert cost > 0
    assert 0.9 < successes / count < 1
    assert 0 < fallbacks < count * 0.2
    assert providers > 5
    assert keys == 6
    assert statuses >= 3
    assert labeled


def test_calls_that_were_really_made_are_not_mixed_unasked(committed: Cast) -> None:
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([row(committed.acme.id, int(datetime.now(UTC).timestamp() * 1000))])
    ledger.close()
    name = committed.acme.name
    with pytest.raises(CommandError, match="really made"):
        seed(name, "--calls", "5", "--days", "1")
    assert seed(name, "--calls", "5", "--days", "1", "--yes").startswith("5 calls")


def test_sample_calls_may_be_added_to(committed: Cast) -> None:
    for chance in ("1", "2"):
        assert seed(committed.rival.name, "--calls", "5", "--days", "1", "--seed", chance)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--calls", "0"), "--calls"),
        (("--days", "5000"), "--days"),
    ],
)
def test_what_makes_no_sense_is_refused(
    committed: Cast, words: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        seed(committed.acme.id, *words)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Nobody's", "00000000-0000-7000-8000-000000000000"])
def test_an_unknown_organization_is_named(name: str) -> None:
    with pytest.raises(CommandError, match="There is no organization"):
        seed(name)
