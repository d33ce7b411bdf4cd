"""Writing the ledger: rows and rollups in one transaction, idempotent by call id.

1. Rows are copied into a temporary table (COPY is refused on tables with row-level security).
2. They are inserted where their id is new; what was inserted comes back.
3. Rollups grow by exactly what came back, so a batch that is written twice counts once: sums by
   quarter of an hour and by hour, by hour also for each tag, fallback routes, and latencies by one
   dimension alone. An hour's own latencies are an array of bucket and count in its row.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg

from analytics.core import COUNT_BITS, COUNT_MASK, bucket_of

NOBODY = UUID(int=0)

_COLUMNS = (
    "id",
    "organization_id",
    "created_at",
    "provider",
    "task_type",
    "model_requested",
    "model_used",
    "priority",
    "success",
    "status",
    "error_code",
    "stream",
    "latency_ms",
    "first_token_ms",
    "overhead_us",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_nano",
    "cost_estimated",
    "usage",
    "price",
    "fallback_used",
    "fallback_from",
    "attempts",
    "cache_hit",
    "variant",
    "api_key_id",
    "user_id",
    "region",
    "decision",
    "metadata",
)
_LIST = ", ".join(_COLUMNS)

_TEMPORARY = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming ON COMMIT DELETE ROWS AS
SELECT {_LIST}, 0::smallint AS bucket FROM router_analytics WITH NO DATA
"""  # noqa: S608  made of constants
_COPY = f"COPY incoming ({_LIST}, bucket) FROM STDIN"
# Sorted by key, so that two writers take the rollups' locks in the same order.
_SUMS = (
    "calls",
    "successes",
    "fallbacks",
    "cache_hits",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_nano",
    "latency_ms_sum",
)
_SUM_LIST = ", ".join(_SUMS)
_ADD_UP = ", ".join(f"sum({name})::bigint" for name in _SUMS)
_FINE = ", ".join(f"sum({name})::bigint AS {name}" for name in _SUMS)
_GROWN = ", ".join(f"{name} = r.{name} + EXCLUDED.{name}" for name in _SUMS)
_TAG_SUMS = ("calls", "successes", "fallbacks", "cost_nano", "input_tokens", "output_tokens")
_TAG_SUM_LIST = ", ".join(_TAG_SUMS)
_TAG_ADD_UP = ", ".join(f"sum({name})::bigint" for name in _TAG_SUMS)
_TAG_FINE = ", ".join(f"sum({name})::bigint AS {name}" for name in _TAG_SUMS)
_TAG_GROWN = ", ".join(f"{name} = r.{name} + EXCLUDED.{name}" for name in _TAG_SUMS)
# Rows that are still told apart by their bucket become one, with an array of bucket and count.
_PACKED = f"""
coalesce(array_agg((bucket::bigint << {COUNT_BITS}) + successes ORDER BY bucket)
  FILTER (WHERE successes > 0), '{{}}')
"""
_PACKED_GROWN = f"""
latencies = CASE WHEN EXCLUDED.latencies = '{{}}' THEN r.latencies ELSE (
  SELECT array_agg((bucket << {COUNT_BITS}) + calls ORDER BY bucket) FROM (
    SELECT e >> {COUNT_BITS} AS bucket, sum(e & {COUNT_MASK})::bigint AS calls
    FROM unnest(r.latencies || EXCLUDED.latencies) e GROUP BY 1
  ) AS merged
) END
"""  # noqa: S608  made of constants
_WRITE = f"""
WITH new AS (
  INSERT INTO router_analytics ({_LIST})
  SELECT DISTINCT ON (organization_id, created_at, id) {_LIST} FROM incoming
  ON CONFLICT DO NOTHING
  RETURNING id, organization_id, created_at, provider, model_used, api_key_id, user_id, status,
    success, fallback_used, fallback_from, cache_hit, input_tokens, output_tokens, cached_tokens,
    reasoning_tokens, cost_nano, latency_ms, metadata
), known AS MATERIALIZED (
  SELECT n.organization_id, n.created_at, date_trunc('hour', n.created_at, 'UTC') AS hour,
    n.provider, n.model_used, coalesce(n.api_key_id, %(nobody)s) AS api_key_id,
    coalesce(n.user_id, %(nobody)s) AS user_id, n.status, n.fallback_from, n.fallback_used,
    i.bucket, n.metadata, 1 AS calls, n.success::int AS successes,
    n.fallback_used::int AS fallbacks, n.cache_hit::int AS cache_hits, n.input_tokens,
    n.output_tokens, n.cached_tokens, n.reasoning_tokens, n.cost_nano,
    n.latency_ms AS latency_ms_sum
  FROM new n JOIN (SELECT DISTINCT ON (organization_id, id) organization_id, id, bucket
      FROM incoming) i
    ON i.organization_id = n.organization_id AND i.id = n.id
), quarters AS (
  INSERT INTO router_quarters AS r (organization_id, quarter, provider, model_used, api_key_id,
    user_id, status, {_SUM_LIST})
  SELECT organization_id, date_bin('15 minutes', created_at, 'epoch') AS quarter, provider,
    model_used, api_key_id, user_id, status, {_ADD_UP}
  FROM known GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
  ON CONFLICT (organization_id, quarter, provider, model_used, api_key_id, user_id, status)
  DO UPDATE SET {_GROWN}
), fine AS MATERIALIZED (
  SELECT organization_id, hour, provider, model_used, api_key_id, user_id, status, bucket, {_FINE}
  FROM known GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), rolled AS (
  INSERT INTO router_rollups AS r (organization_id, hour, provider, model_used, api_key_id,
    user_id, status, {_SUM_LIST}, latencies)
  SELECT organization_id, hour, provider, model_used, api_key_id, user_id, status, {_ADD_UP},
    {_PACKED}
  FROM fine GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
  ON CONFLICT (organization_id, hour, provider, model_used, api_key_id, user_id, status)
  DO UPDATE SET {_GROWN}, {_PACKED_GROWN}
), fell AS (
  INSERT INTO router_fallbacks AS f
  SELECT organization_id, hour, fallback_from, provider, model_used, api_key_id, user_id, status,
    count(*)
  FROM known WHERE fallback_used GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
  ON CONFLICT (organization_id, hour, fallback_from, provider, model_used, api_key_id, user_id,
    status) DO UPDATE SET calls = f.calls + EXCLUDED.calls
), hourly AS MATERIALIZED (
  SELECT organization_id, kind, name, hour, bucket, sum(successes) AS calls FROM fine
  CROSS JOIN LATERAL (VALUES ('all', ''), ('provider', provider), ('model', model_used),
    ('key', api_key_id::text), ('member', user_id::text)) k(kind, name)
  WHERE successes > 0 GROUP BY 1, 2, 3, 4, 5
), totals AS (
  INSERT INTO router_latency_totals AS t
  SELECT organization_id, 'hour' AS span, kind, name, hour AS start, bucket, calls::bigint
  FROM hourly
  UNION ALL
  SELECT organization_id, 'day', kind, name, date_trunc('day', hour, 'UTC'), bucket,
    sum(calls)::bigint FROM hourly GROUP BY 1, 2, 3, 4, 5, 6
  ORDER BY 1, 2, 3, 4, 5, 6
  ON CONFLICT (organization_id, span, kind, name, start, bucket)
  DO UPDATE SET calls = t.calls + EXCLUDED.calls
), tagged AS (
  INSERT INTO router_tags AS r (organization_id, value, name, hour, provider, model_used,
    api_key_id, user_id, status, fallback_from, {_TAG_SUM_LIST}, latencies)
  SELECT organization_id, value, name, hour, provider, model_used, api_key_id, user_id, status,
    fallback_from, {_TAG_ADD_UP}, {_PACKED}
  FROM (
    SELECT organization_id, m.value, m.key AS name, hour, provider, model_used, api_key_id, user_id,
      status, fallback_from, bucket, {_TAG_FINE}
    FROM known CROSS JOIN LATERAL jsonb_each_text(metadata) m
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ) AS said GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
  ON CONFLICT (organization_id, value, name, hour, provider, model_used, api_key_id, user_id,
    status, fallback_from) DO UPDATE SET {_TAG_GROWN}, {_PACKED_GROWN}
), used AS (
  UPDATE tenancy_apikey k SET last_used_at = u.last
  FROM (SELECT organization_id, api_key_id, max(created_at) AS last FROM new
        WHERE api_key_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2) u
  WHERE k.organization_id = u.organization_id AND k.id = u.api_key_id
    AND (k.last_used_at IS NULL OR k.last_used_at < u.last - interval '1 minute')
)
SELECT count(*) FROM new
"""  # noqa: S608  made of constants
_KEEP = """
INSERT INTO router_bodies
  (organization_id, call_id, created_at, request, answer, request_bytes, answer_bytes)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class Ledger:
    """One connection of the role that may write every organization's rows."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._weeks: set[datetime] = set()

    def write(
        self, rows: Sequence[Mapping[str, Any]], bodies: Sequence[Mapping[str, Any]] = ()
    ) -> int:
        """Writes calls, their rollups and stored bodies; how many calls were new.

        Raises ``psycopg.OperationalError`` when the database is away (try again) and another
        ``psycopg.Error`` when it refuses a row; nothing is written then.
        """
        connection = self._open()
        tuples = [_tuple(row) for row in rows]
        self._ensure_partitions(connection, [row[2] for row in tuples])
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(_TEMPORARY)
            with cursor.copy(_COPY) as copy:
                for row in tuples:
                    copy.write_row(row)
            cursor.execute(_WRITE, {"nobody": NOBODY})
            (new,) = cursor.fetchone() or (0,)
            if bodies:
                cursor.executemany(_KEEP, [_body(row) for row in bodies])
        return int(new)

    def quarantine(self, writer: str, record: bytes, error: str) -> None:
        """Keeps a record that the ledger refuses, whole, for a person to look at."""
        connection = self._open()
        with connection.transaction():
            connection.execute(
                "INSERT INTO router_quarantine (writer, record, error) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [writer, record, error[:2000]],
            )

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        return self._connection

    def _ensure_partitions(self, connection: psycopg.Connection[Any], times: list[Any]) -> None:
        weeks = {_monday(t) for t in times} - self._weeks
        for week in sorted(weeks):
            connection.execute("SELECT app.ensure_ledger_partitions(%s, %s)", [week, week])
        self._weeks |= weeks


