"""The way to an identity provider: an address first, then its domain's provider, or the operator's.

1. It begins with a form of ours, so that no other site signs anybody in: a link to one of these
   addresses shows the form.
2. The page that follows leads on by itself, but not by a redirect: the content policy lets no form
   end at another host.
"""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.core.internal import ratelimit
from allauth.socialaccount.providers.base.provider import Provider
from allauth.socialaccount.providers.github.views import oauth2_login as github_login
from allauth.socialaccount.providers.google.views import oauth2_login as google_login
from allauth.socialaccount.providers.openid_connect.views import callback as openid_callback
from allauth.socialaccount.providers.openid_connect.views import login as openid_login
from allauth.socialaccount.providers.saml.views import MetadataView, finish_acs, sls
from allauth.socialaccount.providers.saml.views import login as saml_login
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from lxml.etree import LxmlError
from requests import RequestException
from xmlsec import Error as XmlSecError

from tenancy.core import SsoKind
from tenancy.sso.core import domain_of
from tenancy.sso.selectors import find_connection, route_of

_RATES = {"sso": "30/m/ip"}


@require_http_methods(["GET", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Asks for an address; leads to the provider of its domain."""
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
    begin = begin_openid if found.kind == SsoKind.OIDC else begin_saml
    return begin(request, str(found.id))


def begin_openid(request: HttpRequest, provider_id: UUID | str) -> HttpResponse:
    """To an OpenID provider; one that does not answer is told of."""
    try:
        return _led_on(request, openid_login(request, str(provider_id)))
    except (RequestException, LookupError):
        return _failed(request)


def begin_saml(request: HttpRequest, organization_slug: str) -> HttpResponse:
    """To a SAML provider."""
    return _led_on(request, saml_login(request, organization_slug=organization_slug))


def begin_google(request: HttpRequest) -> HttpResponse:
    """To Google, where the operator set it up."""
    return _led_on(request, google_login(request))


def begin_github(request: HttpRequest) -> HttpResponse:
    """To GitHub, where the operator set it up."""
    return _led_on(request, github_login(request))


def finish_openid(request: HttpRequest, provider_id: UUID) -> HttpResponse:
    """An OpenID provider's answer; what misses a part is refused like what is wrong."""
    try:
        response: HttpResponse = openid_callback(request, str(provider_id))
    except (RequestException, LookupError, ValueError, TypeError):
        return _failed(request)
    return response


class SamlMetadata(MetadataView):  # type: ignore[misc]
    """What a SAML provider must know of us, with the key to encrypt for."""

    def get_provider(self, organization_slug: str) -> Provider:
        """The connection; only who asks for encryption has its key in the metadata."""
        found: Provider = super().get_provider(organization_slug)
        advanced = found.app.settings["advanced"]
        advanced["want_assertion_encrypted"] = "private_key" in advanced
        return found


@csrf_exempt
def finish_saml(request: HttpRequest, organization_slug: str) -> HttpResponse:
    """A SAML provider's answer; what cannot be read is refused like what is not signed."""
    try:
        response: HttpResponse = finish_acs(request, organization_slug=organization_slug)
    except (ValueError, LxmlError, XmlSecError):
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


def _led_on(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """The page that leads to where allauth's answer would, or that answer itself."""
    if not isinstance(answer, HttpResponseRedirect):
        return answer
    context = {"address": answer.url, "host": urlsplit(answer.url).hostname}
    return render(request, "account/sso_go.html", context)
