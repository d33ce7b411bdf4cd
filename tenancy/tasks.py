"""Upkeep of sessions."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command


@shared_task(name="tenancy.tasks.clear_sessions")  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Deletes sessions that have expired."""
    call_command("clearsessions")
