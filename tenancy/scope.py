"""The only way into an organization's rows.

1. ``tenant_scope(id)`` opens a transaction and sets the organization for that transaction alone.
2. Policies compare each row with it; outside a scope they raise.
3. Scopes of one organization nest; a scope of another organization inside one is an error.
4. Whoever waits for another server gives the connection back first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection, transaction

SETTING = "app.organization_id"


class ScopeError(RuntimeError):
    """A scope was opened inside the scope of another organization."""


def current_organization_id() -> UUID | None:
    """The organization of the running transaction, or None outside a scope."""
    if not connection.in_atomic_block:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [SETTING])
        row = cursor.fetchone()
    return UUID(row[0]) if row and row[0] else None


@contextmanager
def tenant_scope(organization_id: UUID) -> Iterator[None]:
    """Runs the block in a transaction that sees exactly one organization's rows.

    Raises ``ScopeError`` inside the scope of another organization.
    """
    outer = current_organization_id()
    if outer is not None:
        if outer != organization_id:
            raise ScopeError("A scope of one organization cannot hold that of another.")
        with transaction.atomic():
            yield
        return
    with transaction.atomic():
        _set(str(organization_id))
        yield
        # Inside a larger transaction the setting would outlive this block's savepoint.
        _set("")


def give_back() -> None:
    """Returns this thread's connection, unless a transaction around us still needs it."""
    if not connection.in_atomic_block:
        connection.close()


def _set(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, value])
