"""The append-only trail of configuration changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tenancy.changes import announce
from tenancy.core import Actor
from tenancy.models import AuditEntry


def record(
    organization_id: UUID,
    actor: Actor,
    *,
    action: str,
    kind: str,
    object_id: UUID | None,
    name: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Writes who changed what, before and after, and announces the change.

    Call it in the transaction of the change, inside the organization's scope. Only what differs
    is kept of ``before`` and ``after``; secrets never belong in either.
    """
    if before is not None and after is not None:
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
        before = {k: before.get(k) for k in sorted(changed)}
        after = {k: after.get(k) for k in sorted(changed)}
    AuditEntry.objects.create(
        organization_id=organization_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor=actor.name[:254],
        action=action,
        object_kind=kind,
        object_id=object_id,
        object_name=name[:254],
        before=before,
        after=after,
        source=actor.source,
    )
    announce(organization_id)
