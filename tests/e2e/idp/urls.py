"""The provider's addresses, and one for tests to register our side at it."""

from __future__ import annotations

import json

from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Client
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def register(request: HttpRequest) -> HttpResponse:
    """A client with its redirect address, and people with their password."""
    told = json.loads(request.body)
    Client.objects.update_or_create(
        id=told["client_id"],
        defaults={
            "name": "Enterprise Router",
            "secret": make_password(told["client_secret"]),
            "redirect_uris": told["redirect_uri"],
            "scopes": "openid\nprofile\nemail",
        },
    )
    for email, password in told["people"].items():
        user = User.objects.create_user(email, email, password, first_name="Erin", last_name="Ek")
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return HttpResponse("ok")


urlpatterns = [
    path("register", register),
    path("accounts/", include("allauth.account.urls")),
    path("", include("allauth.idp.urls")),
]
