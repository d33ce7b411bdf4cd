"""Which sign-in providers there are."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.http import Http404, HttpRequest


class NotOfferedError(Http404, SocialApp.DoesNotExist):  # type: ignore[misc]
    """A way to sign in that does not exist here; its addresses answer 404."""


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Google and GitHub where the operator configured them."""

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """The one provider of that name; raises ``NotOfferedError``."""
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist:
            raise NotOfferedError from None
