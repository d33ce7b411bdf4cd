"""Changes of who belongs to an organization; each under the lock, audited and announced."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.utils import timezone

from lib.errors import RouterError
from tenancy import audit
from tenancy.core import Actor, Role, Scope, may
from tenancy.invitations import withdraw_those_of
from tenancy.models import ApiKey, FormerMember, Membership, User
from tenancy.owners import check_may_give, keep_an_owner, lock_members
from tenancy.scope import tenant_scope
from tenancy.versions import check_version, version_of


def set_role(
    organization_id: UUID,
    member_id: UUID,
    role: Role,
    *,
    by: Role,
    actor: Actor,
    seen: Role | None = None,
    match: str | None = None,
) -> Membership:
    """Gives a member another role; ``by`` is the role of whoever asks, ``seen`` what they saw.

    Who is no admin any more loses the keys of the admin scope that act for them, and whoever may
    no longer give a role the invitations to it.
    Raises ``RouterError``: 404 for no member, 403 without the right, 409 for the only owner or
    when somebody else changed the role since it was seen, 412 when ``match`` is given and is not
    ``member_version``.
    """
    with tenant_scope(organization_id):
        _lock_keys(_member(organization_id, member_id))
        lock_members(organization_id)
        member = _member(organization_id, member_id)
        check_version(_told(member), match)
        check_may_give(by, member.role, role)
        if seen is not None and member.role != seen:
            raise RouterError(
                409,
                "changed_meanwhile",
                f"Somebody made this member {member.role} meanwhile. Look again, then choose.",
                param="role",
            )
        if role is not Role.OWNER:
            keep_an_owner(member)
        if not may(role, Role.ADMIN):
            _revoke_keys(member, actor, scopes__contains=[Scope.ADMIN.value])
        _give(member, role, actor)
    return member


def member_version(member: Membership) -> str:
    """What tells a member's role from what it was."""
    return version_of(_told(member))


def remove_member(organization_id: UUID, member_id: UUID, *, by: Role, actor: Actor) -> int:
    """Ends a membership from the next request on, with the keys that act for the member.

    Their open invitations end too. How many keys were revoked. Raises as ``set_role``.
    """
    with tenant_scope(organization_id):
        member = _member(organization_id, member_id)
        _lock_keys(member)
        lock_members(organization_id)
        member = _member(organization_id, member_id)
        check_may_give(by, member.role)
        return _end(member, "member.remove", actor)


def leave(organization_id: UUID, user: User, *, actor: Actor) -> int:
    """Ends one's own membership, and the keys that act for one; how many.

    Raises ``RouterError``: 404 without a membership, 409 for the only owner.
    """
    with tenant_scope(organization_id):
        member = _own(organization_id, user)
        _lock_keys(member)
        lock_members(organization_id)
        return _end(_own(organization_id, user), "member.leave", actor)


def transfer_ownership(
    organization_id: UUID, member_id: UUID, *, owner: User, actor: Actor
) -> Membership:
    """Makes a member an owner and the giver an admin, both or neither.

    Raises ``RouterError``: 404 for no member, 403 when the giver is no owner, 409 to oneself.
    """
    with tenant_scope(organization_id):
        lock_members(organization_id)
        giver = _own(organization_id, owner)
        check_may_give(Role(giver.role), Role.OWNER)
        taker = _member(organization_id, member_id)
        if taker.id == giver.id:
            raise RouterError(409, "already_owner", "You are an owner already.", param="id")
        if taker.role != Role.OWNER:
            _give(taker, Role.OWNER, actor)
        _give(giver, Role.ADMIN, actor)
    return taker


def _told(member: Membership) -> dict[str, str]:
    return {"id": str(member.id), "role": member.role}


def remove_second_factors(organization_id: UUID, email: str, *, actor: Actor) -> int:
    """Takes all second factors of a member who lost them away; how many.

    For the operator: it is the person's account, which other organizations know too. Raises
    ``RouterError`` (404) for no member.
    """
    with tenant_scope(organization_id):
        member = (
            Membership.objects.select_related("user")
            .filter(organization_id=organization_id, user__email=email.strip().lower())
            .first()
        )
        if member is None:
            raise RouterError(404, "not_found", "There is no such member.", param="email")
        found = Authenticator.objects.filter(user=member.user)
        kinds = sorted(found.values_list("type", flat=True))
        found.delete()
        audit.record_of(
            member,
            actor,
            "member.remove_second_factors",
            before={"second_factors": kinds},
            after={"second_factors": []},
        )
    return len(kinds)


def _give(member: Membership, role: Role, actor: Actor) -> None:
    if member.role == role:
        return
    before, member.role = member.role, role.value
    member.save(update_fields=["role"])
    after = {"role": role.value}
    audit.record_of(member, actor, "member.set_role", before={"role": before}, after=after)
    withdraw_those_of(member, role, actor=actor)


def _end(member: Membership, action: str, actor: Actor) -> int:
    keep_an_owner(member)
    keys = _revoke_keys(member, actor)
    withdraw_those_of(member, None, actor=actor)
    after = {"role": None, "keys_revoked": keys} if keys else {"role": None}
    audit.record_of(member, actor, action, before={"role": member.role}, after=after)
    member.delete()
    FormerMember.objects.update_or_create(
        organization_id=member.organization_id, user_id=member.user_id
    )
    return keys


def _revoke_keys(member: Membership, actor: Actor, **which: Any) -> int:
    """Revokes the keys that act for the member, all or some; how many."""
    now = timezone.now()
    found = ApiKey.objects.filter(
        organization_id=member.organization_id, user_id=member.user_id, revoked_at=None, **which
    )
    keys = list(found.order_by("id"))
    for key in keys:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
        after = {"revoked_at": now.isoformat()}
        audit.record_of(key, actor, "api_key.revoke", before={"revoked_at": None}, after=after)
    return len(keys)


def _lock_keys(member: Membership) -> None:
    """Every change of a key locks the key, then the organization; so does this."""
    keys = ApiKey.objects.select_for_update(no_key=True).filter(
        organization_id=member.organization_id, user_id=member.user_id, revoked_at=None
    )
    list(keys.order_by("id").values_list("id"))


def _member(organization_id: UUID, member_id: UUID) -> Membership:
    found = (
        Membership.objects.select_related("user")
        .filter(organization_id=organization_id, id=member_id)
        .first()
    )
    if found is None:
        raise RouterError(404, "not_found", "There is no such member.", param="id")
    return found


def _own(organization_id: UUID, user: User) -> Membership:
    found = (
        Membership.objects.select_related("user")
        .filter(organization_id=organization_id, user=user)
        .first()
    )
    if found is None:
        raise RouterError(404, "not_found", "You are no member any more.", param="id")
    return found
