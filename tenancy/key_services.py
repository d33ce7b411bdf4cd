"""Edits of API keys after they are made, and who may hold which; audited and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from lib.errors import RouterError
from tenancy import audit
from tenancy.checks import checked_name
from tenancy.core import Actor
from tenancy.models import ApiKey, Membership, User
from tenancy.scope import tenant_scope
from tenancy.services import checked_networks
from tenancy.versions import check_version, version_of

FIELDS = ("name", "expires_at", "allowed_networks", "user")


def edit_key(
    organization_id: UUID,
    key_id: UUID,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    match: str | None = None,
) -> ApiKey:
    """Changes some of a key's name, ``expires_at``, ``allowed_networks`` and ``user``.

    Raises ``RouterError``: 404 for an unknown or revoked key, 422 naming the field that is wrong,
    412 when ``match`` is given and is not ``key_version``.
    """
    with tenant_scope(organization_id):
        key = (
            ApiKey.objects.select_for_update(of=("self",))
            .filter(organization_id=organization_id, id=key_id, revoked_at__isnull=True)
            .first()
        )
        if key is None:
            raise RouterError(404, "not_found", "There is no such live API key.", param="id")
        before = _told(key)
        check_version(before, match)
        if "name" in changes:
            key.name = checked_name(changes["name"])
        if "allowed_networks" in changes:
            key.allowed_networks = checked_networks(changes["allowed_networks"])
        if "expires_at" in changes and changes["expires_at"] != key.expires_at:
            key.expires_at = _later(changes["expires_at"])
        if "user" in changes:
            key.user = changes["user"]
        after = _told(key)
        if after != before:
            key.save(update_fields=["name", "allowed_networks", "expires_at", "user"])
            audit.record_of(key, actor, "api_key.update", before=before, after=after)
    return key


def key_version(key: ApiKey) -> str:
    """What tells what a key says from what it said."""
    return version_of(_told(key))


def member_user(organization_id: UUID, user_id: UUID | None, *, param: str) -> User | None:
    """The member that a key is to act for; raises ``RouterError`` (422) for anybody else."""
    if user_id is None:
        return None
    found = (
        Membership.objects.filter(organization_id=organization_id, user_id=user_id)
        .select_related("user")
        .first()
    )
    if found is None:
        message = "Choose a member of this organization, or leave it to the organization."
        raise RouterError(422, "invalid_value", message, param=param)
    return found.user


def _told(key: ApiKey) -> dict[str, Any]:
    """What may be changed of a key, as the audit trail keeps it."""
    networks: Sequence[str] = key.allowed_networks
    return {
        "name": key.name,
        "allowed_networks": list(networks),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "acts_for": str(key.user_id) if key.user_id else None,
    }


def _later(moment: datetime | None) -> datetime | None:
    if moment is not None and moment <= timezone.now():
        message = "The expiry lies in the past."
        raise RouterError(422, "invalid_value", message, param="expires_at")
    return moment
