"""Reads of preferences; all need the organization's scope."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from preferences.core import Preferences, Priority
from preferences.models import KeyPreferences, UserRouterPreferences, Wishes

# The version of what nobody saved yet.
UNSAVED = "0"


def preferences_row(organization_id: UUID, user_id: UUID | None) -> UserRouterPreferences:
    """The row of a user, or of the organization's default; unsaved where there is none."""
    found = of_user(organization_id, user_id).first()
    return found or UserRouterPreferences(organization_id=organization_id, user_id=user_id)


def of_user(organization_id: UUID, user_id: UUID | None) -> QuerySet[UserRouterPreferences]:
    """At most one row: that of a user, or of the organization's default."""
    rows = UserRouterPreferences.objects.filter(organization_id=organization_id)
    return rows.filter(user_id__isnull=True) if user_id is None else rows.filter(user_id=user_id)


def key_row(organization_id: UUID, key_id: UUID) -> KeyPreferences:
    """The row of an API key; unsaved where there is none."""
    rows = KeyPreferences.objects.filter(organization_id=organization_id, api_key_id=key_id)
    return rows.first() or KeyPreferences(organization_id=organization_id, api_key_id=key_id)


def tag_of(row: Wishes) -> str:
    """What tells one version of a row from every other, for If-Match."""
    return UNSAVED if row._state.adding else str(round(row.updated_at.timestamp() * 1_000_000))


def wishes(row: Wishes) -> Preferences:
    """A row as one level of preferences."""
    return Preferences(
        priority=Priority(row.default_priority) if row.default_priority else None,
        max_cost_nano=row.max_cost_per_request_nano,
        max_latency_ms=row.max_latency_ms,
        preferred_providers=tuple(row.preferred_providers),
        blocked_providers=frozenset(row.blocked_providers),
    )


def all_levels(
    organization_id: UUID,
) -> tuple[Preferences, dict[UUID, Preferences], dict[UUID, Preferences]]:
    """The organization's default, and the wishes of each user and of each API key."""
    default = Preferences()
    users: dict[UUID, Preferences] = {}
    for row in UserRouterPreferences.objects.filter(organization_id=organization_id):
        if row.user_id is None:
            default = wishes(row)
        else:
            users[row.user_id] = wishes(row)
    keys = {
        row.api_key_id: wishes(row)
        for row in KeyPreferences.objects.filter(organization_id=organization_id)
    }
    return default, users, keys
