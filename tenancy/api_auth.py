"""Who may use /api: a key with the admin scope, from an allowed network, live right now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from ipaddress import ip_network
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from uuid import UUID

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from lib.errors import RouterError
from lib.hashing import digest, looks_like_key
from tenancy.core import Actor, Scope, is_inside
from tenancy.models import ApiKey, ApiKeySecret
from tenancy.pace import check_pace
from tenancy.scope import tenant_scope
from tenancy.selectors import organization_of_key

P = ParamSpec("P")
R = TypeVar("R")
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """The key that a request to /api came with."""

    organization_id: UUID
    key_id: UUID
    name: str

    def actor(self, request: HttpRequest) -> Actor:
        """The key as the audit trail names it."""
        return Actor("key", self.key_id, f"key {self.name}", address_of(request))


class AdminKey(HttpBearer):
    """``Authorization: Bearer er_live_…`` with the admin scope."""

    openapi_description = (
        "An API key with the admin scope. It may do what an admin of its organization may, under "
        "every address of this API."
    )
    openapi_bearerFormat = "er_live_…"

    def authenticate(self, request: HttpRequest, token: str) -> Holder:
        """The key's holder; raises ``RouterError`` saying why it may not."""
        # Asked twice where an Idempotency-Key is claimed before the operation; counted once.
        known: Holder | None = getattr(request, "admin_key_holder", None)
        if known is None:
            known = self._holder(request, token)
            _count(known.key_id)
            cast(Any, request).admin_key_holder = known
        return known

    def _holder(self, request: HttpRequest, token: str) -> Holder:
        secret = token.encode()
        if not looks_like_key(secret):
            raise _unknown()
        hashed = digest(settings.API_KEY_PEPPER, secret)
        organization_id = organization_of_key(hashed)
        if organization_id is None:
            raise _unknown()
        with tenant_scope(organization_id):
            found = ApiKeySecret.objects.select_related("api_key").get(
                organization_id=organization_id, digest=hashed
            )
            _check(found, address_of(request))
            _note_use(found.api_key)
        return Holder(organization_id, found.api_key_id, found.api_key.name)


def in_scope(
    operation: Callable[Concatenate[HttpRequest, P], R],
) -> Callable[Concatenate[HttpRequest, P], R]:
    """Runs an operation inside the scope of the key's organization."""

    @wraps(operation)
    def scoped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> R:
        with tenant_scope(holder(request).organization_id):
            return operation(request, *args, **kwargs)

    return cast(Callable[Concatenate[HttpRequest, P], R], scoped)


def address_of(request: HttpRequest) -> str:
    """The caller's address: the peer, or what the trusted proxies in front of it saw."""
    return str(get_adapter().get_client_ip(request))


def holder(request: HttpRequest) -> Holder:
    """The key that ``AdminKey`` let in."""
    return cast(Holder, cast(Any, request).auth)


def _check(secret: ApiKeySecret, address: str) -> None:
    key = secret.api_key
    now = timezone.now()
    if key.revoked_at is not None:
        raise _denied(401, "key_revoked", "This API key was revoked.")
    if any(end is not None and end <= now for end in (key.expires_at, secret.expires_at)):
        raise _denied(401, "key_expired", "This API key has expired.")
    if Scope.ADMIN.value not in key.scopes:
        raise _denied(403, "scope_missing", 'This needs a key with the "admin" scope.')
    networks = [ip_network(network) for network in key.allowed_networks]
    if networks and not is_inside(address, networks):
        raise _denied(403, "network_not_allowed", "This key may not be used from this address.")


def _count(key_id: UUID) -> None:
    """Raises 429 past so many requests of a key in a minute; nothing is refused without Redis."""
    allowed = settings.API_REQUESTS_PER_MINUTE
    if not allowed:
        return
    check_pace(
        f"api-requests:{key_id.hex}",
        per_minute=allowed,
        code="rate_limit_exceeded",
        message=f"This key may send {allowed:,} requests a minute to /api. Wait for the next one.",
    )


def _note_use(key: ApiKey) -> None:
    """Keeps when a key was last used, to the minute, as the ledger does for its calls."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        rows = ApiKey.objects.filter(organization_id=key.organization_id, id=key.id)
        rows.update(last_used_at=now)


def _denied(status: int, code: str, message: str) -> RouterError:
    kind = "authentication_error" if status == 401 else "permission_error"
    return RouterError(status, code, message, type=kind)


def _unknown() -> RouterError:
    return _denied(401, "invalid_api_key", "This API key is not known here.")
