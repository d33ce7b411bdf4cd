"""The health of deployments as Redis has it now, for pages: read by one command, never written."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import UUID

import orjson
import redis
from django.conf import settings

from routing.live import MEASURE_TTL_MS, parse_health
from routing.model import Health
from tenancy.core import live_key

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.5
WINDOW_MS = 30_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one deployment: its health, and the calls of the last half minute.

    ``resting``: its breaker is open. ``recovering``: single calls try it again.
    """

    health: Health
    resting: bool
    recovering: bool
    recent_calls: int
    recent_errors: int


def read_health(organization_id: UUID, deployment_ids: Sequence[UUID]) -> dict[UUID, Seen] | None:
    """Health by deployment, where any was measured; None when Redis does not answer."""
    if not deployment_ids:
        return {}
    try:
        names = [id_.hex for id_ in deployment_ids]
        found = cast(list[Any], _redis().hmget(live_key(organization_id.hex), names))
    except redis.RedisError as why:
        log.warning("health cannot be read: %s", why)
        return None
    now_ms = time.time_ns() // 1_000_000
    return {id_: _seen(raw, now_ms) for id_, raw in zip(deployment_ids, found, strict=True) if raw}


def _seen(raw: bytes, now_ms: int) -> Seen:
    health = parse_health(raw)
    state = orjson.loads(raw)
    fresh = now_ms - int(state.get("ws", 0)) <= WINDOW_MS
    if now_ms - health.measured_at_ms > MEASURE_TTL_MS:
        health = Health(health.open_until_ms, health.opens, reason=health.reason)
    return Seen(
        health=health,
        resting=health.open_until_ms > now_ms,
        recovering=health.opens > 0,
        recent_calls=int(state.get("wc", 0)) if fresh else 0,
        recent_errors=int(state.get("we", 0)) if fresh else 0,
    )


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=READ_TIMEOUT_S,
        socket_connect_timeout=READ_TIMEOUT_S,
    )
