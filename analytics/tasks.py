"""Upkeep of the ledger."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from analytics.services import keep_partitions as keep


@shared_task(name="analytics.tasks.keep_partitions")  # type: ignore[untyped-decorator]
def keep_partitions() -> None:
    """Makes partitions ahead and drops those past retention; doing it twice changes nothing."""
    keep(settings.LEDGER_RETENTION_DAYS)
