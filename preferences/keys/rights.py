"""Who may hold, see and change which API keys.

Admins hold all keys of the organization. A member holds the keys that act for them, with the
scope of calls alone: a key of the admin scope would do what its member may not. A viewer changes
nothing, and sees the keys that act for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404

from tenancy.core import Role, Scope
from tenancy.key_selectors import key_of
from tenancy.models import ApiKey
from tenancy.pages import Member

MEMBER_SEES = "You see the keys that act for you. An admin sees all keys of the organization."
VIEWER_SEES = (
    "Your role is viewer: you see the keys that act for you and cannot change them. "
    "An admin can give you another role."
)


def holder_of(member: Member) -> UUID | None:
    """Whose keys a member sees; None for everybody's."""
    return None if member.may(Role.ADMIN) else member.user.id


def key_for(member: Member, key_id: UUID) -> ApiKey:
    """A key that the member sees; any other is not found."""
    key = key_of(member.organization_id, key_id, holder=holder_of(member))
    if key is None:
        raise Http404
    return key


def require_own(member: Member, *, scopes: Sequence[Scope], user_id: UUID | None) -> None:
    """Raises ``PermissionDenied`` when the member may not hold such a key."""
    member.require(Role.MEMBER)
    if member.may(Role.ADMIN):
        return
    if user_id != member.user.id:
        raise PermissionDenied("A member makes keys that act for themselves. Ask an admin.")
    if Scope.ADMIN in scopes:
        raise PermissionDenied("A key of the admin scope is made and changed by an admin.")


def require_change(member: Member, key: ApiKey) -> None:
    """Raises ``PermissionDenied`` when the member may not change the key or have its new secret."""
    require_own(member, scopes=[Scope(scope) for scope in key.scopes], user_id=key.user_id)


def why_narrow(member: Member) -> str:
    """What the page says to those who do not see every key."""
    if member.may(Role.ADMIN):
        return ""
    return MEMBER_SEES if member.may(Role.MEMBER) else VIEWER_SEES
