"""Reads of organizations, members, keys and the audit trail; all but the first need a scope."""

from __future__ import annotations

from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from tenancy.models import ApiKey, AuditEntry, Membership, Organization


def organization_of_key(digest: bytes) -> UUID | None:
    """The organization that a key's digest belongs to; works outside every scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app.key_organization(%s)", [digest])
        row = cursor.fetchone()
    found: UUID | None = row[0] if row else None
    return found


def organization(organization_id: UUID) -> Organization | None:
    """The organization of the running scope."""
    return Organization.objects.filter(id=organization_id).first()


def api_keys(organization_id: UUID) -> QuerySet[ApiKey]:
    """Every key with its secrets' digests, newest first."""
    return (
        ApiKey.objects.filter(organization_id=organization_id)
        .prefetch_related("secrets")
        .order_by("-created_at", "-id")
    )


def key_names(organization_id: UUID) -> dict[UUID, str]:
    """Names of all keys by id, for lists that show who called."""
    keys = ApiKey.objects.filter(organization_id=organization_id)
    return dict(keys.values_list("id", "name"))


def member_emails(organization_id: UUID) -> dict[UUID, str]:
    """Email addresses of all members by user id."""
    members = Membership.objects.filter(organization_id=organization_id)
    return dict(members.values_list("user_id", "user__email"))


def audit_entries(organization_id: UUID) -> QuerySet[AuditEntry]:
    """The audit trail, newest first."""
    return AuditEntry.objects.filter(organization_id=organization_id).order_by("-created_at", "-id")
