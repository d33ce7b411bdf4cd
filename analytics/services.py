"""Upkeep of the ledger's partitions."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone

AHEAD = timedelta(days=28)


def keep_partitions(retention_days: int) -> tuple[int, int]:
    """Makes the partitions of the coming weeks and drops those wholly older than the retention.

    How many were made and dropped.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT app.ensure_ledger_partitions(%s, %s)", [now, now + AHEAD])
        (made,) = cursor.fetchone()
        cursor.execute(
            "SELECT app.drop_ledger_partitions(%s)", [now - timedelta(days=retention_days)]
        )
        (dropped,) = cursor.fetchone()
    return made, dropped
