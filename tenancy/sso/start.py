"""The way to an organization's identity provider: an address first, then its domain's provider."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.core.internal import ratelimit
from allauth.socialaccount.providers.openid_connect.views import callback as openid_callback
from allauth.socialaccount.providers.openid_connect.views import login as openid_login
from allauth.socialaccount.providers.saml.views import finish_acs, sls
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from lxml.etree import LxmlError
from requests import RequestException

from tenancy.core import SsoKind
from tenancy.models import SsoConnection
from tenancy.sso.core import domain_of
from tenancy.sso.selectors import find_connection, route_of

_RATES = {"sso": "30/m/ip"}


@require_http_methods(["GET", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Asks for an address; leads to the provider of its domain.

    The page that leads on does so by itself, but not by a redirect: the content policy lets no
    form end at another host.
    """
    if not ratelimit.consume(request, app="tenancy", action="sso", config=_RATES):
        limited: HttpResponse = ratelimit.respond_429(request)
        return limited
    given = request.POST if request.method == "POST" else request.GET
    email = given.get("email", "").strip()[:254]
    onward = given.get("next", "")
    context: dict[str, Any] = {
        "email": email,
        "next": onward if get_adapter().is_safe_url(onward) else "",
    }
    if request.method == "GET":
        return render(request, "account/sso.html", context)
    domain = domain_of(email)
    route = route_of(email)
    found = find_connection(str(route.connection_id)) if route else None
    if found is None:
        context["error"] = (
            f"No organization here signs in {domain} by single sign-on. Use another way below."
            if domain
            else "Enter an email address, such as name@example.com."
        )
        return render(request, "account/sso.html", context, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    context |= {"connection": found, "address": _login_address(found, context["next"])}
    return render(request, "account/sso_go.html", context)


def begin_openid(request: HttpRequest, provider_id: UUID) -> HttpResponse:
    """To an OpenID provider; one that does not answer is told of."""
    try:
        response: HttpResponse = openid_login(request, str(provider_id))
    except (RequestException, LookupError):
        return _failed(request)
    return response


def finish_openid(request: HttpRequest, provider_id: UUID) -> HttpResponse:
    """An OpenID provider's answer; what misses a part is refused like what is wrong."""
    try:
        response: HttpResponse = openid_callback(request, str(provider_id))
    except (RequestException, LookupError, ValueError, TypeError):
        return _failed(request)
    return response


@csrf_exempt
def finish_saml(request: HttpRequest, organization_slug: str) -> HttpResponse:
    """A SAML provider's answer; what is no XML is refused like what is not signed."""
    try:
        response: HttpResponse = finish_acs(request, organization_slug=organization_slug)
    except (ValueError, LxmlError):
        return _failed(request)
    return response


@csrf_exempt
def sign_out_by_provider(request: HttpRequest, organization_slug: str) -> HttpResponse:
    """A SAML provider's wish to sign somebody out, which counts when it is signed.

    Without a signature anybody's link would sign out whoever opens it.
    """
    if "Signature" not in request.GET:
        return HttpResponseBadRequest("This is not signed.", content_type="text/plain")
    try:
        response: HttpResponse = sls(request, organization_slug=organization_slug)
    except (ValueError, LxmlError, zlib.error):
        return HttpResponseBadRequest("This is no SAML message.", content_type="text/plain")
    return response


def _failed(request: HttpRequest) -> HttpResponse:
    page = "socialaccount/authentication_error.html"
    return render(request, page, status=HTTPStatus.UNAUTHORIZED)


def _login_address(connection: SsoConnection, onward: str) -> str:
    """Where allauth begins, on this host."""
    if connection.kind == SsoKind.OIDC:
        address = reverse("openid_connect_login", args=[str(connection.id)])
    else:
        address = reverse("saml_login", args=[str(connection.id)])
    return f"{address}?{urlencode({'next': onward})}" if onward else address
