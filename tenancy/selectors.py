"""Reads of organizations, members, keys and the audit trail; all but the first need a scope."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet

from tenancy.models import ApiKey, AuditEntry, Invitation, Membership, Organization

PAGE_ROWS = 50


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


def members(
    organization_id: UUID, *, search: str = "", after: UUID | None = None
) -> QuerySet[Membership]:
    """Members with their users, in the order in which they joined; ``after`` is a member's id."""
    found = Membership.objects.filter(organization_id=organization_id).select_related("user")
    if search:
        found = found.filter(Q(user__email__icontains=search) | Q(user__name__icontains=search))
    if after:
        found = found.filter(id__gt=after)
    return found.order_by("id")


def live_keys_of(organization_id: UUID, user_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many keys that are not revoked act for each of these users."""
    keys = ApiKey.objects.filter(
        organization_id=organization_id, user_id__in=user_ids, revoked_at=None
    )
    counted = keys.values_list("user_id").annotate(count=Count("id")).order_by()
    return {user_id: count for user_id, count in counted if user_id}


def open_invitations(organization_id: UUID, *, before: UUID | None = None) -> QuerySet[Invitation]:
    """Invitations neither accepted nor withdrawn, the newest first."""
    found = Invitation.objects.filter(
        organization_id=organization_id, accepted_at=None, withdrawn_at=None
    )
    if before:
        found = found.filter(id__lt=before)
    return found.order_by("-id")


def audit_entries(organization_id: UUID) -> QuerySet[AuditEntry]:
    """The audit trail, newest first."""
    return AuditEntry.objects.filter(organization_id=organization_id).order_by("-created_at", "-id")
