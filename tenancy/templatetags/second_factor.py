"""Which organizations wait for a second factor."""

from __future__ import annotations

from typing import Any

from django import template

from tenancy.models import User
from tenancy.pages import memberships_of
from tenancy.ways_in import came_by_sso_of, has_second_factor

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_for_second_factor(context: dict[str, Any], user: User) -> list[str]:
    """Names of the user's organizations whose pages are closed until one is set up."""
    if has_second_factor(user):
        return []
    here = came_by_sso_of(context["request"])
    found = [one for one in memberships_of(user) if one.organization_id != here]
    return [member.organization for member in found if member.requires_mfa]
