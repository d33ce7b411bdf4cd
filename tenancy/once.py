"""A secret between its making and the one page that shows it: sealed in the session, then gone."""

from __future__ import annotations

import base64
import os
import time
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from lib.secretbox import SecretError, open_, seal

SHOWN_WITHIN_S = 600.0
_NAME = "shown-once"
_KEY_ID = 1


def keep_for_next_page(request: HttpRequest, organization_id: UUID, secret: str) -> None:
    """Keeps a secret for the page that the browser is sent to next."""
    sealed = seal(
        {_KEY_ID: settings.ENCRYPTION_KEY},
        secret.encode(),
        aad=_aad(organization_id),
        nonce=os.urandom(12),
    )
    request.session[_NAME] = {
        "organization": organization_id.hex,
        "sealed": base64.b64encode(sealed).decode(),
        "at_s": time.time(),
    }


def take(request: HttpRequest, organization_id: UUID) -> str | None:
    """The secret that was kept, once; None afterwards, and ten minutes after it was made."""
    if _NAME not in request.session:
        return None
    kept = request.session.pop(_NAME)
    is_ours = kept["organization"] == organization_id.hex
    if not is_ours or time.time() - kept["at_s"] > SHOWN_WITHIN_S:
        return None
    try:
        sealed = base64.b64decode(kept["sealed"])
        keys = {_KEY_ID: settings.ENCRYPTION_KEY}
        return open_(keys, sealed, aad=_aad(organization_id)).decode()
    except SecretError:
        return None


def _aad(organization_id: UUID) -> str:
    return f"session|{_NAME}|{organization_id}"
