"""What a link in an invitation opens: join, or how to become somebody who can."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from lib.errors import RouterError
from tenancy.invitations import Offer, accept, offer_of
from tenancy.pages import HOME, ORGANIZATION_IN_SESSION, actor_of


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Shows an invitation (GET) or accepts it (POST); a token that never was is not found.

    Whoever has no account yet, or is not signed in, comes back here after that.
    """
    offer = offer_of(token)
    if offer is None:
        return _page(request, None, status=HTTPStatus.NOT_FOUND)
    if offer.why_not:
        return _page(request, offer, status=HTTPStatus.GONE)
    if not request.user.is_authenticated:
        if request.method == "POST":
            query = urlencode({"next": request.path})
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?{query}")
        return _ask_to_sign_in(request, offer)
    user = request.user
    if not offer.is_for(user):
        return _page(request, offer, status=HTTPStatus.FORBIDDEN)
    if request.method != "POST":
        return _page(request, offer, is_theirs=True)
    try:
        member = accept(offer, user, actor=actor_of(user, request))
    except RouterError as why:
        return _page(request, offer_of(token), refused=why.message, status=why.status)
    request.session[ORGANIZATION_IN_SESSION] = str(offer.organization_id)
    messages.success(request, f"Welcome to {offer.organization}. Your role is {member.role}.")
    return HttpResponseRedirect(HOME)


def _ask_to_sign_in(request: HttpRequest, offer: Offer) -> HttpResponse:
    """The ways in; who came by the mail's link has shown that the address is theirs."""
    if not settings.EMAIL_CONSOLE:
        get_adapter(request).stash_verified_email(request, offer.invitation.email)
    back = {"next": request.path}
    new = {**back, "email": offer.invitation.email}
    return _page(
        request,
        offer,
        sign_up=f"{reverse('account_signup')}?{urlencode(new)}",
        sign_in=f"{reverse('account_login')}?{urlencode(back)}",
    )


def _page(
    request: HttpRequest, offer: Offer | None, *, status: int = HTTPStatus.OK, **more: object
) -> HttpResponse:
    context = {"offer": offer, "here": request.path, **more}
    return render(request, "members/invitation.html", context, status=status)
