"""How allauth signs people in here: its mail in our layout, and its secrets sealed."""

from __future__ import annotations

import os
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.core.mail import EmailMessage

from lib.secretbox import NONCE_BYTES, open_, seal
from tenancy.mail import make_mail

_TOTP_AAD = "mfa_authenticator|data"
_KEY_ID = 1


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up, sign-in and their messages."""

    def render_mail(
        self,
        template_prefix: str,
        email: str,
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """allauth's message in our layout."""
        return make_mail(template_prefix, email, context)


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors: their secrets are sealed, and what is required cannot be put away."""

    def get_totp_issuer(self) -> str:
        """What authenticator apps show beside the address."""
        return "Enterprise Router"

    def encrypt(self, text: str) -> str:
        """The secret, sealed; a copy of the database alone makes no codes."""
        nonce = os.urandom(NONCE_BYTES)
        keys = {_KEY_ID: settings.ENCRYPTION_KEY}
        return seal(keys, text.encode(), aad=_TOTP_AAD, nonce=nonce).hex()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret; raises ``SecretError`` when it was altered or the key is another."""
        keys = {_KEY_ID: settings.ENCRYPTION_KEY}
        return open_(keys, bytes.fromhex(encrypted_text), aad=_TOTP_AAD).decode()