def _monday(at: datetime) -> datetime:
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _json(value: Any) -> str:
    text = orjson.dumps(value).decode()
    # Postgres keeps no NUL inside jsonb. A text of a backslash and "u0000" holds none.
    return orjson.dumps(_without_nul(value)).decode() if "\\u0000" in text else text


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(name): _without_nul(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(inner) for inner in value]
    return value


def _tuple(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row in the order of ``_COLUMNS``, with its latency bucket last."""
    price = row["price"]
    return (
        UUID(row["id"]),
        UUID(row["organization_id"]),
        datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        _text(row["provider"]),
        row["task_type"],
        _text(row["model_requested"]),
        _text(row["model_used"]),
        row["priority"],
        row["success"],
        row["status"],
        _text(row["error_code"]),
        row["stream"],
        row["latency_ms"],
        row["first_token_ms"],
        row["overhead_us"],
        row["input_tokens"],
        row["output_tokens"],
        row["cached_tokens"],
        row["reasoning_tokens"],
        row["cost_nano"],
        row["cost_estimated"],
        _json(row["usage"]),
        None if price is None else _json(price),
        row["fallback_used"],
        _first_tried(row) if row["fallback_used"] else "",
        row["attempts"],
        row.get("cache_hit", False),
        "",
        UUID(row["api_key_id"]) if row["api_key_id"] else None,
        UUID(row["user_id"]) if row["user_id"] else None,
        _text(row["region"]),
        _json(row["decision"]),
        _json(row["metadata"]),
        bucket_of(row["latency_ms"]),
    )


def _first_tried(row: Mapping[str, Any]) -> str:
    """The provider that a call was tried at first, for one that another then got."""
    attempts = row["decision"].get("attempts")
    return _text(attempts[0]["provider"]) if attempts else ""


def _body(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        UUID(row["organization_id"]),
        UUID(row["id"]),
        datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        b64decode(row["request"], validate=True),
        b64decode(row["answer"], validate=True),
        row["request_bytes"],
        row["answer_bytes"],
    )


def _text(value: str) -> str:
    return value.replace("\x00", "")
