"""Whether this process can do its work: what /health/ready says."""

from __future__ import annotations

import asyncio

from django.db import Error, connection

from routing.runtime import Runtime

CHECK_TIMEOUT_S = 3.0


async def ready(runtime: Runtime | None) -> tuple[int, str]:
    """200 when calls can be answered and written down, else 503 and what is missing.

    Redis and Postgres may be away while the process still serves warm keys, so a missing Redis is
    told and not held against it; without Postgres a new process knows no key, so it is not ready.
    """
    if runtime is None:
        return 503, "starting"
    if not runtime.is_warm:
        return 503, "warming up"
    if not runtime.journal.is_writable():
        return 503, "journal: the disk is full or failed"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await asyncio.to_thread(_ask_database)
    except (Error, TimeoutError):
        return 503, "postgres: no answer"
    redis = "ok" if await runtime.live.is_reachable() else "redis: no answer, soft limits only"
    return 200, redis


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
