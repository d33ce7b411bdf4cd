"""Changes of single sign-on: connections, and the e-mail domains that lead to them; audited."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from lib.errors import RouterError
from lib.secretbox import NONCE_BYTES, open_, seal
from tenancy import audit
from tenancy.core import Actor, Role, SsoKind
from tenancy.models import Membership, Organization, SsoConnection, SsoDomain, new_id
from tenancy.scope import give_back, tenant_scope
from tenancy.sso import fields as checked
from tenancy.sso.core import clean_domain, proof_name, proof_text
from tenancy.sso.details import Details, asked, paced
from tenancy.sso.dns import LookupFailedError
from tenancy.sso.keys import keep_key_pair, new_key_pair
from tenancy.versions import changed_meanwhile, version_of
from tenancy.ways_in import has_second_factor

CONNECTIONS_MAX = 10
DOMAINS_MAX = 50
NO_OWNER_HAS_ONE = (
    "No owner of the organization has a second factor yet, so this would shut every owner out. "
    "Let an owner set one up at /accounts/2fa/ first, then require it."
)
_KEY_ID = 1

TxtLookup = Callable[[str], list[str]]


def invalid(param: str, message: str) -> RouterError:
    """A value that is refused, by field."""
    return RouterError(422, "invalid_value", message, param=param)


def create_connection(
    organization_id: UUID, *, kind: str, details: Details, actor: Actor
) -> SsoConnection:
    """A new connection, without domains; raises ``RouterError`` (422) naming the field.

    Call it outside every scope: no transaction waits for the provider. 429 past so many a minute.
    """
    if kind not in set(SsoKind):
        raise invalid("kind", f"Choose one of: {', '.join(SsoKind)}.")
    details = asked(organization_id, kind, details)
    made = SsoConnection(id=new_id(), organization_id=organization_id, kind=kind)
    details = replace(details, required=False, name=details.name or "")
    _apply(made, replace(details, default_role=details.default_role or Role.MEMBER))
    _check_complete(made)
    with tenant_scope(organization_id):
        _check_room(organization_id)
    if kind == SsoKind.SAML:
        # A pair takes some tenths of a second: for what is sure to be kept alone, outside a
        # transaction, and not too often.
        keep_key_pair(made, paced(organization_id, new_key_pair, timezone.now()))
    with tenant_scope(organization_id):
        _check_room(organization_id)
        made.save(force_insert=True)
        audit.record_of(made, actor, "sso.create", after=_told(made))
    return made


def _check_room(organization_id: UUID) -> None:
    if SsoConnection.objects.filter(organization_id=organization_id).count() >= CONNECTIONS_MAX:
        raise invalid("kind", f"An organization has at most {CONNECTIONS_MAX} connections.")


def change_connection(
    organization_id: UUID,
    connection_id: UUID,
    *,
    details: Details,
    actor: Actor,
    match: str | None = None,
) -> SsoConnection:
    """Changes what is given of a connection; raises ``RouterError``: 404, or 422 by field.

    412 when ``match`` is given and is not ``connection_version``.

    Call it outside every scope: no transaction waits for the provider.
    """
    with tenant_scope(organization_id):
        found = connection_of(organization_id, connection_id)
    details = asked(organization_id, found.kind, details, issuer=found.issuer)
    with tenant_scope(organization_id):
        found = connection_of(organization_id, connection_id, lock=True)
        if match not in (None, connection_version(found)):
            raise changed_meanwhile()
        before = _told(found)
        _apply(found, details)
        _check_complete(found)
        proved = any(domain.verified_at for domain in found.domains.all())
        if found.required and not proved:
            raise invalid("required", "Prove an e-mail domain first, or nobody could sign in.")
        found.save()
        renewed = {"client_secret": "renewed"} if details.client_secret else {}
        audit.record_of(found, actor, "sso.update", before=before, after=_told(found) | renewed)
    return found


def delete_connection(organization_id: UUID, connection_id: UUID, *, actor: Actor) -> None:
    """Ends a connection; its people keep their accounts and sign in another way from then on."""
    with tenant_scope(organization_id):
        found = connection_of(organization_id, connection_id)
        audit.record_of(found, actor, "sso.delete", before=_told(found))
        SocialAccount.objects.filter(provider=str(found.id)).delete()
        found.delete()


def add_domain(
    organization_id: UUID, connection_id: UUID, *, domain: str, actor: Actor
) -> SsoDomain:
    """An e-mail domain that is still to be proved; raises ``RouterError``: 404, 409 or 422."""
    try:
        clean = clean_domain(domain)
    except ValueError as why:
        raise invalid("domain", str(why)) from None
    with tenant_scope(organization_id):
        found = connection_of(organization_id, connection_id)
        if found.domains.count() >= DOMAINS_MAX:
            raise invalid("domain", f"A connection has at most {DOMAINS_MAX} domains.")
        try:
            with transaction.atomic():
                added = SsoDomain.objects.create(
                    organization_id=organization_id,
                    connection=found,
                    domain=clean,
                    proof=os.urandom(16).hex(),
                )
        except IntegrityError:
            told = f"{clean} belongs to a connection already."
            raise RouterError(409, "already_exists", told, param="domain") from None
        audit.record_of(found, actor, "sso.add_domain", after={"domain": clean})
    return added


def remove_domain(
    organization_id: UUID, connection_id: UUID, domain_id: UUID, *, actor: Actor
) -> None:
    """Takes a domain from a connection; raises ``RouterError`` (404, 422 for the last needed)."""
    with tenant_scope(organization_id):
        found, domain = _domain_of(organization_id, connection_id, domain_id)
        others = [d for d in found.domains.all() if d.verified_at and d.id != domain.id]
        if found.required and domain.verified_at and not others:
            raise invalid("domain", "Single sign-on is required, and this is its last domain.")
        domain.delete()
        audit.record_of(found, actor, "sso.remove_domain", before={"domain": domain.domain})


def verify_domain(
    organization_id: UUID,
    connection_id: UUID,
    domain_id: UUID,
    *,
    actor: Actor,
    lookup: TxtLookup | None,
) -> SsoDomain:
    """Counts a domain as the organization's once its TXT record says so.

    Without ``lookup`` the operator vouches for it. Raises ``RouterError``: 404, 422 when the
    record is not there, 409 when another organization proved the domain, 503 without DNS. Call it
    outside every scope: no transaction waits for DNS.
    """
    with tenant_scope(organization_id):
        _, domain = _domain_of(organization_id, connection_id, domain_id)
    if lookup is not None:
        give_back()
        _look_for_proof(domain, lookup)
    with tenant_scope(organization_id):
        found, domain = _domain_of(organization_id, connection_id, domain_id)
        domain.verified_at = timezone.now()
        try:
            with transaction.atomic():
                domain.save(update_fields=["verified_at"])
        except IntegrityError:
            told = f"Another organization proved {domain.domain}. Ask the operator."
            raise RouterError(409, "domain_taken", told, param="domain") from None
        by = "dns" if lookup else "operator"
        after = {"domain": domain.domain, "by": by}
        audit.record_of(found, actor, "sso.verify_domain", after=after)
    return domain


def set_require_mfa(
    organization_id: UUID, *, require_mfa: bool, actor: Actor, match: str | None = None
) -> None:
    """Whether members need a second factor before they see any page.

    Raises ``RouterError``: 409 while no owner has one, because it would shut out everybody who can
    take it back; 412 when ``match`` is given and is not ``security_version``.
    """
    with tenant_scope(organization_id):
        organization = Organization.objects.select_for_update().get(id=organization_id)
        if match not in (None, security_version(organization)):
            raise changed_meanwhile()
        if organization.require_mfa == require_mfa:
            return
        if require_mfa and not _an_owner_has_second_factor(organization_id):
            raise RouterError(409, "second_factor_missing", NO_OWNER_HAS_ONE, param="require_mfa")
        organization.require_mfa = require_mfa
        organization.save(update_fields=["require_mfa"])
        audit.record(
            organization_id,
            actor,
            action="organization.require_mfa",
            kind="organization",
            object_id=organization_id,
            name=organization.name,
            before={"require_mfa": not require_mfa},
            after={"require_mfa": require_mfa},
        )


def _an_owner_has_second_factor(organization_id: UUID) -> bool:
    owners = Membership.objects.filter(organization_id=organization_id, role=Role.OWNER)
    return any(has_second_factor(one.user) for one in owners.select_related("user"))


def security_version(organization: Organization) -> str:
    """What tells how members sign in from how they did."""
    return version_of({"require_mfa": organization.require_mfa})


def connection_version(connection: SsoConnection) -> str:
    """What tells what a connection says from what it said."""
    return version_of(_told(connection) | {"certificate": connection.idp_certificate})


def connection_of(
    organization_id: UUID, connection_id: UUID, *, lock: bool = False
) -> SsoConnection:
    """One of the organization's connections; raises ``RouterError`` (404)."""
    rows = SsoConnection.objects.select_for_update() if lock else SsoConnection.objects.all()
    found = rows.filter(organization_id=organization_id, id=connection_id).first()
    if found is None:
        raise RouterError(404, "not_found", "There is no such connection.", param="id")
    return found


