"""All calls that pass the filters, streamed as CSV or JSON lines by Postgres itself.

1. ``COPY … TO STDOUT`` writes the file; this process only passes pieces on, so a million rows cost
   it neither memory nor time, and the first arrive at once.
2. It runs on a connection of its own with the organization's scope, because the response outlives
   the request's transaction. Few run at once.
3. Cells that a spreadsheet would take for a formula get an apostrophe. Times carry the zone's
   offset, amounts every digit.
"""

# ruff: noqa: S608  (queries are put together from constants; every value is a parameter)
from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections
from django.http import StreamingHttpResponse
from psycopg import sql

from analytics.filters import Filters
from analytics.sources import raw_where
from lib.errors import RouterError
from tenancy.scope import SETTING

RUNNING_MAX = 8
# So that one organization's slow readers leave room for the others.
RUNNING_PER_ORGANIZATION_MAX = 2
TIMEOUT_S = 1800
_running: Counter[UUID] = Counter()

# Every column with its meaning; the docs show this table.
COLUMNS = {
    "id": ("c.id", "the request's id"),
    "time": ("to_char(c.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MSTZH:TZM')", "when it came"),
    "status": ("c.status", "HTTP status of the answer; 499: the client left"),
    "success": ("c.success", "whether it was answered whole"),
    "error_code": ("c.error_code", "why not"),
    "task_type": ("c.task_type", "chat or embeddings"),
    "model_requested": ("c.model_requested", "as the client asked"),
    "model_used": ("c.model_used", "the model that answered"),
    "provider": ("c.provider", "the provider that answered"),
    "fallback_from": ("c.fallback_from", "the provider tried first, where another one followed"),
    "attempts": ("c.attempts", "tries at providers"),
    "stream": ("c.stream", "whether it was streamed"),
    "latency_ms": ("c.latency_ms", "whole duration in milliseconds"),
    "first_token_ms": ("c.first_token_ms", "time to the first content"),
    "input_tokens": ("c.input_tokens", "tokens read"),
    "output_tokens": ("c.output_tokens", "tokens written"),
    "cached_tokens": ("c.cached_tokens", "of the input, read from the provider's cache"),
    "reasoning_tokens": ("c.reasoning_tokens", "of the output, not shown"),
    "cost_usd": ("trim_scale(c.cost_nano / 1000000000::numeric)", "exact dollars"),
    "cost_estimated": ("c.cost_estimated", "whether the provider did not tell the usage"),
    "priority": ("c.priority", "the priority that decided"),
    "region": ("c.region", "where the provider computes"),
    "key": ("k.name", "name of the API key"),
    "key_id": ("c.api_key_id", "its id"),
    "member": ("u.email", "the member for whom the key acts"),
    "member_id": ("c.user_id", "their id"),
    "metadata": ("c.metadata", "what the client said about it, as JSON"),
}
_TEXTS = {"error_code", "model_requested", "model_used", "provider", "fallback_from", "key"}
_TEXTS |= {"member", "region", "priority", "task_type"}
FORMATS = {
    "csv": ("text/csv; charset=utf-8", "FORMAT csv, HEADER"),
    # One object a line. No JSON holds these two bytes, so nothing is ever quoted.
    "jsonl": ("application/x-ndjson", "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'"),
}


def export(
    organization_id: UUID, filters: Filters, *, kind: str, zone: str, name: str
) -> StreamingHttpResponse:
    """The calls as a file, the oldest first; ``kind`` is one of ``FORMATS``.

    Raises ``RouterError`` (429) while too many exports run.
    """
    mine = _running[organization_id]
    if mine >= RUNNING_PER_ORGANIZATION_MAX or _running.total() >= RUNNING_MAX:
        raise RouterError(
            429, "too_many_exports", "Several exports are running. Try again in a minute."
        )
    content_type, options = FORMATS[kind]
    response = StreamingHttpResponse(
        _pieces(_query(organization_id, filters, kind, options), organization_id, zone),
        content_type=content_type,
    )
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "requests"
    response.headers["Content-Disposition"] = f'attachment; filename="{stem}.{kind}"'
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _query(
    organization_id: UUID, filters: Filters, kind: str, options: str
) -> tuple[str, list[Any]]:
    where, params = raw_where(organization_id, filters, filters.start, filters.until, table="c.")
    shown = []
    for name, (expression, _) in COLUMNS.items():
        if kind == "csv" and name in _TEXTS:
            expression = f"regexp_replace({expression}, '^([=+\\-@\\t\\r])', '''\\1')"
        shown.append(f"{expression} AS {name}")
    rows = (
        f"SELECT {', '.join(shown)} FROM router_analytics c"
        " LEFT JOIN tenancy_apikey k"
        "  ON k.organization_id = c.organization_id AND k.id = c.api_key_id"
        " LEFT JOIN tenancy_membership m"
        "  ON m.organization_id = c.organization_id AND m.user_id = c.user_id"
        " LEFT JOIN tenancy_user u ON u.id = m.user_id"
        f" WHERE {where} ORDER BY c.created_at, c.id"
    )
    if kind == "jsonl":
        rows = f"SELECT row_to_json(line) FROM ({rows}) AS line"
    return f"COPY ({rows}) TO STDOUT WITH ({options})", params


async def _pieces(
    query: tuple[str, list[Any]], organization_id: UUID, zone: str
) -> AsyncIterator[bytes]:
    with _counted(organization_id):
        given = connections["default"].get_connection_params()
        known = {"dbname", "user", "password", "host", "port"}
        address = {name: value for name, value in given.items() if name in known}
        connection = await psycopg.AsyncConnection.connect(**address, connect_timeout=5)
        async with connection, connection.cursor() as cursor:
            for setting, value in (
                (SETTING, str(organization_id)),
                ("TimeZone", zone),
                ("statement_timeout", f"{TIMEOUT_S}s"),
                # The first rows matter more than the last.
                ("cursor_tuple_fraction", "0.001"),
                ("enable_sort", "off"),
            ):
                await cursor.execute("SELECT set_config(%s, %s, true)", [setting, value])
            async with cursor.copy(sql.SQL(query[0]), query[1]) as copy:
                held = bytearray()
                async for piece in copy:
                    held += piece
                    if len(held) >= 32_768:
                        yield bytes(held)
                        held.clear()
                if held:
                    yield bytes(held)


@contextmanager
def _counted(organization_id: UUID) -> Iterator[None]:
    _running[organization_id] += 1
    try:
        yield
    finally:
        _running[organization_id] -= 1
        if not _running[organization_id]:
            del _running[organization_id]
