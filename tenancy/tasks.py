"""Upkeep of sessions and of answers that are kept for who asks twice."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command

from tenancy.idempotency import forget_everywhere


@shared_task(name="tenancy.tasks.clear_sessions")  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Deletes sessions that have expired."""
    call_command("clearsessions")


@shared_task(name="tenancy.tasks.forget_answers")  # type: ignore[untyped-decorator]
def forget_answers() -> None:
    """Deletes answers to idempotent requests that are older than a day."""
    forget_everywhere()
