"""The end of an organization: its configuration, then what the ledger knows of it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from analytics.erasure import erase_ledger
from tenancy.core import Actor
from tenancy.organization import delete_organization

# So much goes at once; the rest goes every five minutes.
BATCHES_NOW = 4


def end_organization(organization_id: UUID, *, typed_name: str, actor: Actor) -> None:
    """Deletes an organization with all it has; raises ``RouterError`` (422) for another name."""
    delete_organization(organization_id, typed_name=typed_name, actor=actor)
    transaction.on_commit(lambda: erase_ledger(organization_id, batches_max=BATCHES_NOW))
