"""The rule that every organization has an owner, and who may make one.

1. Every change of members first locks the organization's row, so that they come one by one.
2. Under that lock no change may leave an organization without an owner.
"""

from __future__ import annotations

from uuid import UUID

from lib.errors import RouterError
from tenancy.core import Role, may
from tenancy.models import Membership, Organization


def lock_members(organization_id: UUID) -> None:
    """Holds off other changes of the organization's members until the transaction ends.

    Raises ``RouterError`` (404) when the organization is gone. Needs the scope.
    """
    # No key: rows that refer to the organization are checked at commit, and need not wait.
    rows = Organization.objects.select_for_update(no_key=True).filter(id=organization_id)
    if not rows.values_list("id", flat=True).first():
        raise RouterError(404, "not_found", "There is no such organization.")


def is_only_owner(member: Membership) -> bool:
    """Whether the organization has no other owner. Needs the scope."""
    if member.role != Role.OWNER:
        return False
    owners = Membership.objects.filter(organization_id=member.organization_id, role=Role.OWNER)
    return not owners.exclude(id=member.id).exists()


def keep_an_owner(member: Membership) -> None:
    """Raises ``RouterError`` (409) when the member is the only owner. Call it under the lock."""
    if is_only_owner(member):
        raise RouterError(
            409,
            "last_owner",
            "This is the only owner, and an organization needs one. Make somebody else an "
            "owner first.",
            param="role",
        )


def may_give(by: Role, *roles: Role | str) -> bool:
    """Whether ``by`` may give and take each of the roles."""
    return may(by, _needed_to_give(*roles))


def check_may_give(by: Role, *roles: Role | str) -> None:
    """Raises ``RouterError`` (403) unless ``by`` may give and take each of the roles."""
    if not may_give(by, *roles):
        needed = _needed_to_give(*roles)
        raise RouterError(
            403,
            "role_missing",
            "Only an owner makes or unmakes owners."
            if needed is Role.OWNER
            else "Only admins and owners change members.",
            type="permission_error",
            param="role",
        )


def _needed_to_give(*roles: Role | str) -> Role:
    return Role.OWNER if Role.OWNER in roles else Role.ADMIN
