"""The page about how members sign in: second factors and single sign-on.

Every form is a plain POST that leads back to its section; a refused value shows the page again
with the message beside its field.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import resolve, reverse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_http_methods, require_POST

from lib.errors import RouterError
from tenancy.confirm import confirm_identity
from tenancy.core import Role, SsoKind
from tenancy.models import SsoConnection
from tenancy.pages import (
    MemberRequest,
    member_page,
    render_page,
    waiting_page,
)
from tenancy.scope import tenant_scope
from tenancy.sso import services
from tenancy.sso.core import proof_name, proof_text
from tenancy.sso.details import details_from
from tenancy.sso.selectors import connections
from tenancy.ways_in import has_second_factor

_PAGE = "tenancy/security.html"
_FORM = "tenancy/sso_connection.html"
_ROLES = ("viewer", "member", "admin")


@require_http_methods(["GET", "POST"])
@member_page
def security(request: MemberRequest) -> HttpResponse:
    """Second factors and single sign-on; POST changes whether second factors are required."""
    if request.method == "POST":
        _check_may_change(request)
        required = request.POST.get("require_mfa") == "on"
        try:
            services.set_require_mfa(
                request.member.organization_id,
                require_mfa=required,
                actor=request.member.actor(request),
            )
        except RouterError as why:
            return _page(request, why=why)
        told = "now need" if required else "no longer need"
        messages.success(request, f"Members {told} a second factor.")
        return HttpResponseRedirect(reverse("organization_security"))
    return _page(request)


@require_http_methods(["GET", "POST"])
@waiting_page
def create(request: MemberRequest) -> HttpResponse:
    """The form of a new connection, of the kind in the query; POST makes it."""
    _check_may_change(request)
    given = request.POST if request.method == "POST" else request.GET
    kind = given.get("kind", SsoKind.OIDC)
    if request.method == "GET":
        return _form(request, kind, {"default_role": Role.MEMBER})
    try:
        made = services.create_connection(
            request.member.organization_id,
            kind=kind,
            details=details_from(_given(request)),
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _form(request, kind, _given(request), why=why)
    messages.success(request, f"{made.name} is connected. Now add the domains of your addresses.")
    return HttpResponseRedirect(_section(made.id))


@require_http_methods(["GET", "POST"])
@waiting_page
def change(request: MemberRequest, connection_id: UUID) -> HttpResponse:
    """The form of a connection; POST changes what it holds."""
    _check_may_change(request)
    with tenant_scope(request.member.organization_id):
        found = _connection(request, connection_id)
    if request.method == "GET":
        return _form(request, found.kind, found.__dict__, connection=found)
    try:
        given = _given(request) | {"required": request.POST.get("required") == "on"}
        services.change_connection(
            request.member.organization_id,
            connection_id,
            details=details_from(given),
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _form(request, found.kind, given, why=why, connection=found)
    messages.success(request, "Saved.")
    return HttpResponseRedirect(_section(connection_id))


@require_POST
@member_page
def delete(request: MemberRequest, connection_id: UUID) -> HttpResponse:
    """Ends a connection."""
    _check_may_change(request)
    found = _connection(request, connection_id)
    services.delete_connection(
        request.member.organization_id, connection_id, actor=request.member.actor(request)
    )
    messages.success(request, f"{found.name} was removed.")
    return HttpResponseRedirect(reverse("organization_security"))


@require_POST
@member_page
def add_a_domain(request: MemberRequest, connection_id: UUID) -> HttpResponse:
    """Adds an e-mail domain, still to be proved."""
    _check_may_change(request)
    _connection(request, connection_id)
    domain = request.POST.get("domain", "")
    try:
        services.add_domain(
            request.member.organization_id,
            connection_id,
            domain=domain,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _page(request, why=why, connection_id=connection_id, domain=domain)
    return HttpResponseRedirect(_section(connection_id))


@require_POST
@waiting_page
def verify(request: MemberRequest, connection_id: UUID, domain_id: UUID) -> HttpResponse:
    """Looks for a domain's TXT record."""
    _check_may_change(request)
    lookup: services.TxtLookup = import_string(settings.SSO_TXT_LOOKUP)
    try:
        proved = services.verify_domain(
            request.member.organization_id,
            connection_id,
            domain_id,
            actor=request.member.actor(request),
            lookup=lookup,
        )
    except RouterError as why:
        if why.status == HTTPStatus.NOT_FOUND:
            raise Http404 from None
        with tenant_scope(request.member.organization_id):
            return _page(request, why=why, connection_id=connection_id, domain_id=domain_id)
    messages.success(request, f"{proved.domain} is proved. Its people can sign in now.")
    return HttpResponseRedirect(_section(connection_id))


