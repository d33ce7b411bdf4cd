"""Which preferences name a provider, and taking it out of them when it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from preferences.models import KeyPreferences, UserRouterPreferences, Wishes
from preferences.services import as_dict
from tenancy import audit
from tenancy.core import Actor
from tenancy.scope import tenant_scope


@dataclass(frozen=True, slots=True)
class Mention:
    """One place that names a provider: whose preferences, and as preferred or blocked."""

    whose: str
    stands: str


def mentions(organization_id: UUID, slug: str) -> list[Mention]:
    """Where a provider is preferred or blocked. Two queries; needs the organization's scope."""
    found = []
    for row in _rows(organization_id, slug):
        stands = "preferred" if slug in row.preferred_providers else "blocked"
        found.append(Mention(_whose(row), stands))
    return found


def forget_provider(organization_id: UUID, slug: str, *, actor: Actor) -> None:
    """Takes a provider out of every list that names it; each change is audited."""
    with tenant_scope(organization_id):
        for row in _rows(organization_id, slug):
            before = as_dict(row)
            row.preferred_providers = [s for s in row.preferred_providers if s != slug]
            row.blocked_providers = [s for s in row.blocked_providers if s != slug]
            row.save()
            of_key = isinstance(row, KeyPreferences)
            audit.record(
                organization_id,
                actor,
                action="preferences.update",
                kind="api_key" if of_key else "preferences",
                object_id=row.api_key_id if isinstance(row, KeyPreferences) else row.id,
                name=_whose(row),
                before=before,
                after=as_dict(row),
            )


def _rows(organization_id: UUID, slug: str) -> Sequence[Wishes]:
    named = Q(preferred_providers__contains=[slug]) | Q(blocked_providers__contains=[slug])
    people = UserRouterPreferences.objects.filter(named, organization_id=organization_id)
    keys = KeyPreferences.objects.filter(named, organization_id=organization_id)
    return [
        *people.select_related("user").order_by("id"),
        *keys.select_related("api_key").order_by("id"),
    ]


def _whose(row: Wishes) -> str:
    if isinstance(row, KeyPreferences):
        return f"key {row.api_key.name}"
    assert isinstance(row, UserRouterPreferences)
    return row.user.email if row.user else "organization default"
