"""Upkeep of the ledger."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from analytics.bodies import expire_bodies as expire
from analytics.erasure import erase_deleted as erase
from analytics.erasure import expire_calls as expire_ledger
from analytics.services import keep_partitions as keep
from analytics.tags import expire_tags as forget_tags


@shared_task(name="analytics.tasks.keep_partitions")  # type: ignore[untyped-decorator]
def keep_partitions() -> None:
    """Makes partitions ahead and drops those past retention; doing it twice changes nothing."""
    keep(settings.LEDGER_RETENTION_DAYS)


@shared_task(name="analytics.tasks.expire_bodies")  # type: ignore[untyped-decorator]
def expire_bodies() -> None:
    """Deletes stored prompts and answers past their organization's days."""
    expire(timezone.now())


@shared_task(name="analytics.tasks.expire_calls")  # type: ignore[untyped-decorator]
def expire_calls() -> None:
    """Deletes calls that are older than their organization keeps them."""
    expire_ledger(timezone.now())


@shared_task(name="analytics.tasks.erase_deleted")  # type: ignore[untyped-decorator]
def erase_deleted() -> None:
    """Takes what is left of deleted organizations out of the ledger."""
    erase(timezone.now())


@shared_task(name="analytics.tasks.expire_tags")  # type: ignore[untyped-decorator]
def expire_tags() -> None:
    """Lets tags go that are older than the ledger."""
    forget_tags(timezone.now(), kept_days=settings.LEDGER_RETENTION_DAYS)