def open_client_secret(connection: SsoConnection) -> str:
    """The client secret, for the provider alone; "" where none is set."""
    if connection.secret_sealed is None:
        return ""
    keys = {_KEY_ID: settings.ENCRYPTION_KEY}
    return open_(keys, bytes(connection.secret_sealed), aad=_aad(connection)).decode()


def _apply(connection: SsoConnection, details: Details) -> None:
    if details.name is not None:
        connection.name = checked.line(details.name, "name", chars_max=40, needed=True)
    if details.default_role is not None:
        connection.default_role = checked.default_role(details.default_role)
    if details.required is not None:
        connection.required = details.required
    if connection.kind == SsoKind.OIDC:
        _apply_oidc(connection, details)
    else:
        _apply_saml(connection, details)


def _apply_oidc(connection: SsoConnection, details: Details) -> None:
    if details.issuer is not None:
        connection.issuer = details.issuer
        # The secret belongs to the provider that it was made by, and goes to no other.
        connection.secret_sealed = None
    if details.client_id is not None:
        connection.client_id = checked.line(details.client_id, "client_id", chars_max=191)
    if details.client_secret:
        secret = checked.line(details.client_secret, "client_secret", chars_max=400)
        connection.secret_sealed = seal(
            {_KEY_ID: settings.ENCRYPTION_KEY},
            secret.encode(),
            aad=_aad(connection),
            nonce=os.urandom(NONCE_BYTES),
        )


