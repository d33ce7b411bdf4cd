"""The first page after signing up: an organization, ready for its first call."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from catalog.services import connect_sandbox
from lib.errors import RouterError
from tenancy.core import Scope
from tenancy.models import User
from tenancy.once import keep_for_next_page
from tenancy.pages import HOME, ORGANIZATION_IN_SESSION, actor_of, memberships_of
from tenancy.services import create_key, create_organization
from tenancy.zones import regions

KEY_NAME = "first key"
GET_STARTED = "/get-started"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def new_organization(request: HttpRequest) -> HttpResponse:
    """Asks for name and time zone; then Get started shows the first API key, this once.

    A member of an organization makes one more with ``?another=1``.

    Where the operator runs the sandbox, its models are connected, so that the key works at once.
    """
    user = cast(User, request.user)
    if memberships_of(user) and "another" not in request.GET:
        return HttpResponseRedirect(HOME)
    typed = {
        "name": request.POST.get("name", ""),
        "time_zone": request.POST.get("time_zone", "UTC"),
    }
    if request.method == "POST":
        try:
            made, secret = _create(user, request, **typed)
        except RouterError as why:
            return _form(request, typed, refused=why)
        keep_for_next_page(request, made, secret)
        request.session[ORGANIZATION_IN_SESSION] = str(made)
        return HttpResponseRedirect(GET_STARTED)
    return _form(request, typed)


@transaction.atomic
def _create(user: User, request: HttpRequest, *, name: str, time_zone: str) -> tuple[UUID, str]:
    """The new organization and the secret of its first key."""
    actor = actor_of(user, request)
    made = create_organization(name=name, owner=user, actor=actor, time_zone=time_zone)
    if settings.SANDBOX_URL:
        connect_sandbox(made.id, base_url=settings.SANDBOX_URL, actor=actor)
    # It goes into snippets and programs: calls alone, no settings.
    key = create_key(made.id, name=KEY_NAME, scopes=[Scope.GATEWAY], actor=actor, user=user)
    return made.id, key.secret


def _form(
    request: HttpRequest, typed: dict[str, str], *, refused: RouterError | None = None
) -> HttpResponse:
    context = {
        **typed,
        "zones": regions(typed["time_zone"], timezone.now()),
        "errors": {refused.param: refused.message} if refused else {},
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK
    return render(request, "start/organization.html", context, status=status)
