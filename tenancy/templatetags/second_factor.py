"""Which organizations wait for a second factor."""

from __future__ import annotations

from django import template

from tenancy.models import User
from tenancy.pages import has_second_factor, memberships_of

register = template.Library()


@register.simple_tag
def waiting_for_second_factor(user: User) -> list[str]:
    """Names of the user's organizations whose pages are closed until one is set up."""
    if has_second_factor(user):
        return []
    return [member.organization for member in memberships_of(user) if member.requires_mfa]
