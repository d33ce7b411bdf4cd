"""What an organization's ledger knows at all: its newest call, and the names that answered."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from analytics.sql import ask


def last_call_at(organization_id: UUID) -> datetime | None:
    """When the newest call of the ledger came."""
    rows = ask(
        "SELECT created_at FROM router_analytics WHERE organization_id = %s"
        " ORDER BY created_at DESC, id DESC LIMIT 1",
        [organization_id],
    )
    at: datetime | None = rows[0][0] if rows else None
    return at


def names(organization_id: UUID) -> dict[str, list[str]]:
    """Every provider, model, key and member that ever had an answer, by kind; one query.

    Walks from name to name along the index, and never over the counts in between.
    """
    rows = ask(
        "WITH RECURSIVE found AS ("
        " (SELECT kind, name FROM router_latency_totals WHERE organization_id = %(organization)s"
        "   AND span = 'day' ORDER BY kind, name LIMIT 1)"
        " UNION ALL SELECT next.kind, next.name FROM found CROSS JOIN LATERAL"
        "  (SELECT kind, name FROM router_latency_totals WHERE organization_id = %(organization)s"
        "   AND span = 'day' AND (kind, name) > (found.kind, found.name)"
        "   ORDER BY kind, name LIMIT 1) AS next"
        ") SELECT kind, name FROM found LIMIT 2000",
        {"organization": organization_id},
    )
    found: dict[str, list[str]] = {}
    for kind, name in rows:
        found.setdefault(kind, []).append(name)
    return found
