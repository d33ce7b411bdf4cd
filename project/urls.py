"""Every address of the product. The gateway's own door answers /v1 before Django sees it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import include, path

from project.api import api, v1
from project.palette import palette


def home(request: HttpRequest) -> HttpResponseRedirect:
    """The dashboard."""
    return HttpResponseRedirect("/enterprise-router/")


urlpatterns = [
    path("", home),
    path("accounts/", include("allauth.urls")),
    path("enterprise-router/", include("preferences.urls")),
    path("", include("tenancy.urls")),
    path("", include("analytics.urls")),
    path("", include("routing.urls")),
    path("palette", palette),
    path("", include("preferences.keys.urls")),
    path("api/", api.urls),
    path("v1/", v1.urls),
]
