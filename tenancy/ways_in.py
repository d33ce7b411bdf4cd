"""Which way a session came in, and what an organization asks of it before its pages open.

1. Who came by an organization's single sign-on has passed what its provider asks; for the pages of
   that organization, and of no other, nothing more is asked.
2. Where single sign-on is required, a session that came another way goes there first, also one
   that is older than the rule. Owners may get in should the provider fail.
3. Where a second factor is required, a session that has not shown one does so first, also one
   that is older than the rule or the factor. So does one that another organization's provider let
   in, wherever the person has a second factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.http import HttpRequest

from tenancy.core import Role
from tenancy.models import User
from tenancy.sso.core import domain_of

if TYPE_CHECKING:
    from tenancy.pages import Member

ENROLL = "/accounts/2fa/"
SSO = "/accounts/sso/"
_IN_SESSION = "came-by-sso"
_COUNTING = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


def has_second_factor(user: User) -> bool:
    """Whether signing in asks the user for more than a password."""
    return bool(is_mfa_enabled(user, _COUNTING))


def note_sso(request: HttpRequest, organization_id: UUID | None) -> None:
    """Keeps whose single sign-on this session came by; None for any other way."""
    request.session[_IN_SESSION] = str(organization_id) if organization_id else None


def came_by_sso_of(request: HttpRequest) -> UUID | None:
    """The organization whose single sign-on the session came by."""
    found = request.session.get(_IN_SESSION)
    return UUID(found) if found else None


def addresses_of(user: User) -> list[str]:
    """The user's addresses that were confirmed, their own first."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True)
    return list(dict.fromkeys([user.email, *confirmed.values_list("email", flat=True)]))


def detour(request: HttpRequest, member: Member, *, back_to: str) -> str | None:
    """Where the session must go before the organization's pages open; None where they do."""
    came_by = came_by_sso_of(request)
    if came_by == member.organization_id:
        return None
    if member.sso_domains and member.role is not Role.OWNER:
        for address in addresses_of(member.user):
            if domain_of(address) in member.sso_domains:
                return f"{SSO}?{urlencode({'email': address, 'next': back_to})}"
    if came_by is None and not member.requires_mfa:
        return None
    if not has_second_factor(member.user):
        return ENROLL if member.requires_mfa else None
    if _showed_second_factor(request, member.user):
        return None
    return f"{_second_factor_form(member.user)}?{urlencode({'next': back_to})}"


def say_why(request: HttpRequest, member: Member, way: str) -> None:
    """Tells on the page that a detour leads to why it does; enrolling says so by itself."""
    if way.startswith(SSO):
        messages.info(request, f"{member.organization} signs in with single sign-on.")
    elif way != ENROLL:
        told = f"{member.organization} asks for your own second factor."
        came = "You came in by another organization's single sign-on."
        if came_by_sso_of(request) is None:
            came = "You signed in here without it."
        messages.info(request, f"{told} {came}")


def connect() -> None:
    """Listens for second factors that are set up; called once, at start."""
    authenticator_added.connect(_note_second_factor, dispatch_uid="note_second_factor")


def _note_second_factor(
    request: HttpRequest, user: User, authenticator: Authenticator, **more: Any
) -> None:
    """Setting one up proves it: asking for the next code at once would only annoy."""
    if authenticator.type in _COUNTING:
        record_authentication(
            request, user, method="mfa", id=authenticator.pk, type=authenticator.type
        )


def _showed_second_factor(request: HttpRequest, user: User) -> bool:
    return any(one["method"] == "mfa" for one in get_authentication_records(request, user))


def _second_factor_form(user: User) -> str:
    ways = get_adapter().get_reauthentication_methods(user)
    return next(str(way["url"]) for way in ways if way["id"].startswith("mfa_"))