def _apply_saml(connection: SsoConnection, details: Details) -> None:
    if details.metadata:
        entity_id, sso_url, certificate = checked.metadata(details.metadata)
        details = replace(
            details, idp_entity_id=entity_id, idp_sso_url=sso_url, idp_certificate=certificate
        )
    if details.idp_entity_id is not None:
        connection.idp_entity_id = checked.line(
            details.idp_entity_id, "idp_entity_id", chars_max=400
        )
    if details.idp_sso_url:
        connection.idp_sso_url = checked.browser_address(details.idp_sso_url, "idp_sso_url")
    if details.idp_certificate:
        connection.idp_certificate = checked.certificate(details.idp_certificate)


def _check_complete(connection: SsoConnection) -> None:
    needed = (
        {"issuer": "Enter the issuer.", "client_id": "Enter the client ID."}
        if connection.kind == SsoKind.OIDC
        else {
            "idp_entity_id": "Enter the entity ID, or the provider's metadata.",
            "idp_sso_url": "Enter the sign-on address, or the provider's metadata.",
            "idp_certificate": "Enter the certificate, or the provider's metadata.",
        }
    )
    for name, told in needed.items():
        if not getattr(connection, name):
            raise invalid(name, told)
    if connection.kind == SsoKind.OIDC and connection.secret_sealed is None:
        raise invalid("client_secret", "Enter the client secret that belongs to this issuer.")


def _look_for_proof(domain: SsoDomain, lookup: TxtLookup) -> None:
    name = proof_name(domain.domain)
    try:
        records = paced(domain.organization_id, lookup, name)
    except LookupFailedError:
        told = "DNS does not answer here. The operator can run: manage sso verify-domain."
        raise RouterError(503, "dns_unavailable", told, param="domain") from None
    if proof_text(domain.proof) not in (record.strip() for record in records):
        told = f"There is no TXT record {name} with the value {proof_text(domain.proof)} yet."
        raise invalid("domain", told)


def _domain_of(
    organization_id: UUID, connection_id: UUID, domain_id: UUID
) -> tuple[SsoConnection, SsoDomain]:
    connection = connection_of(organization_id, connection_id)
    found = connection.domains.filter(organization_id=organization_id, id=domain_id).first()
    if found is None:
        raise RouterError(404, "not_found", "There is no such domain.", param="domain_id")
    return connection, found


def _aad(connection: SsoConnection) -> str:
    return f"tenancy_ssoconnection|secret|{connection.organization_id}|{connection.id}"


def _told(connection: SsoConnection) -> dict[str, Any]:
    names = ("name", "kind", "default_role", "required", "issuer", "client_id")
    return {name: getattr(connection, name) for name in (*names, "idp_entity_id", "idp_sso_url")}
