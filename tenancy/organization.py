"""An organization's own settings, and its end.

1. A change names the fields that it changes and what was seen of them; what somebody else changed
   since is a conflict, and nothing is overwritten unseen.
2. The end takes all configuration in one transaction, table by table, as the role of a web process
   and inside the organization's scope. The audit trail goes by a function that asks for the
   organization's row to be gone; the ledger is taken by ``analytics.erasure``.
3. An ``Erasure`` stays until the last calls are drained and erased; it also tells every process
   that the organization changed, so that its keys end at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model

from lib.errors import RouterError
from tenancy import audit
from tenancy.changes import forget
from tenancy.checks import checked_name, checked_time_zone, invalid
from tenancy.core import Actor
from tenancy.models import AuditEntry, Erasure, Organization
from tenancy.owners import lock_members
from tenancy.scope import tenant_scope
from tenancy.versions import check_version

log = logging.getLogger(__name__)

FIELDS = ("name", "time_zone", "retention_days", "store_bodies", "bodies_retention_days")
BODIES_DAYS_MAX = 365


def change_organization(
    organization_id: UUID,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    match: str | None = None,
) -> Organization:
    """Changes some of ``FIELDS``; ``seen`` holds what the editor saw of them.

    Raises ``RouterError``: 422 naming the field, 409 for a field that somebody else changed, 412
    when ``match`` is given and is not the ``version_of`` its ``settings_of``.
    """
    with tenant_scope(organization_id):
        lock_members(organization_id)
        row = Organization.objects.get(id=organization_id)
        before = settings_of(row)
        check_version(before, match)
        after = before | {name: _checked(name, value) for name, value in changes.items()}
        for name in changes:
            was = seen.get(name, before[name]) if seen else before[name]
            if before[name] not in (was, after[name]):
                raise RouterError(
                    409,
                    "changed_meanwhile",
                    f"Somebody else made this {before[name]} meanwhile. Keep yours by saving "
                    "again, or write theirs.",
                    param=name,
                )
        if after == before:
            return row
        for name in FIELDS:
            setattr(row, name, after[name])
        row.save(update_fields=list(FIELDS))
        audit.record(
            organization_id,
            actor,
            action="organization.update",
            kind="organization",
            object_id=organization_id,
            name=row.name,
            before=before,
            after=after,
        )
    return row


def settings_of(row: Organization) -> dict[str, Any]:
    """What ``change_organization`` may change."""
    return {name: getattr(row, name) for name in FIELDS}


def delete_organization(organization_id: UUID, *, typed_name: str, actor: Actor) -> None:
    """Ends an organization: its configuration and trail now, its ledger from now on.

    Raises ``RouterError`` (422) unless ``typed_name`` is its name.
    """
    with tenant_scope(organization_id):
        lock_members(organization_id)
        row = Organization.objects.get(id=organization_id)
        if typed_name.strip() != row.name:
            raise invalid("name", f'Type the name as it is: "{row.name}".')
        for model in _erased_models():
            here = model._base_manager.filter(organization_id=organization_id)
            here._raw_delete(here.db)
        Organization.objects.filter(id=organization_id)._raw_delete("default")
        with connection.cursor() as cursor:
            cursor.execute("SELECT app.erase_audit_trail(%s)", [organization_id])
        epoch = row.epoch + 1
        Erasure.objects.create(id=organization_id, epoch=epoch)
        transaction.on_commit(lambda: _gone(organization_id, row.name, epoch, actor))


def _gone(organization_id: UUID, name: str, epoch: int, actor: Actor) -> None:
    # Its own trail is gone with it, so the operator's log tells.
    log.warning(
        "organization %s (%r) was deleted by %s %s from %s",
        organization_id,
        name,
        actor.kind,
        actor.name,
        actor.source or "here",
    )
    forget(organization_id, epoch)


def _erased_models() -> list[type[Model]]:
    """Every table of organizations whose rows a web process may delete by itself."""
    return [
        model
        for model in apps.get_models()
        if model._meta.managed
        and model is not AuditEntry
        and any(field.attname == "organization_id" for field in model._meta.concrete_fields)
    ]


def _checked(name: str, value: Any) -> Any:
    if name == "name":
        return checked_name(value)
    if name == "time_zone":
        return checked_time_zone(value)
    if name == "store_bodies":
        return bool(value)
    if name == "retention_days":
        return None if value is None else _days(name, value, settings.LEDGER_RETENTION_DAYS)
    if name == "bodies_retention_days":
        return _days(name, value, BODIES_DAYS_MAX)
    raise invalid(name, f"There is no setting called {name}.")


def _days(name: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(name, f"Enter 1 to {most:,} days.")
    return value
