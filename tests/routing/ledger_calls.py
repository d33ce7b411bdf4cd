"""Calls of an organization of their own, written to a journal, and what the ledger has of them."""

from __future__ import annotations

import os
import time
from typing import Any
from uuid import uuid4

import psycopg

from catalog.usage import Usage
from lib.ids import uuid7_text
from routing.journal import Journal
from routing.model import Candidate, Decision
from routing.record import Record
from tests.routing.deployments import WANTED, deployment

URL = os.environ.get("DATABASE_INGEST_URL", "")
CANDIDATE = Candidate(deployment(price_json=b'{"input":7}'), estimate_nano=777)
COST = 1_234


class Calls:
    """Calls of one organization that nobody else has, and what the ledger holds of them."""

    def __init__(self) -> None:
        self.organization = uuid4()
        self._database = psycopg.connect(URL, autocommit=True)

    def record(self, **fields: Any) -> Record:
        """A call that was answered."""
        now_ms = time.time_ns() // 1_000_000
        values: dict[str, Any] = {
            "id": uuid7_text(now_ms, int.from_bytes(os.urandom(8), "big")),
            "organization_id": self.organization.hex,
            "created_ms": now_ms,
            "operation": "chat",
            "api_key_id": uuid4().hex,
            "user_id": None,
            "model_requested": "m",
            "decision": Decision((CANDIDATE,), (), WANTED),
            "answered_by": CANDIDATE,
            "usage": Usage(input_tokens=10, output_tokens=5),
            "cost_nano": COST,
        }
        return Record(**(values | fields))

    def make(self, journal: Journal, count: int = 1, **fields: Any) -> None:
        """Calls written down from admission to outcome."""
        for _ in range(count):
            record = self.record(**fields)
            journal.append(record.admission(CANDIDATE))
            journal.append(outcome(record))

    def rows(self, columns: str = "count(*), coalesce(sum(cost_nano), 0)") -> list[Any]:
        """What the ledger has of these calls."""
        query = f"SELECT {columns} FROM router_analytics WHERE organization_id = %s"
        return self._database.execute(query, [self.organization]).fetchall()

    def rollups(self) -> tuple[int, int, int]:
        """Calls, cost and input tokens of the rollups."""
        query = (
            "SELECT coalesce(sum(calls), 0), coalesce(sum(cost_nano), 0),"
            " coalesce(sum(input_tokens), 0) FROM router_rollups WHERE organization_id = %s"
        )
        (row,) = self._database.execute(query, [self.organization]).fetchall()
        return int(row[0]), int(row[1]), int(row[2])

    def timed(self) -> int:
        """Calls in the latency histogram."""
        query = (
            "SELECT sum(e & (2::bigint ^ 40 - 1)::bigint) FROM router_rollups, unnest(latencies) e"
            " WHERE organization_id = %s"
        )
        (row,) = self._database.execute(query, [self.organization]).fetchall()
        return int(row[0] or 0)

    def quarantined(self, writer: str) -> list[bytes]:
        """The records of a writer that were set aside."""
        query = "SELECT record FROM router_quarantine WHERE writer = %s ORDER BY id"
        return [bytes(row[0]) for row in self._database.execute(query, [writer])]

    def close(self) -> None:
        self._database.close()


def outcome(record: Record, latency_ms: int = 40) -> bytes:
    """The record of an answered call's end."""
    return record.outcome(status=200, error_code="", latency_ms=latency_ms, overhead_us=90)
