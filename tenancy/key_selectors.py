"""Reads of API keys for lists and pages; all need the organization's scope.

A list is walked by keyset on the id, which grows with time, so every page costs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery

from tenancy.core import Role, Scope, may
from tenancy.models import ApiKey, ApiKeySecret, Membership, User

PAGE_KEYS = 50
SOON = timedelta(days=7)
SEARCH_CHARS_MAX = 120


class KeyState(StrEnum):
    """Whether a key works, and for how long."""

    LIVE = "live"
    SOON = "soon"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyFilters:
    """Which keys a list shows; empty shows all.

    ``holder`` shows only the keys that act for one user.
    """

    text: str = ""
    state: KeyState | None = None
    holder: UUID | None = None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys, the newest first, and the id after which the older ones start."""

    keys: Sequence[ApiKey]
    older: UUID | None


def state_of(key: ApiKey, now: datetime) -> KeyState:
    """What a key is at a moment."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.expires_at is None:
        return KeyState.LIVE
    if key.expires_at <= now:
        return KeyState.EXPIRED
    return KeyState.SOON if key.expires_at <= now + SOON else KeyState.LIVE


def live_secrets(key: ApiKey, now: datetime) -> list[ApiKeySecret]:
    """The secrets that still work, the newest first; more than one while a rotation overlaps."""
    live = [s for s in key.secrets.all() if s.expires_at is None or s.expires_at > now]
    return sorted(live, key=lambda secret: secret.id, reverse=True)


def key_page(
    organization_id: UUID, filters: KeyFilters, *, now: datetime, older: UUID | None = None
) -> KeyPage:
    """Fifty keys: the newest, or those older than ``older``."""
    found = _keys(organization_id)
    if filters.holder is not None:
        found = found.filter(user_id=filters.holder)
    if filters.state is not None:
        found = found.filter(_in_state(filters.state, now))
    if filters.text:
        found = found.filter(_matches(organization_id, filters.text))
    if older is not None:
        found = found.filter(id__lt=older)
    rows = list(found.order_by("-id")[: PAGE_KEYS + 1])
    page = rows[:PAGE_KEYS]
    return KeyPage(page, page[-1].id if len(rows) > PAGE_KEYS else None)


def key_of(organization_id: UUID, key_id: UUID, *, holder: UUID | None = None) -> ApiKey | None:
    """One key with its secrets and whom it acts for; with ``holder`` only a key of that user."""
    found = _keys(organization_id).filter(id=key_id)
    return (found if holder is None else found.filter(user_id=holder)).first()


def maker_now(key: ApiKey) -> str:
    """What became of who made a key of this module, where that matters: "no longer an admin"."""
    role = getattr(key, "maker_role", None)
    if key.maker_id is None:
        return ""
    if role is None:
        return "no longer a member"
    demoted = Scope.ADMIN.value in key.scopes and not may(Role(role), Role.ADMIN)
    return "no longer an admin" if demoted else ""


def admin_keys_made_by(organization_id: UUID, user_id: UUID, *, now: datetime) -> int:
    """How many keys of the admin scope work that this user made, and that act for others or nobody.

    They belong to the organization and outlive whoever made them.
    """
    found = ApiKey.objects.filter(
        organization_id=organization_id,
        maker_id=user_id,
        scopes__contains=[Scope.ADMIN.value],
        revoked_at=None,
    ).exclude(user_id=user_id)
    return found.filter(Q(expires_at=None) | Q(expires_at__gt=now)).count()


def member_users(organization_id: UUID) -> list[User]:
    """The users that a key may act for, by address."""
    return list(
        User.objects.filter(
            id__in=Membership.objects.filter(organization_id=organization_id).values("user_id")
        ).order_by("email")
    )


def _keys(organization_id: UUID) -> QuerySet[ApiKey]:
    secrets = ApiKeySecret.objects.filter(organization_id=organization_id)
    makers = Membership.objects.filter(
        organization_id=organization_id, user_id=OuterRef("maker_id")
    )
    return (
        ApiKey.objects.filter(organization_id=organization_id)
        .annotate(maker_role=Subquery(makers.values("role")[:1]))
        .select_related("user")
        .prefetch_related(Prefetch("secrets", queryset=secrets))
    )


def _in_state(state: KeyState, now: datetime) -> Q:
    ends = Q(expires_at__isnull=False)
    return {
        KeyState.REVOKED: Q(revoked_at__isnull=False),
        KeyState.EXPIRED: Q(revoked_at__isnull=True) & ends & Q(expires_at__lte=now),
        KeyState.SOON: Q(revoked_at__isnull=True, expires_at__gt=now, expires_at__lte=now + SOON),
        KeyState.LIVE: Q(revoked_at__isnull=True)
        & (Q(expires_at__isnull=True) | Q(expires_at__gt=now)),
    }[state]


def _matches(organization_id: UUID, text: str) -> Q:
    """Names and addresses hold the text, or a secret's shown part is it."""
    shown = ApiKeySecret.objects.filter(
        organization_id=organization_id, api_key_id=OuterRef("id")
    ).filter(Q(prefix__startswith=text) | Q(last_four=text[-4:]) & Q(prefix__in=_prefixes(text)))
    return (
        Q(name__icontains=text)
        | Q(created_by__icontains=text)
        | Q(user__email__icontains=text)
        | Q(Exists(shown))
    )


def _prefixes(text: str) -> list[str]:
    """The prefixes that a text such as ``er_live_Ab1x…9dQz`` may begin with."""
    return [text.partition("…")[0]] if "…" in text else []
