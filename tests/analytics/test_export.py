"""The export: every call that matches, exact, in the organization's time, safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient

from analytics.call_files import COLUMNS
from analytics.ledger import Ledger
from tests.analytics.rows import after_fallback, refused, row
from tests.conftest import Cast

PATH = "/enterprise-router/analytics/export"


@pytest.fixture
def calls(committed: Cast) -> Cast:
    now_ms = time.time_ns() // 1_000_000
    organization = committed.acme.id
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write(
        [
            row(organization, now_ms - 3000, chance=1, user_id=str(committed.alice.id)),
            after_fallback(organization, now_ms - 2000, chance=2),
            refused(organization, now_ms - 1000, chance=3, model_requested='=HYPERLINK("x")'),
            row(committed.rival.id, now_ms - 1000, chance=4),
        ]
    )
    ledger.close()
    return committed


@async_to_sync
async def fetched(cast: Cast, query: str) -> str:
    client = AsyncClient()
    await client.aforce_login(
        cast.alice, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="requests-acme')
    return b"".join([piece async for piece in answer.streaming_content]).decode()


def test_csv_holds_every_call_in_exact_figures(calls: Cast) -> None:
    rows = list(csv.DictReader(io.StringIO(fetched(calls, "format=csv&range=24h"))))
    assert list(rows[0]) == list(COLUMNS)
    assert [one["status"] for one in rows] == ["200", "200", "400"]
    assert sum(Decimal(one["cost_usd"]) for one in rows) == Decimal("0.0007356")
    assert rows[0]["member"] == calls.alice.email
    assert rows[1]["fallback_from"] == "sandbox"
    assert json.loads(rows[1]["metadata"]) == {"team": "legal", "trace_id": "9f1c22"}
    at = datetime.fromisoformat(rows[0]["time"])
    assert at.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    # What a spreadsheet would run stays text.
    assert rows[2]["model_requested"] == '\'=HYPERLINK("x")'


def test_json_is_one_object_a_line(calls: Cast) -> None:
    lines = fetched(calls, "format=jsonl&range=24h").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [list(one) for one in rows] == [list(COLUMNS)] * 3
    assert rows[2]["model_requested"] == '=HYPERLINK("x")'
    assert rows[1]["metadata"]["team"] == "legal"


@pytest.mark.parametrize(
    ("query", "count"),
    [("status=failed", 1), ("status=fallback", 1), ("tag.team=legal", 1), ("provider=nobody", 0)],
)
def test_it_follows_the_filters(calls: Cast, query: str, count: int) -> None:
    assert len(fetched(calls, f"format=jsonl&range=24h&{query}").splitlines()) == count
