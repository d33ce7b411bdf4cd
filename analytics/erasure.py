"""What leaves the ledger before its partition is dropped: by an organization's wish, or its end.

A web process may not delete from the ledger. It asks two functions of the owner, which take the
scope's organization alone, in batches: ``app.delete_calls`` (nothing of the last day while the
organization stands) and ``app.erase_totals`` (only once the organization is gone).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from analytics.sql import ask
from tenancy.models import Erasure
from tenancy.scope import tenant_scope

log = logging.getLogger(__name__)

BATCH_CALLS = 5_000
BATCH_TOTALS = 20_000
BATCHES_PER_RUN_MAX = 200
# A journal that a drainer finds late still brings calls of an organization that is gone.
LATE = timedelta(days=2)


def expire_calls(now: datetime) -> int:
    """Deletes the calls that are older than their organization keeps them; how many."""
    wanted = ask("SELECT organization_id, retention_days FROM app.organizations_with_retention()")
    return sum(
        _delete_calls(organization_id, now - timedelta(days=days))
        for organization_id, days in wanted
    )


def erase_ledger(organization_id: UUID, *, batches_max: int = BATCHES_PER_RUN_MAX) -> bool:
    """Takes a deleted organization out of the ledger; whether nothing of it is left."""
    for _ in range(batches_max):
        with tenant_scope(organization_id), connection.cursor() as cursor:
            cursor.execute(
                "SELECT app.delete_calls(%s, 'infinity', %s) + app.erase_totals(%s, %s)",
                [organization_id, BATCH_CALLS, organization_id, BATCH_TOTALS],
            )
            (gone,) = cursor.fetchone()
        if not gone:
            return True
    return False


def erase_deleted(now: datetime) -> None:
    """Goes on with every organization that was deleted, until its last calls have come and gone."""
    for erasure in Erasure.objects.order_by("requested_at"):
        if erase_ledger(erasure.id) and erasure.requested_at < now - LATE:
            erasure.delete()


def _delete_calls(organization_id: UUID, before: datetime) -> int:
    deleted = 0
    for _ in range(BATCHES_PER_RUN_MAX):
        with tenant_scope(organization_id), connection.cursor() as cursor:
            cursor.execute(
                "SELECT app.delete_calls(%s, %s, %s)", [organization_id, before, BATCH_CALLS]
            )
            (gone,) = cursor.fetchone()
        deleted += gone
        if gone < BATCH_CALLS:
            break
    return deleted
