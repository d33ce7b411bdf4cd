"""How allauth signs people in here.

1. ``pre_login``: who must use their organization's single sign-on is led there.
2. ``post_login``: who came from there becomes a member, and a browser that was not used before is
   told of by mail.
"""

from __future__ import annotations

import logging
import os
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.internal.httpkit import HTTP_USER_AGENT_MAX_LENGTH
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from lib.secretbox import NONCE_BYTES, open_, seal
from tenancy.core import Role
from tenancy.mail import make_mail
from tenancy.models import User
from tenancy.pages import ORGANIZATION_IN_SESSION, memberships_of
from tenancy.sso.membership import join_by_sso
from tenancy.sso.selectors import Route, find_connection, route_of
from tenancy.sso.stages import connection_of
from tenancy.ways_in import SSO, addresses_of, note_sso

log = logging.getLogger(__name__)

_STAGES = {"allauth.mfa.stages.AuthenticateStage": "tenancy.sso.stages.SecondFactorStage"}
_TOTP_AAD = "mfa_authenticator|data"
_KEY_ID = 1


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up, sign-in and their messages."""

    error_messages: ClassVar[dict[str, Any]] = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "No account has this email address with this password.",
        "enter_current_password": "This is not your current password.",
        "incorrect_password": "This is not your password.",
        "duplicate_email": "This address is in your account already.",
        "cannot_remove_primary_email": "The primary address stays. Make another one primary first.",
        "unverified_primary_email": "Confirm the address first, then make it primary.",
        "too_many_login_attempts": "Too many attempts failed. Wait a few minutes, then try again.",
    }

    def render_mail(
        self,
        template_prefix: str,
        email: str,
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """allauth's message in our layout."""
        return make_mail(template_prefix, email, context)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends a message; a mail server that is down spoils no sign-in and no change."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as why:
            log.error("The mail server did not take %s: %s", template_prefix, why)  # noqa: TRY400
            told = "A message to you could not be sent. Try again in a few minutes."
            messages.error(self.request, told)

    def pre_login(
        self, request: HttpRequest, user: User, *, signal_kwargs: Any, **more: Any
    ) -> HttpResponse | None:
        """Where signing in goes on instead; None where it may go on here."""
        if stopped := super().pre_login(request, user, signal_kwargs=signal_kwargs, **more):
            return cast(HttpResponse, stopped)
        # Another primary address is no way around: the one of the organization cannot be removed.
        ways = _required_ways(user)
        # One of them is enough here; the pages of each organization ask for its own.
        came_by = connection_of(signal_kwargs)
        if not ways or came_by in {route.connection_id for _, route in ways}:
            return None
        address, route = ways[0]
        # An owner may get in should the provider fail.
        owned = (m.organization_id for m in memberships_of(user) if m.role is Role.OWNER)
        if route.organization_id in owned:
            return None
        messages.info(request, "Your organization signs in with single sign-on.")
        onward = more.get("redirect_url")
        query = {"email": address} | ({"next": onward} if onward else {})
        return HttpResponseRedirect(f"{SSO}?{urlencode(query)}")

    def get_login_stages(self) -> list[str]:
        """The steps of signing in; that of the second factor is ours."""
        return [_STAGES.get(stage, stage) for stage in super().get_login_stages()]

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """Not the address for which single sign-on is required."""
        route = route_of(email_address.email)
        if route is not None and route.required and email_address.verified:
            return False
        return bool(super().can_delete_email(email_address))

    def post_login(
        self, request: HttpRequest, user: User, *, signal_kwargs: Any, **more: Any
    ) -> HttpResponse:
        """The first page, after what signing in leads to."""
        connection_id = connection_of(signal_kwargs)
        connection = find_connection(str(connection_id)) if connection_id else None
        note_sso(request, connection.organization_id if connection else None)
        if connection is not None:
            join_by_sso(connection, user, source=self.get_client_ip(request))
            request.session[ORGANIZATION_IN_SESSION] = str(connection.organization_id)
        if _is_new_browser(request, user):
            self.send_notification_mail("account/email/new_sign_in", user)
        response = super().post_login(request, user, signal_kwargs=signal_kwargs, **more)
        return cast(HttpResponse, response)


def _required_ways(user: User) -> list[tuple[str, Route]]:
    """A user's addresses that must come by single sign-on, each with its way."""
    routes = ((address, route_of(address)) for address in addresses_of(user))
    return [(address, route) for address, route in routes if route is not None and route.required]


def _is_new_browser(request: HttpRequest, user: User) -> bool:
    """Whether the user was seen before, but never with this browser."""
    seen = UserSession.objects.filter(user_id=user.pk)
    agent = request.headers.get("User-Agent", "")[:HTTP_USER_AGENT_MAX_LENGTH]
    return seen.exists() and not seen.filter(user_agent=agent).exists()


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors: their secrets are sealed, and what is required cannot be put away."""

    error_messages: ClassVar = DefaultMFAAdapter.error_messages | {
        "cannot_delete_authenticator": "Your organization requires a second factor. Add another "
        "one first."
    }

    def get_totp_issuer(self) -> str:
        """What authenticator apps show beside the address."""
        return "Enterprise Router"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Not the last one that counts, while an organization of the user requires one."""
        user = authenticator.user
        counting = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
        others = Authenticator.objects.filter(user=user, type__in=counting)
        if others.exclude(pk=authenticator.pk).exists():
            return True
        return not any(member.requires_mfa for member in memberships_of(user))

    def encrypt(self, text: str) -> str:
        """The secret, sealed; a copy of the database alone makes no codes."""
        nonce = os.urandom(NONCE_BYTES)
        keys = {_KEY_ID: settings.ENCRYPTION_KEY}
        return seal(keys, text.encode(), aad=_TOTP_AAD, nonce=nonce).hex()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret; raises ``SecretError`` when it was altered or the key is another."""
        keys = {_KEY_ID: settings.ENCRYPTION_KEY}
        return open_(keys, bytes.fromhex(encrypted_text), aad=_TOTP_AAD).decode()
