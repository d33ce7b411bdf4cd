"""/api/members and /api/invitations: who belongs to the organization, with an admin's rights."""

from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from ninja.params.functions import Query

from lib.errors import RouterError
from tenancy import invitations as invitation_services
from tenancy import members as services
from tenancy import selectors
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged
from tenancy.checks import checked_role, invalid
from tenancy.core import Role
from tenancy.invitations import Sent
from tenancy.models import Invitation, Membership
from tenancy.schemas import (
    InvitationIn,
    InvitationPageOut,
    MemberOut,
    MemberPageOut,
    RolePatch,
    SentInvitationOut,
)

members = Router(tags=["members"])
invitations = Router(tags=["invitations"])

_CURSOR = Query(description="next_cursor of the page before.")


@members.get("", response=MemberPageOut, summary="List members")
@in_scope
def list_members(
    request: HttpRequest,
    q: Annotated[str, Query(description="Part of an address or a name.")] = "",
    cursor: Annotated[str, _CURSOR] = "",
) -> dict[str, Any]:
    """Members in the order in which they joined, 50 a page."""
    search = q.replace("\x00", "").strip()[:254]
    found = list(
        selectors.members(holder(request).organization_id, search=search, after=_cursor(cursor))[
            : selectors.PAGE_ROWS + 1
        ]
    )
    return _page([_told(one) for one in found])


@members.get("/{uuid:member_id}", response=MemberOut, summary="Show one member")
@in_scope
def show_member(request: HttpRequest, response: HttpResponse, member_id: UUID) -> dict[str, Any]:
    """One member, with their role and when they joined."""
    member = _member(request, member_id)
    return tagged(_told(member), response, services.member_version(member))


@members.patch("/{uuid:member_id}", response=MemberOut, summary="Give a member another role")
@in_scope
def change_role(
    request: HttpRequest,
    response: HttpResponse,
    member_id: UUID,
    wanted: RolePatch,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """A key has an admin's rights: it makes and unmakes no owner."""
    held = holder(request)
    with shows_current(lambda: show_member(request, response, member_id)):
        services.set_role(
            held.organization_id,
            member_id,
            checked_role(wanted.role),
            by=Role.ADMIN,
            actor=held.actor(request),
            match=match_of(if_match),
        )
    return show_member(request, response, member_id)


@members.delete("/{uuid:member_id}", response={204: None}, summary="Remove a member")
@in_scope
def remove_member(request: HttpRequest, member_id: UUID) -> Any:
    """Ends their access with their next request, and revokes the keys that act for them."""
    held = holder(request)
    services.remove_member(
        held.organization_id, member_id, by=Role.ADMIN, actor=held.actor(request)
    )
    return Status(204, None)


@invitations.get("", response=InvitationPageOut, summary="List open invitations")
@in_scope
def list_invitations(request: HttpRequest, cursor: Annotated[str, _CURSOR] = "") -> dict[str, Any]:
    """Invitations neither accepted nor withdrawn, newest first, 50 a page."""
    found = list(
        selectors.open_invitations(holder(request).organization_id, before=_cursor(cursor))[
            : selectors.PAGE_ROWS + 1
        ]
    )
    return _page([_told_invitation(one) for one in found])


@invitations.post("", response={201: SentInvitationOut}, summary="Invite somebody")
@in_scope
def invite(request: HttpRequest, wanted: InvitationIn) -> Any:
    """Sends a mail with a link that is good for seven days, for this address, once."""
    held = holder(request)
    sent = invitation_services.invite(
        held.organization_id,
        email=wanted.email,
        role=checked_role(wanted.role),
        by=Role.ADMIN,
        actor=held.actor(request),
    )
    return Status(201, _told_sent(sent))


@invitations.post(
    "/{uuid:invitation_id}/resend", response=SentInvitationOut, summary="Send an invitation again"
)
@in_scope
def resend(request: HttpRequest, invitation_id: UUID) -> dict[str, Any]:
    """A new link, good for seven days; the older one ends."""
    held = holder(request)
    sent = invitation_services.resend(
        held.organization_id, invitation_id, by=Role.ADMIN, actor=held.actor(request)
    )
    return _told_sent(sent)


@invitations.delete("/{uuid:invitation_id}", response={204: None}, summary="Withdraw an invitation")
@in_scope
def withdraw(request: HttpRequest, invitation_id: UUID) -> Any:
    """Ends the invitation and its link."""
    held = holder(request)
    invitation_services.withdraw(held.organization_id, invitation_id, actor=held.actor(request))
    return Status(204, None)


def _member(request: HttpRequest, member_id: UUID) -> Membership:
    found = selectors.members(holder(request).organization_id).filter(id=member_id).first()
    if found is None:
        raise RouterError(404, "not_found", "There is no such member.", param="member_id")
    return found


def _page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    shown = rows[: selectors.PAGE_ROWS]
    more = len(rows) > len(shown)
    return {"data": shown, "next_cursor": str(shown[-1]["id"]) if more else None}


def _cursor(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise invalid("cursor", "This cursor is not one of ours.") from None


def _told(member: Membership) -> dict[str, Any]:
    return {
        "id": member.id,
        "user_id": member.user_id,
        "email": member.user.email,
        "name": member.user.name,
        "role": member.role,
        "created_at": member.created_at,
    }


def _told_invitation(one: Invitation) -> dict[str, Any]:
    names = ("id", "email", "role", "invited_by", "sends", "sent_at", "expires_at", "undelivered")
    return {name: getattr(one, name) for name in names}


def _told_sent(sent: Sent) -> dict[str, Any]:
    link = sent.link if settings.EMAIL_CONSOLE else None
    return {**_told_invitation(sent.invitation), "link": link}
