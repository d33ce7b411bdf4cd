"""Single sign-on by REST: what the page about sign-in does, with an admin-scoped key."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from ninja import Router, Status

from lib.errors import RouterError
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged
from tenancy.models import SsoConnection, SsoDomain
from tenancy.scope import tenant_scope
from tenancy.selectors import organization
from tenancy.sso import services
from tenancy.sso.core import proof_name, proof_text
from tenancy.sso.details import details_from
from tenancy.sso.schemas import (
    ConnectionChange,
    ConnectionIn,
    ConnectionOut,
    Connections,
    DomainIn,
    DomainOut,
    Security,
)
from tenancy.sso.selectors import connections
from tenancy.sso.views import own_addresses

security = Router(tags=["Single sign-on"])
sso = Router(tags=["Single sign-on"])


@security.get("", response=Security, summary="How members sign in")
@in_scope
def read_security(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """Whether members need a second factor. API keys are unaffected."""
    found = organization(holder(request).organization_id)
    assert found is not None
    version = services.security_version(found)
    return tagged({"require_mfa": found.require_mfa}, response, version)


@security.patch("", response=Security, summary="Require second factors, or stop to")
@in_scope
def change_security(
    request: HttpRequest, response: HttpResponse, body: Security, if_match: IfMatch = ""
) -> dict[str, Any]:
    """Holds from each member's next page on; needs an owner who has a second factor (409)."""
    mine = holder(request)
    with shows_current(lambda: read_security(request, response)):
        services.set_require_mfa(
            mine.organization_id,
            require_mfa=body.require_mfa,
            actor=mine.actor(request),
            match=match_of(if_match),
        )
    return read_security(request, response)


@sso.get("", response=Connections, summary="List connections")
@in_scope
def list_connections(request: HttpRequest) -> dict[str, Any]:
    """Every identity provider of the organization with its domains, the oldest first."""
    found = connections(holder(request).organization_id)
    return {"data": [_out(one) for one in found], "next_cursor": None}


@sso.post("", response={201: ConnectionOut}, summary="Connect an identity provider")
def create_connection(
    request: HttpRequest, response: HttpResponse, body: ConnectionIn
) -> Status[dict[str, Any]]:
    """By OpenID Connect or SAML. An OpenID issuer is asked for its description at once.

    Then tell the provider our addresses, which the answer holds, and add the domains.
    """
    mine = holder(request)
    values = body.dict(exclude_unset=True)
    made = services.create_connection(
        mine.organization_id,
        kind=values.pop("kind"),
        details=details_from(values),
        actor=mine.actor(request),
    )
    return Status(201, _read(request, response, made.id))


@sso.get("/{uuid:connection_id}", response=ConnectionOut, summary="One connection")
@in_scope
def read_connection(
    request: HttpRequest, response: HttpResponse, connection_id: UUID
) -> dict[str, Any]:
    """One identity provider with its domains."""
    return _read(request, response, connection_id)


@sso.patch("/{uuid:connection_id}", response=ConnectionOut, summary="Change a connection")
def change_connection(
    request: HttpRequest,
    response: HttpResponse,
    connection_id: UUID,
    body: ConnectionChange,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """What is left out stays as it is."""
    mine = holder(request)
    with shows_current(lambda: _read(request, response, connection_id)):
        services.change_connection(
            mine.organization_id,
            connection_id,
            details=details_from(body.dict(exclude_unset=True)),
            actor=mine.actor(request),
            match=match_of(if_match),
        )
    return _read(request, response, connection_id)


@sso.delete("/{uuid:connection_id}", response={204: None}, summary="Remove a connection")
@in_scope
def delete_connection(request: HttpRequest, connection_id: UUID) -> Status[None]:
    """Its people keep their accounts, and sign in another way from then on."""
    mine = holder(request)
    services.delete_connection(mine.organization_id, connection_id, actor=mine.actor(request))
    return Status(204, None)


@sso.post(
    "/{uuid:connection_id}/domains", response={201: DomainOut}, summary="Add an e-mail domain"
)
@in_scope
def add_domain(request: HttpRequest, connection_id: UUID, body: DomainIn) -> Status[dict[str, Any]]:
    """It counts once it is proved: set the TXT record that the answer names, then verify."""
    mine = holder(request)
    added = services.add_domain(
        mine.organization_id, connection_id, domain=body.domain, actor=mine.actor(request)
    )
    return Status(201, _domain_out(added))


@sso.post(
    "/{uuid:connection_id}/domains/{uuid:domain_id}/verify",
    response=DomainOut,
    summary="Verify a domain",
)
def verify_domain(request: HttpRequest, connection_id: UUID, domain_id: UUID) -> dict[str, Any]:
    """Looks for its TXT record: 422 while it is not there, 503 where DNS does not answer."""
    mine = holder(request)
    lookup: services.TxtLookup = import_string(settings.SSO_TXT_LOOKUP)
    proved = services.verify_domain(
        mine.organization_id, connection_id, domain_id, actor=mine.actor(request), lookup=lookup
    )
    return _domain_out(proved)


@sso.delete(
    "/{uuid:connection_id}/domains/{uuid:domain_id}",
    response={204: None},
    summary="Remove a domain",
)
@in_scope
def remove_domain(request: HttpRequest, connection_id: UUID, domain_id: UUID) -> Status[None]:
    """Its people sign in another way from then on."""
    mine = holder(request)
    services.remove_domain(
        mine.organization_id, connection_id, domain_id, actor=mine.actor(request)
    )
    return Status(204, None)


def _read(request: HttpRequest, response: HttpResponse, connection_id: UUID) -> dict[str, Any]:
    organization_id = holder(request).organization_id
    with tenant_scope(organization_id):
        found = connections(organization_id).filter(id=connection_id).first()
    if found is None:
        raise RouterError(404, "not_found", "There is no such connection.", param="id")
    return tagged(_out(found), response, services.connection_version(found))


def _out(connection: SsoConnection) -> dict[str, Any]:
    names = (
        "id",
        "kind",
        "name",
        "default_role",
        "required",
        "issuer",
        "client_id",
        "idp_entity_id",
        "idp_sso_url",
        "idp_certificate",
    )
    return {
        **{name: getattr(connection, name) for name in names},
        "has_client_secret": connection.secret_sealed is not None,
        "domains": [_domain_out(one) for one in connection.domains.all()],
        **own_addresses(connection),
    }


def _domain_out(domain: SsoDomain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "domain": domain.domain,
        "verified_at": domain.verified_at,
        "proof_name": proof_name(domain.domain),
        "proof_text": proof_text(domain.proof),
    }
