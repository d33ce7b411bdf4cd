"""Every address of the product. The gateway's own door answers /v1 before Django sees it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import include, path

from project.api import api, v1
from project.api_docs import api_docs
from project.palette import palette
from project.rest import unknown_address
from tenancy.sso.start import (
    SamlMetadata,
    begin_github,
    begin_google,
    begin_openid,
    begin_saml,
    finish_openid,
    finish_saml,
    sign_out_by_provider,
    start,
)
from tenancy.views_sessions import end_session, sessions


def home(request: HttpRequest) -> HttpResponseRedirect:
    """The dashboard."""
    return HttpResponseRedirect("/enterprise-router/")


def api_home(request: HttpRequest) -> HttpResponseRedirect:
    """What there is under /api."""
    return HttpResponseRedirect("/api/docs")


urlpatterns = [
    path("", home),
    path("accounts/sso/", start, name="sso_start"),
    path("accounts/google/login/", begin_google),
    path("accounts/github/login/", begin_github),
    path("accounts/oidc/<uuid:provider_id>/login/", begin_openid),
    path("accounts/saml/<slug:organization_slug>/login/", begin_saml),
    path("accounts/saml/<slug:organization_slug>/metadata/", SamlMetadata.as_view()),
    path("accounts/oidc/<uuid:provider_id>/login/callback/", finish_openid),
    path("accounts/saml/<slug:organization_slug>/acs/finish/", finish_saml),
    path("accounts/saml/<slug:organization_slug>/sls/", sign_out_by_provider),
    path("accounts/sessions/", sessions),
    path("accounts/sessions/<int:session_id>/end", end_session, name="end_session"),
    path("accounts/", include("allauth.urls")),
    path("organization/", include("tenancy.sso.urls")),
    path("enterprise-router/", include("preferences.urls")),
    path("", include("tenancy.urls")),
    path("", include("analytics.urls")),
    path("", include("routing.urls")),
    path("palette", palette),
    path("", include("preferences.keys.urls")),
    path("", include("routing.providers.urls")),
    path("api/docs", api_docs),
    path("api/", api_home),
    path("api/", api.urls),
    path("api/<path:rest>", unknown_address),
    path("v1/", v1.urls),
]
