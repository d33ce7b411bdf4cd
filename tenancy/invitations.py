"""Invitations: made, sent again, withdrawn and accepted.

1. The token is 256 random bits; what is stored is its HMAC. It stands in the mail alone or, where
   no mail server is set, once on the page.
2. Sending again makes a new token, which ends the one before.
3. Whoever accepts must be signed in with the address that was invited. A token is used once.
4. An invitation by a person rests on their role: it ends when they may no longer give what it
   offers. One by a key rests on the organization.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from lib.errors import RouterError
from lib.hashing import digest
from tenancy import audit
from tenancy.checks import checked_email
from tenancy.core import Actor, Role
from tenancy.mail import send_mail
from tenancy.models import FormerMember, Invitation, Membership, Organization, User
from tenancy.owners import check_may_give, lock_members, may_give
from tenancy.scope import tenant_scope

log = logging.getLogger(__name__)

VALID_FOR = timedelta(days=7)
RESEND_AFTER = timedelta(minutes=1)
SENDS_MAX = 10
SENDS_PER_HOUR_MAX = 50
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Sent:
    """An invitation on its way, with the link that stands in the mail and nowhere else."""

    invitation: Invitation
    link: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """An invitation as its token opens it; ``why_not`` says why it cannot be accepted any more."""

    organization_id: UUID
    organization: str
    invitation: Invitation
    why_not: str

    def is_for(self, user: User) -> bool:
        """Whether the user has the address that was invited."""
        if user.email.lower() == self.invitation.email:
            return True
        own = EmailAddress.objects.filter(user=user, verified=True)
        return bool(own.filter(email__iexact=self.invitation.email).exists())


def invite(organization_id: UUID, *, email: str, role: Role, by: Role, actor: Actor) -> Sent:
    """Offers membership to an address; the mail goes out when the transaction is committed.

    Raises ``RouterError``: 403 without the right, 422 for no address, 409 for a member or an
    invitation that is still open, 429 for too many.
    """
    check_may_give(by, role)
    address = checked_email(email)
    with tenant_scope(organization_id):
        lock_members(organization_id)
        members = Membership.objects.filter(organization_id=organization_id)
        if members.filter(user__email=address).exists():
            raise RouterError(409, "already_member", f"{address} is a member.", param="email")
        _end_expired(organization_id, address)
        _check_pace(organization_id)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = timezone.now()
        made = Invitation.objects.create(
            organization_id=organization_id,
            email=address,
            role=role.value,
            digest=_digest(token),
            invited_by=actor.name[:254],
            sender_id=actor.person(),
            sent_at=now,
            expires_at=now + VALID_FOR,
        )
        audit.record_of(made, actor, "invitation.create", after={"role": role.value})
        return _send(made, token)


def resend(organization_id: UUID, invitation_id: UUID, *, by: Role, actor: Actor) -> Sent:
    """Sends an invitation again with a new link, good for seven days; the old link ends.

    Raises ``RouterError``: 404 for none that is open, 403 without the right, 429 too soon.
    """
    with tenant_scope(organization_id):
        lock_members(organization_id)
        found = _open(organization_id, invitation_id)
        check_may_give(by, found.role)
        now = timezone.now()
        rest = (found.sent_at + RESEND_AFTER - now).total_seconds()
        if rest > 0:
            raise _too_many("It was sent a moment ago. Wait a minute.", rest)
        if found.sends >= SENDS_MAX:
            raise _too_many(f"It was sent {SENDS_MAX} times. Withdraw it and invite anew.", 0)
        _check_pace(organization_id)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        found.digest = _digest(token)
        found.sends += 1
        found.sent_at = now
        found.expires_at = now + VALID_FOR
        found.undelivered = False
        found.sender_id = actor.person()
        found.save()
        audit.record_of(found, actor, "invitation.resend", after={"sends": found.sends})
        return _send(found, token)


def withdraw(organization_id: UUID, invitation_id: UUID, *, actor: Actor) -> None:
    """Ends an invitation and its link; raises ``RouterError`` (404) for none that is open."""
    with tenant_scope(organization_id):
        lock_members(organization_id)
        _withdraw(_open(organization_id, invitation_id), actor)


def withdraw_those_of(member: Membership, role: Role | None, *, actor: Actor) -> int:
    """Ends the open invitations that a member who is now ``role``, or none, may not make; how many.

    Call it under the lock of members.
    """
    open_ones = Invitation.objects.filter(
        organization_id=member.organization_id,
        sender_id=member.user_id,
        accepted_at=None,
        withdrawn_at=None,
    ).order_by("id")
    ended = [one for one in open_ones if role is None or not may_give(role, one.role)]
    for one in ended:
        _withdraw(one, actor)
    return len(ended)


def _withdraw(invitation: Invitation, actor: Actor) -> None:
    invitation.withdrawn_at = timezone.now()
    invitation.save(update_fields=["withdrawn_at"])
    before = {"role": invitation.role}
    audit.record_of(invitation, actor, "invitation.withdraw", before=before, after={"role": None})


def offer_of(token: str) -> Offer | None:
    """What a token offers, or None for a token that never was or was replaced.

    Works outside every scope.
    """
    hashed = _digest(token)
    with connection.cursor() as cursor:
        cursor.execute("SELECT app.invitation_organization(%s)", [hashed])
        (organization_id,) = cursor.fetchone()
    if organization_id is None:
        return None
    with tenant_scope(organization_id):
        found = (
            Invitation.objects.select_related("organization")
            .filter(organization_id=organization_id, digest=hashed)
            .first()
        )
        if found is None:
            return None
        return Offer(organization_id, found.organization.name, found, _why_not(found))


def accept(offer: Offer, user: User, *, actor: Actor) -> Membership:
    """Makes the user a member, once; a member already keeps their role.

    Raises ``RouterError``: 403 for another address, 410 when it is over.
    """
    if not offer.is_for(user):
        raise RouterError(
            403,
            "another_address",
            f"This invitation is for {offer.invitation.email}; you are {user.email}.",
            type="permission_error",
        )
    organization_id = offer.organization_id
    with tenant_scope(organization_id):
        lock_members(organization_id)
        found = Invitation.objects.select_for_update().get(
            organization_id=organization_id, id=offer.invitation.id
        )
        if bytes(found.digest) != bytes(offer.invitation.digest):
            raise RouterError(410, "gone", "It was sent again; use the newer link.")
        if why_not := _why_not(found):
            raise RouterError(410, "gone", why_not)
        found.accepted_at = timezone.now()
        found.save(update_fields=["accepted_at"])
        member, _ = Membership.objects.get_or_create(
            organization_id=organization_id, user=user, defaults={"role": found.role}
        )
        FormerMember.objects.filter(organization_id=organization_id, user=user).delete()
        audit.record_of(found, actor, "invitation.accept", after={"role": member.role})
    return member


def _send(invitation: Invitation, token: str) -> Sent:
    sent = Sent(invitation, f"{settings.PUBLIC_URL}/invitations/{token}")
    transaction.on_commit(lambda: _deliver(sent))
    return sent


def _deliver(sent: Sent) -> None:
    """Sends the mail; one that the server refuses is marked, so that the page can say so."""
    invitation = sent.invitation
    with tenant_scope(invitation.organization_id):
        name = Organization.objects.values_list("name", flat=True).get(
            id=invitation.organization_id
        )
    context = {
        "organization": name,
        "invitation": invitation,
        "link": sent.link,
        "days": VALID_FOR.days,
    }
    try:
        send_mail("email/invitation", invitation.email, context)
    except (SMTPException, OSError) as why:
        log.warning("invitation %s was not taken by the mail server: %s", invitation.id, why)
        with tenant_scope(invitation.organization_id):
            Invitation.objects.filter(
                organization_id=invitation.organization_id, id=invitation.id
            ).update(undelivered=True)


def _open(organization_id: UUID, invitation_id: UUID) -> Invitation:
    found = Invitation.objects.filter(
        organization_id=organization_id, id=invitation_id, accepted_at=None, withdrawn_at=None
    ).first()
    if found is None:
        raise RouterError(404, "not_found", "There is no such open invitation.", param="id")
    return found


def _why_not(invitation: Invitation) -> str:
    if invitation.accepted_at:
        return "This invitation was accepted already."
    if invitation.withdrawn_at:
        return "This invitation was withdrawn."
    if invitation.expires_at <= timezone.now():
        return "This invitation has expired."
    if invitation.sender_id is not None:
        # Withdrawn with the sender's role; this is for one that was sent at that very moment.
        sender = Membership.objects.filter(
            organization_id=invitation.organization_id, user_id=invitation.sender_id
        ).first()
        if sender is None or not may_give(Role(sender.role), invitation.role):
            return "Whoever sent this invitation may no longer give its role."
    return ""


def _end_expired(organization_id: UUID, address: str) -> None:
    """An expired invitation makes room for a new one; an open one does not."""
    open_one = Invitation.objects.filter(
        organization_id=organization_id, email=address, accepted_at=None, withdrawn_at=None
    ).first()
    if open_one is None:
        return
    if open_one.expires_at > timezone.now():
        raise RouterError(
            409, "already_invited", f"{address} is invited already. Resend it below.", param="email"
        )
    open_one.withdrawn_at = timezone.now()
    open_one.save(update_fields=["withdrawn_at"])


def _check_pace(organization_id: UUID) -> None:
    since = timezone.now() - timedelta(hours=1)
    sent = Invitation.objects.filter(organization_id=organization_id, sent_at__gt=since)
    if sent.count() >= SENDS_PER_HOUR_MAX:
        raise _too_many(
            f"{SENDS_PER_HOUR_MAX} invitations an hour are the most. Wait a while.", 600
        )


def _too_many(message: str, retry_after_s: float) -> RouterError:
    return RouterError(
        429,
        "rate_limit_exceeded",
        message,
        type="rate_limit_error",
        param="email",
        retry_after_s=retry_after_s or None,
    )


def _digest(token: str) -> bytes:
    return digest(settings.API_KEY_PEPPER, f"invitation {token}".encode())
