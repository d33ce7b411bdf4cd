"""Telling every process that an organization's configuration changed.

1. The change raises the organization's epoch in Postgres, in its own transaction.
2. After commit the new epoch goes to Redis, where each call's admission reads it.
3. A process whose snapshot is older than the epoch reloads before it answers.
4. Should Redis miss the news, each process asks Postgres what changed, twice a second.
"""

from __future__ import annotations

import logging
from functools import cache
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection, transaction

from tenancy.core import RAISE_EPOCH, live_key

log = logging.getLogger(__name__)

ANNOUNCE_TIMEOUT_S = 0.5
FORGOTTEN_S = 86_400


def announce(organization_id: UUID) -> int:
    """Makes the running transaction's change hold for the next call on every process.

    Gives the new epoch. Call it inside the organization's scope; it locks the organization's row
    until commit.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenancy_organization SET epoch = epoch + 1, changed_at = clock_timestamp()"
            " WHERE id = %s RETURNING epoch",
            [organization_id],
        )
        (epoch,) = cursor.fetchone()
    transaction.on_commit(lambda: publish(organization_id, epoch))
    return int(epoch)


def publish(organization_id: UUID, epoch: int) -> None:
    """Raises the epoch in Redis; without Redis the once-a-second look at Postgres finds it."""
    try:
        _redis().eval(RAISE_EPOCH, 1, live_key(organization_id.hex), epoch)
    except redis.RedisError as why:
        log.warning("Redis did not take epoch %d: %s. Processes see it within 1 s.", epoch, why)


def forget(organization_id: UUID, epoch: int) -> None:
    """Takes a deleted organization's live numbers out of Redis.

    The epoch alone stays for a day, so that a process which still knows its keys looks again.
    """
    live = live_key(organization_id.hex)
    try:
        client = _redis()
        keys = list(client.scan_iter(match=f"{live.rpartition(':')[0]}:*", count=1000))
        if keys:
            client.unlink(*keys)
        client.hset(live, "e", str(epoch))
        client.expire(live, FORGOTTEN_S)
    except redis.RedisError as why:
        log.warning("Redis did not forget organization %s: %s", organization_id, why)


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=ANNOUNCE_TIMEOUT_S,
        socket_connect_timeout=ANNOUNCE_TIMEOUT_S,
    )
