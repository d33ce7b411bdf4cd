"""Who becomes a member by single sign-on, and who does not come back by it."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete

from tenancy import audit
from tenancy.core import Actor
from tenancy.models import FormerMember, Membership, SsoConnection, User
from tenancy.scope import tenant_scope


def join_by_sso(connection: SsoConnection, user: User, *, source: str) -> None:
    """Makes somebody whom the connection let in a member, if they are none yet."""
    of = {"organization_id": connection.organization_id, "user": user}
    with tenant_scope(connection.organization_id):
        if FormerMember.objects.filter(**of).exists():
            return
        member, made = Membership.objects.get_or_create(
            **of, defaults={"role": connection.default_role}
        )
        if made:
            actor = Actor("user", user.id, user.email, source)
            after = {"role": member.role, "by": connection.name}
            audit.record_of(member, actor, "member.join", after=after)


def remember_leaving(sender: type[Membership], instance: Membership, **more: Any) -> None:
    """Notes a membership that ended, unless the organization or the person ended with it."""
    origin = more.get("origin")
    model = origin if isinstance(origin, Membership) else getattr(origin, "model", None)
    if model is Membership or isinstance(model, Membership):
        FormerMember.objects.update_or_create(
            organization_id=instance.organization_id, user_id=instance.user_id
        )


def connect() -> None:
    """Listens for memberships that end; called once, at start."""
    post_delete.connect(remember_leaving, sender=Membership, dispatch_uid="remember_leaving")
