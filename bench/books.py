"""Compares the books: the ledger, its rollups, the sandbox's list, and what callers were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

SHOWN_MAX = 5
_SUMS = "sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cost_nano)"
_KEY = "organization_id, hour, provider, model_used, api_key_id, user_id, status"
_NOBODY = "'00000000-0000-0000-0000-000000000000'"
# Hours and keys in which rows and rollups differ in any figure.
_ROLLUPS = f"""
WITH rows AS (
  SELECT organization_id, date_trunc('hour', created_at, 'UTC') AS hour, provider, model_used,
    coalesce(api_key_id, {_NOBODY}) AS api_key_id, coalesce(user_id, {_NOBODY}) AS user_id, status,
    count(*), count(*) FILTER (WHERE success), {_SUMS}, sum(latency_ms)
  FROM router_analytics GROUP BY 1, 2, 3, 4, 5, 6, 7
), rolled AS (
  SELECT {_KEY}, sum(calls), sum(successes), {_SUMS}, sum(latency_ms_sum)
  FROM router_rollups GROUP BY {_KEY}
)
SELECT count(*) FROM ((TABLE rows EXCEPT TABLE rolled) UNION ALL (TABLE rolled EXCEPT TABLE rows)) d
"""
_TIMED = """
SELECT abs(timed - rolled) + abs(10 * timed - totals) + abs(rows - quarters) + abs(fell - fallen)
FROM (SELECT count(*) FILTER (WHERE success) AS timed, count(*) AS rows,
        count(*) FILTER (WHERE fallback_used) AS fell FROM router_analytics) ledger,
  (SELECT coalesce(sum(e & (2::bigint ^ 40 - 1)::bigint), 0) AS rolled
    FROM router_rollups, unnest(latencies) e) latencies,
  -- Each call counts in five dimensions, by the hour and by the day.
  (SELECT coalesce(sum(calls), 0) AS totals FROM router_latency_totals) dimensions,
  (SELECT coalesce(sum(calls), 0) AS quarters FROM router_quarters) quarters,
  (SELECT coalesce(sum(calls), 0) AS fallen FROM router_fallbacks) fallbacks
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts, and all that does not agree."""

    rows: int
    asked: int
    interrupted: int
    interrupted_asked: int
    set_aside: int
    problems: list[str]

    def text(self) -> str:
        """For a person."""
        return (
            f"ledger: {self.rows:,} rows, {self.interrupted:,} of them interrupted "
            f"({self.interrupted_asked:,} of those had reached the provider), "
            f"{self.set_aside:,} set aside; the provider was asked {self.asked:,} times"
        )


def compare(
    url: str, *, asked: Counter[str], plain: Mapping[str, str], streamed: Iterable[str]
) -> Compared:
    """``asked`` counts the provider's requests by call id; the others are what callers got."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT id::text, attempts, error_code, success, cost_nano FROM router_analytics"
        ).fetchall()
        (differing,) = connection.execute(_ROLLUPS).fetchone() or (0,)
        (untimed,) = connection.execute(_TIMED).fetchone() or (0,)
        (aside,) = connection.execute("SELECT count(*) FROM router_quarantine").fetchone() or (0,)
    rows = {row[0]: row[1:] for row in found}
    interrupted = {id_ for id_, row in rows.items() if row[1] == "interrupted"}
    unasked = [
        id_ for id_, row in rows.items() if row[0] and id_ not in asked and id_ not in interrupted
    ]
    problems = [
        *_told(
            "rows share an id", [id_ for id_, n in Counter(r[0] for r in found).items() if n > 1]
        ),
        *_told("asked of the provider, not in the ledger", asked.keys() - rows.keys()),
        *_told("in the ledger with attempts, never asked of the provider", unasked),
        *_told("more or fewer attempts than were asked", _miscounted(rows, asked, interrupted)),
        *_told("answered, not in the ledger", {*plain, *streamed} - rows.keys()),
        *_told("answered whole, not a success in the ledger", _unsuccessful(rows, plain)),
        *_told("answered at another cost than in the ledger", _mispriced(rows, plain)),
    ]
    if differing:
        problems.append(f"rollups: {differing} sums differ from their rows")
    if untimed:
        problems.append(f"latencies, quarters and fallbacks: {untimed} calls off")
    if aside:
        problems.append(f"{aside} records set aside")
    return Compared(
        rows=len(found),
        asked=sum(asked.values()),
        interrupted=len(interrupted),
        interrupted_asked=len(interrupted & asked.keys()),
        set_aside=int(aside),
        problems=problems,
    )


def _miscounted(rows: Mapping[str, Any], asked: Counter[str], interrupted: set[str]) -> list[str]:
    known = rows.keys() & asked.keys()
    return [id_ for id_ in known - interrupted if rows[id_][0] != asked[id_]]


def _unsuccessful(rows: Mapping[str, Any], plain: Mapping[str, str]) -> list[str]:
    """A plain answer leaves after its outcome was written down; a stream's is written after it."""
    return [id_ for id_ in rows.keys() & plain.keys() if not rows[id_][2]]


def _mispriced(rows: Mapping[str, Any], plain: Mapping[str, str]) -> list[str]:
    return [
        id_
        for id_ in rows.keys() & plain.keys()
        if Decimal(plain[id_].lstrip("$")) != Decimal(rows[id_][3]).scaleb(-9)
    ]


def _told(what: str, ids: Iterable[str]) -> list[str]:
    listed = sorted(ids)
    if not listed:
        return []
    more = ", …" if len(listed) > SHOWN_MAX else ""
    return [f"{len(listed)} {what}: {', '.join(listed[:SHOWN_MAX])}{more}"]
