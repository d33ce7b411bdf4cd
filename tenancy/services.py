"""Changes of organizations, members and API keys; each is audited and announced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from lib.errors import RouterError
from lib.hashing import digest, make_api_key, parse_api_key
from tenancy import audit
from tenancy.checks import checked_email, checked_name, checked_time_zone, invalid
from tenancy.core import Actor, Role, Scope
from tenancy.models import ApiKey, ApiKeySecret, Membership, Organization, User, new_id
from tenancy.owners import keep_an_owner, lock_members
from tenancy.scope import tenant_scope

NETWORKS_MAX = 100
OVERLAP_MAX = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the secret that is shown once and never again."""

    key: ApiKey
    secret: str = field(repr=False)


def create_organization(
    *, name: str, owner: User, actor: Actor, time_zone: str = "UTC"
) -> Organization:
    """A new organization with its owner; raises ``RouterError`` (422) for a bad name or zone."""
    zone = checked_time_zone(time_zone)
    organization = Organization(id=new_id(), name=checked_name(name), time_zone=zone)
    with tenant_scope(organization.id):
        organization.save(force_insert=True)
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        audit.record(
            organization.id,
            actor,
            action="organization.create",
            kind="organization",
            object_id=organization.id,
            name=organization.name,
            after={"name": organization.name, "time_zone": time_zone, "owner": owner.email},
        )
    return organization


def add_member(organization_id: UUID, *, user: User, role: Role, actor: Actor) -> Membership:
    """Makes a user a member, or gives a member another role.

    Raises ``RouterError`` (409) when that would leave the organization without an owner.
    """
    with tenant_scope(organization_id):
        lock_members(organization_id)
        known = Membership.objects.filter(organization_id=organization_id, user=user).first()
        before = {"role": known.role} if known else None
        if known and role is not Role.OWNER:
            keep_an_owner(known)
        member, _ = Membership.objects.update_or_create(
            organization_id=organization_id, user=user, defaults={"role": role.value}
        )
        after = {"role": role.value}
        audit.record_of(member, actor, "member.set_role", before=before, after=after)
    return member


def create_key(
    organization_id: UUID,
    *,
    name: str,
    scopes: Sequence[Scope],
    actor: Actor,
    user: User | None = None,
    expires_at: datetime | None = None,
    allowed_networks: Sequence[str] = (),
) -> NewKey:
    """A new API key; raises ``RouterError`` (422) naming the field that is wrong."""
    if not scopes:
        raise invalid("scopes", "A key needs at least one scope: gateway, admin.")
    if expires_at is not None and expires_at <= timezone.now():
        raise invalid("expires_at", "The expiry lies in the past.")
    networks = checked_networks(allowed_networks)
    with tenant_scope(organization_id):
        key = ApiKey.objects.create(
            organization_id=organization_id,
            name=checked_name(name),
            user=user,
            scopes=sorted({s.value for s in scopes}),
            allowed_networks=networks,
            expires_at=expires_at,
            created_by=actor.name,
            maker_id=actor.person(),
        )
        secret = _add_secret(key)
        audit.record_of(
            key,
            actor,
            "api_key.create",
            after={
                "scopes": key.scopes,
                "allowed_networks": networks,
                "expires_at": expires_at.isoformat() if expires_at else None,
            },
        )
    return NewKey(key, secret)


def rotate_key(organization_id: UUID, key_id: UUID, *, overlap: timedelta, actor: Actor) -> NewKey:
    """A second secret for a key; the older ones end after ``overlap``.

    Raises ``RouterError``: 404 for an unknown or revoked key, 422 for an overlap out of bounds.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise invalid("overlap", f"The overlap is from nothing to {OVERLAP_MAX.days} days.")
    with tenant_scope(organization_id):
        key = _live_key(organization_id, key_id)
        ends = timezone.now() + overlap
        for old in key.secrets.filter(organization_id=organization_id):
            if old.expires_at is None or old.expires_at > ends:
                old.expires_at = ends
                old.save(update_fields=["expires_at"])
        secret = _add_secret(key)
        after = {"older_secrets_end_at": ends.isoformat()}
        audit.record_of(key, actor, "api_key.rotate", after=after)
    return NewKey(key, secret)


def revoke_key(organization_id: UUID, key_id: UUID, *, actor: Actor) -> None:
    """Ends a key for good, on every process by the next call; raises ``RouterError`` (404)."""
    with tenant_scope(organization_id):
        key = _live_key(organization_id, key_id)
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        after = {"revoked_at": key.revoked_at.isoformat()}
        audit.record_of(key, actor, "api_key.revoke", before={"revoked_at": None}, after=after)


def create_user(email: str, password: str | None) -> User:
    """A user who may sign in with this password; the address counts as verified.

    Raises ``RouterError``: 422 for what is no address, 409 for one that is in use.
    """
    from allauth.account.models import EmailAddress

    email = checked_email(email)
    if User.objects.filter(email=email).exists():
        raise RouterError(409, "already_exists", f"{email} has an account.", param="email")
    with transaction.atomic():
        user = User.objects.create_user(email, password)
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def _live_key(organization_id: UUID, key_id: UUID) -> ApiKey:
    key = ApiKey.objects.filter(
        organization_id=organization_id, id=key_id, revoked_at__isnull=True
    ).first()
    if key is None:
        raise RouterError(404, "not_found", "There is no such live API key.", param="id")
    return key


def _add_secret(key: ApiKey) -> str:
    secret = make_api_key(os.urandom(32))
    parts = parse_api_key(secret)
    assert parts is not None
    ApiKeySecret.objects.create(
        organization_id=key.organization_id,
        api_key=key,
        digest=digest(settings.API_KEY_PEPPER, secret.encode()),
        prefix=parts.prefix,
        last_four=parts.last_four,
    )
    return secret


def checked_networks(words: Sequence[str]) -> list[str]:
    """Networks in their normal form, empty words left out; raises ``RouterError`` (422)."""
    if len(words) > NETWORKS_MAX:
        raise invalid("allowed_networks", f"At most {NETWORKS_MAX} networks.")
    try:
        return [str(ip_network(word.strip())) for word in words if word.strip()]
    except ValueError as why:
        raise invalid("allowed_networks", f"{why}. Write a network as 203.0.113.0/24.") from None
