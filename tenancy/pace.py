"""How often something may be asked for: counted in Redis, by the minute."""

from __future__ import annotations

import logging
import time

import redis
from django.core.cache import cache

from lib.errors import RouterError

log = logging.getLogger(__name__)
MINUTE_S = 60


def check_pace(name: str, *, per_minute: int, code: str, message: str) -> None:
    """Counts one more of ``name``; raises ``RouterError`` (429) past so many in a minute.

    Nothing is refused while Redis does not answer.
    """
    minute, second = divmod(int(time.time()), MINUTE_S)
    counted = f"{name}:{minute}"
    try:
        cache.add(counted, 0, 2 * MINUTE_S)
        count = cache.incr(counted)
    except (redis.RedisError, OSError, ValueError) as why:
        log.warning("%s is not counted: %s", name, why)
        return
    if count > per_minute:
        raise RouterError(
            429, code, message, type="rate_limit_error", retry_after_s=MINUTE_S - second
        )
