"""Who may use /api: a key with the admin scope, from an allowed network, live right now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from tenancy.models import ApiKeySecret
from tenancy.scope import tenant_scope
from tenancy.selectors import organization_of_key

P = ParamSpec("P")
R = TypeVar("R")


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

    def authenticate(self, request: HttpRequest, token: str) -> Holder:
        """The key's holder; raises ``RouterError`` saying why it may not."""
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


def _denied(status: int, code: str, message: str) -> RouterError:
    kind = "authentication_error" if status == 401 else "permission_error"
    return RouterError(status, code, message, type=kind)


def _unknown() -> RouterError:
    return _denied(401, "invalid_api_key", "This API key is not known here.")
