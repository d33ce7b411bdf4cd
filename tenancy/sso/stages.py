"""The second factor as a step of signing in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.mfa.stages import AuthenticateStage

from tenancy.pages import memberships_of
from tenancy.sso.selectors import find_connection


class SecondFactorStage(AuthenticateStage):  # type: ignore[misc]
    """Asks for the second factor, unless the identity provider's own is all that is needed.

    That is so when the person belongs to no other organization than the provider's. Who does is
    asked, because the session opens the others too.
    """

    def handle(self) -> tuple[Any, bool]:
        """The page that asks, if any, and whether signing in goes on."""
        connection_id = connection_of(self.login.signal_kwargs)
        found = find_connection(str(connection_id)) if connection_id else None
        if found is not None:
            own = {member.organization_id for member in memberships_of(self.login.user)}
            if own <= {found.organization_id}:
                return None, True
        response, goes_on = super().handle()
        return response, goes_on


def connection_of(signal_kwargs: Any) -> UUID | None:
    """The connection that vouched for somebody who is signing in."""
    sociallogin = (signal_kwargs or {}).get("sociallogin")
    try:
        return UUID(sociallogin.account.provider) if sociallogin else None
    except ValueError:
        return None
