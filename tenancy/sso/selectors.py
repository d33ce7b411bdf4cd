"""Reads of single sign-on: of one organization, and the few that come before a scope is known."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Prefetch, QuerySet

from tenancy.models import SsoConnection, SsoDomain
from tenancy.scope import tenant_scope
from tenancy.sso.core import domain_of


@dataclass(frozen=True, slots=True)
class Route:
    """Where the people of an e-mail domain sign in."""

    organization_id: UUID
    connection_id: UUID
    required: bool


def connections(organization_id: UUID) -> QuerySet[SsoConnection]:
    """The organization's connections with their domains, the oldest first."""
    domains = SsoDomain.objects.filter(organization_id=organization_id).order_by("domain")
    return (
        SsoConnection.objects.filter(organization_id=organization_id)
        .prefetch_related(Prefetch("domains", domains))
        .order_by("created_at", "id")
    )


def route_of(email: str) -> Route | None:
    """The provider of an address's domain, if an organization proved the domain.

    Works outside every scope.
    """
    domain = domain_of(email)
    if domain is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, connection_id, required FROM app.sso_of_domain(%s)", [domain]
        )
        row = cursor.fetchone()
    return Route(*row) if row else None


def find_connection(text: str | None) -> SsoConnection | None:
    """The connection of any organization by its id, with its domains. Works outside every scope."""
    try:
        id_ = UUID(text or "")
    except ValueError:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT app.sso_organization(%s)", [id_])
        (organization_id,) = cursor.fetchone()
    if organization_id is None:
        return None
    with tenant_scope(organization_id):
        return connections(organization_id).filter(id=id_).first()


def verified_domains(found: SsoConnection) -> list[str]:
    """The domains that count, of a connection read by ``connections``."""
    return [one.domain for one in found.domains.all() if one.verified_at is not None]
