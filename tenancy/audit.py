"""The append-only trail of configuration changes, each entry chained to the one before it.

1. ``record`` raises the organization's epoch, which locks its row: entries come one by one.
2. An entry's digest is SHA-256 over its fields and the digest before it; its position is the epoch.
3. ``verify`` walks the chain. An entry that was changed, put in or taken out breaks it there; the
   last digest, noted elsewhere, also shows that the end was cut off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenancy.changes import announce
from tenancy.core import Actor
from tenancy.models import AuditedModel, AuditEntry

_START = bytes(32)
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk over the chain found; ``broken_at`` is the first entry that does not fit."""

    entries: int
    head: str
    broken_at: AuditEntry | None

    @property
    def is_intact(self) -> bool:
        """Whether every entry fits the one before it."""
        return self.broken_at is None


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
    position = announce(organization_id)
    entry = AuditEntry(
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
        created_at=timezone.now(),
        position=position,
    )
    entry.digest = _digest(_last_digest(organization_id), entry)
    entry.save(force_insert=True)


def record_of(
    row: AuditedModel,
    actor: Actor,
    action: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """``record`` for a row that says itself whose it is and what it is called.

    Of a row that is to be deleted, call it before: its id goes with it.
    """
    record(
        row.organization_id,
        actor,
        action=action,
        kind=row.audit_kind,
        object_id=row.id,
        name=row.audit_name,
        before=before,
        after=after,
    )


def verify(organization_id: UUID) -> Chain:
    """Walks the whole chain of the running scope's organization, the oldest entry first."""
    before, count = _START, 0
    chained = AuditEntry.objects.filter(organization_id=organization_id, position__isnull=False)
    for entry in chained.order_by("position").iterator(chunk_size=_BATCH):
        count += 1
        if _digest(before, entry) != bytes(entry.digest or b""):
            return Chain(count, "", entry)
        before = bytes(entry.digest or b"")
    return Chain(count, before.hex() if count else "", None)


def _last_digest(organization_id: UUID) -> bytes:
    last = AuditEntry.objects.filter(organization_id=organization_id, position__isnull=False)
    found = last.order_by("-position").values_list("digest", flat=True).first()
    return bytes(found) if found else _START


def _digest(before: bytes, entry: AuditEntry) -> bytes:
    told = [
        str(entry.id),
        str(entry.organization_id),
        entry.position,
        entry.created_at.isoformat(),
        entry.actor_kind,
        str(entry.actor_id),
        entry.actor,
        entry.action,
        entry.object_kind,
        str(entry.object_id),
        entry.object_name,
        _plain(entry.before),
        _plain(entry.after),
        entry.source,
    ]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(before + text.encode()).digest()


def _plain(value: Any) -> Any:
    """The value as Postgres gives it back: it tells 1.0 from 1, and writes 1e20 in full."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
