"""How far the open organization got, for the sidebar: one query a page."""

from __future__ import annotations

from typing import Any

from django import template

from routing.progress import NOTHING, Progress, progress_of
from tenancy.pages import Member
from tenancy.scope import tenant_scope

register = template.Library()


@register.simple_tag(takes_context=True)
def get_started(context: dict[str, Any], member: Member | None) -> Progress:
    """The member's first steps; ``shown`` tells whether the sidebar names them still."""
    if member is None:
        return NOTHING
    if getattr(context["request"], "in_scope", False):
        return progress_of(member.organization_id, member.user.id)
    # Pages of an account, and those of errors, are drawn outside every organization.
    with tenant_scope(member.organization_id):
        return progress_of(member.organization_id, member.user.id)
