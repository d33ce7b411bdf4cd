"""Roles and scopes: who may do what. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from uuid import UUID


class Role(StrEnum):
    """What a member may do; each role may do all that the next one may."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What an API key may be used for: calls under /v1, or configuration and reading under /api."""

    GATEWAY = "gateway"
    ADMIN = "admin"


class SsoKind(StrEnum):
    """How an organization's identity provider speaks."""

    OIDC = "oidc"
    SAML = "saml"


_RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}


def may(role: Role, needed: Role) -> bool:
    """Whether ``role`` includes ``needed``."""
    return _RANK[role] >= _RANK[needed]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, for the audit trail. ``source`` is the address it came from."""

    kind: str
    id: UUID | None
    name: str
    source: str = ""

    def person(self) -> UUID | None:
        """The user who acts; None for a key or the product itself."""
        return self.id if self.kind == "user" else None


SYSTEM = Actor(kind="system", id=None, name="system")


def is_inside(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none.

    A socket for both families shows an IPv4 caller as ::ffff:203.0.113.7.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in networks)


# Epochs only grow, whatever order announcements arrive in.
RAISE_EPOCH = """
local now = tonumber(redis.call('HGET', KEYS[1], 'e') or '0')
if tonumber(ARGV[1]) > now then redis.call('HSET', KEYS[1], 'e', ARGV[1]) end
return 1
"""


def live_key(organization_id: str) -> str:
    """The Redis hash of an organization's live numbers; all its keys share one hash tag.

    ``organization_id`` is 32 hexadecimal digits.
    """
    return f"er:{{{organization_id}}}:live"