@require_POST
@member_page
def remove(request: MemberRequest, connection_id: UUID, domain_id: UUID) -> HttpResponse:
    """Takes a domain away."""
    _check_may_change(request)
    try:
        services.remove_domain(
            request.member.organization_id,
            connection_id,
            domain_id,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        if why.status == HTTPStatus.NOT_FOUND:
            raise Http404 from None
        return _page(request, why=why, connection_id=connection_id, domain_id=domain_id)
    return HttpResponseRedirect(_section(connection_id))


def _check_may_change(request: MemberRequest) -> None:
    """Raises ``PermissionDenied`` (403), or the way to confirm: this decides who gets in."""
    request.member.require(Role.ADMIN)
    is_form = resolve(request.path).url_name in ("sso_create", "sso_change")
    confirm_identity(request, back_to="" if is_form else reverse("organization_security"))


def _page(
    request: MemberRequest, *, why: RouterError | None = None, **context: Any
) -> HttpResponse:
    member = request.member
    found = [_shown(one) for one in connections(member.organization_id)]
    context |= {
        "title": "Sign-in and security",
        "member": member,
        "editable": member.may(Role.ADMIN),
        "has_second_factor": has_second_factor(member.user),
        "connections": found,
        "why": why,
    }
    return render_page(request, _PAGE, context, status=why.status if why else HTTPStatus.OK)


def _shown(connection: SsoConnection) -> dict[str, Any]:
    """A connection with what its provider and its DNS must be told."""
    domains = [
        {
            "domain": one,
            "proof_name": proof_name(one.domain),
            "proof_text": proof_text(one.proof),
        }
        for one in connection.domains.all()
    ]
    return {"connection": connection, "domains": domains, **own_addresses(connection)}


def own_addresses(connection: SsoConnection) -> dict[str, str]:
    """Our addresses that the provider must be told, by name."""
    name = str(connection.id)
    site = settings.PUBLIC_URL
    if connection.kind == SsoKind.OIDC:
        return {"redirect_uri": site + reverse("openid_connect_callback", args=[name])}
    metadata = site + reverse("saml_metadata", args=[name])
    return {
        "acs_url": site + reverse("saml_acs", args=[name]),
        "sp_entity_id": metadata,
        "sp_metadata_url": metadata,
    }


def _form(
    request: MemberRequest,
    kind: str,
    values: dict[str, Any],
    *,
    why: RouterError | None = None,
    connection: SsoConnection | None = None,
) -> HttpResponse:
    if kind not in set(SsoKind):
        raise Http404
    context = {
        "title": "Single sign-on",
        "kind": kind,
        "values": values,
        "why": why,
        "roles": _ROLES,
        "connection": connection,
        "proved": connection is not None
        and any(domain.verified_at for domain in connection.domains.all()),
    }
    return render_page(request, _FORM, context, status=why.status if why else HTTPStatus.OK)


def _given(request: MemberRequest) -> dict[str, Any]:
    return {name: value for name, value in request.POST.items() if isinstance(value, str)} | {
        "required": None
    }


def _connection(request: MemberRequest, connection_id: UUID) -> SsoConnection:
    found = connections(request.member.organization_id).filter(id=connection_id).first()
    if found is None:
        raise Http404
    return found


def _section(connection_id: UUID) -> str:
    return f"{reverse('organization_security')}#sso-{connection_id}"
