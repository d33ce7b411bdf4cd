"""Every address of the product outside /v1, which the gateway's own door answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import include, path


def home(request: HttpRequest) -> HttpResponseRedirect:
    """The dashboard."""
    return HttpResponseRedirect("/enterprise-router/")


urlpatterns = [
    path("", home),
    path("accounts/", include("allauth.account.urls")),
]
