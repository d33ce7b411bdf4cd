"""Members & roles: who is in the organization, who is invited, and every change of that.

1. A plain form changes one thing and leads back to the list; what is refused shows the list again.
2. A role's form is swapped by itself, as its row.
3. What cannot be taken back is asked for first, in a dialog or, without JavaScript, on a page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from lib.errors import RouterError
from tenancy import invitations, selectors
from tenancy import members as services
from tenancy.checks import checked_role
from tenancy.confirm import confirm_identity
from tenancy.core import Role, may
from tenancy.invitations import Sent
from tenancy.key_selectors import admin_keys_made_by
from tenancy.models import Invitation, Membership
from tenancy.owners import is_only_owner
from tenancy.pages import (
    HOME,
    ORGANIZATION_IN_SESSION,
    MemberRequest,
    keep_fragments_apart,
    member_page,
    render_page,
    toast,
    wants_fragment,
)

MEMBERS = "/members"
TEMPLATE = "members/page.html"
SEARCH_CHARS_MAX = 254
ABOUT = {
    Role.OWNER: "everything, including deleting the organization and naming owners",
    Role.ADMIN: "all settings, keys, providers and members, but no owners",
    Role.MEMBER: "own preferences and requests",
    Role.VIEWER: "look, change nothing",
}


@require_safe
@member_page
def members(request: MemberRequest) -> HttpResponse:
    """Fifty members and fifty open invitations; search and places are in the address."""
    return _page(request, {})


@require_POST
@member_page
def invite(request: MemberRequest) -> HttpResponse:
    """Invites an address; without a mail server the answer shows the link, this once."""
    request.member.require(Role.ADMIN)
    email = request.POST.get("email", "")
    try:
        sent = invitations.invite(
            request.member.organization_id,
            email=email,
            role=checked_role(request.POST.get("role", "")),
            by=request.member.role,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        refused = {"email": email, "invited_role": request.POST.get("role"), "refused": why}
        return _page(request, refused, status=why.status)
    return _sent(request, sent)


@require_POST
@member_page
def resend(request: MemberRequest, invitation_id: UUID) -> HttpResponse:
    """Sends an invitation again, with a new link."""
    request.member.require(Role.ADMIN)
    try:
        sent = invitations.resend(
            request.member.organization_id,
            invitation_id,
            by=request.member.role,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _refused(request, why)
    return _sent(request, sent)


@require_POST
@member_page
def withdraw(request: MemberRequest, invitation_id: UUID) -> HttpResponse:
    """Ends an invitation and its link."""
    request.member.require(Role.ADMIN)
    try:
        invitations.withdraw(
            request.member.organization_id, invitation_id, actor=request.member.actor(request)
        )
    except RouterError as why:
        return _refused(request, why)
    messages.success(request, "The invitation is withdrawn; its link does not work any more.")
    return HttpResponseRedirect(MEMBERS)


@require_POST
@member_page
def role(request: MemberRequest, member_id: UUID) -> HttpResponse:
    """Gives a member another role: their row to htmx, the list to a plain form."""
    request.member.require(Role.ADMIN)
    organization_id = request.member.organization_id
    target = f"m-{member_id}"
    try:
        to, seen = (checked_role(request.POST.get(name, "")) for name in ("role", "was"))
        if Role.OWNER in (to, seen) and request.member.may(Role.OWNER):
            confirm_identity(request, back_to=MEMBERS)
        changed = services.set_role(
            organization_id,
            member_id,
            to,
            by=request.member.role,
            seen=seen,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        if why.status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
            return _refused(request, why)
        found = selectors.members(organization_id).filter(id=member_id).first()
        if found is None:
            raise Http404 from None
        if not wants_fragment(request, target):
            return _refused(request, why)
        return _row(request, found, {"refused": why.message}, status=why.status)
    text = f"{changed.user.email} is {_a(changed.role)} now."
    kept = {} if may(Role(changed.role), Role.ADMIN) else _kept(changed, "they")
    if not wants_fragment(request, target):
        messages.success(request, f"{text} {kept.get('kept', '')}".strip())
        return HttpResponseRedirect(MEMBERS)
    return toast(_row(request, changed, kept), text)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove(request: MemberRequest, member_id: UUID) -> HttpResponse:
    """Asks (GET), then ends a membership and the keys that act for the member."""
    request.member.require(Role.ADMIN)
    found = _found(request, member_id)
    if request.method != "POST":
        keys = _keys_sentence(request, found, "them")
        return _ask(
            request,
            title=f"Remove {found.user.email}?",
            text=f"Their access ends with their next click. Their open invitations end too. {keys}",
            action=f"{MEMBERS}/{found.id}/remove",
            button="Remove member",
            **_kept(found, "they"),
        )
    try:
        services.remove_member(
            request.member.organization_id,
            member_id,
            by=request.member.role,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _refused(request, why)
    messages.success(request, f"{found.user.email} is no member any more.")
    return HttpResponseRedirect(MEMBERS)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def transfer(request: MemberRequest, member_id: UUID) -> HttpResponse:
    """Asks (GET), then makes a member the owner and the giver an admin."""
    request.member.require(Role.OWNER)
    found = _found(request, member_id)
    confirm_identity(request)
    if request.method != "POST":
        return _ask(
            request,
            title=f"Make {found.user.email} the owner?",
            text="They become an owner and you become an admin. Only they can give it back.",
            action=f"{MEMBERS}/{found.id}/transfer",
            button="Transfer ownership",
        )
    try:
        services.transfer_ownership(
            request.member.organization_id,
            member_id,
            owner=request.member.user,
            actor=request.member.actor(request),
        )
    except RouterError as why:
        return _refused(request, why)
    messages.success(request, f"{found.user.email} is an owner now, and you are an admin.")
    return HttpResponseRedirect(MEMBERS)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def leave(request: MemberRequest) -> HttpResponse:
    """Asks (GET), then ends one's own membership."""
    member = request.member
    if request.method != "POST":
        own = selectors.members(member.organization_id).get(user=member.user)
        keys = _keys_sentence(request, own, "you")
        return _ask(
            request,
            title=f"Leave {member.organization}?",
            text=f"You lose access at once; an admin can invite you again. {keys}",
            action=f"{MEMBERS}/leave",
            button="Leave the organization",
            **_kept(own, "you"),
        )
    try:
        services.leave(member.organization_id, member.user, actor=member.actor(request))
    except RouterError as why:
        return _refused(request, why)
    request.session.pop(ORGANIZATION_IN_SESSION, None)
    messages.success(request, f"You left {member.organization}.")
    return HttpResponseRedirect(HOME)


def _page(
    request: MemberRequest, more: dict[str, Any], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    organization_id = request.member.organization_id
    search = request.GET.get("q", "").replace("\x00", "").strip()[:SEARCH_CHARS_MAX]
    after = _id(request.GET.get("after", ""))
    found = list(
        selectors.members(organization_id, search=search, after=after)[: selectors.PAGE_ROWS + 1]
    )
    shown = found[: selectors.PAGE_ROWS]
    before = _id(request.GET.get("before", ""))
    invited = list(
        selectors.open_invitations(organization_id, before=before)[: selectors.PAGE_ROWS + 1]
    )
    shown_invited = invited[: selectors.PAGE_ROWS]
    by = request.member.role
    context = {
        "title": "Members & roles",
        "rows": [_told(request, one) for one in shown],
        "invited": [_told_invitation(one) for one in shown_invited],
        "is_newest": before is None,
        "older": str(shown_invited[-1].id) if len(invited) > len(shown_invited) else "",
        "search": search,
        "is_first": after is None,
        "next": str(shown[-1].id) if len(found) > len(shown) else "",
        "may_manage": request.member.may(Role.ADMIN),
        "roles": [(r.value, ABOUT[r]) for r in Role if may(by, r) and by is not Role.VIEWER],
        "about": [(r.value, ABOUT[r]) for r in Role],
        "invited_role": Role.MEMBER.value,
        "zone": request.member.time_zone,
        **more,
    }
    target = "invited" if wants_fragment(request, "invited") else "members"
    return render_page(request, TEMPLATE, context, target=target, status=status)


def _told(request: MemberRequest, one: Membership) -> dict[str, Any]:
    """A row: who, and what whoever looks may do with it."""
    by = request.member
    is_owner = one.role == Role.OWNER
    may_change = by.may(Role.OWNER if is_owner else Role.ADMIN)
    return {
        "member": one,
        "is_me": one.user_id == by.user.id,
        "may_leave": one.user_id == by.user.id and not is_only_owner(one),
        "choices": [r.value for r in Role if by.may(r)] if may_change else [],
        "may_remove": may_change and one.user_id != by.user.id,
        "may_transfer": by.may(Role.OWNER) and not is_owner,
    }


def _told_invitation(one: Invitation) -> dict[str, Any]:
    if one.undelivered:
        state = ("bad", "Not delivered")
    elif one.expires_at <= timezone.now():
        state = ("warn", "Expired")
    else:
        state = ("plain", "Invited")
    return {"invitation": one, "state": state}


def _row(
    request: MemberRequest, one: Membership, more: dict[str, str], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {"row": {**_told(request, one), **more}, "may_manage": True}
    response = HttpResponse(render_to_string(f"{TEMPLATE}#row", context, request), status=status)
    keep_fragments_apart(response)
    return response


def _ask(request: MemberRequest, **question: str) -> HttpResponse:
    context = {"title": question["title"], "back": MEMBERS, **question}
    return render_page(request, "members/ask.html", context, target="ask")


def _sent(request: MemberRequest, sent: Sent) -> HttpResponse:
    email = sent.invitation.email
    if not settings.EMAIL_CONSOLE:
        messages.success(
            request, f"The invitation to {email} is on its way. It is good for 7 days."
        )
        return HttpResponseRedirect(MEMBERS)
    response = _page(request, {"link": sent.link, "link_for": email})
    response.headers["Cache-Control"] = "no-store"
    return response


def _refused(request: MemberRequest, why: RouterError) -> HttpResponse:
    if why.status == HTTPStatus.NOT_FOUND:
        raise Http404
    return _page(request, {"banner": why.message}, status=why.status)


def _keys_sentence(request: MemberRequest, one: Membership, whom: str) -> str:
    keys = selectors.live_keys_of(one.organization_id, [one.user_id]).get(one.user_id, 0)
    if not keys:
        return f"No API key acts for {whom}."
    if keys == 1:
        return f"The API key that acts for {whom} is revoked with it; calls with it fail."
    return f"The {keys} API keys that act for {whom} are revoked with it; calls with them fail."


def _kept(one: Membership, who: str) -> dict[str, str]:
    """What stays of somebody who goes: keys of the admin scope that belong to the organization."""
    count = admin_keys_made_by(one.organization_id, one.user_id, now=timezone.now())
    if not count:
        return {}
    keys = f"An admin key that {who} made stays"
    if count > 1:
        keys = f"{count} admin keys that {who} made stay"
    return {
        "kept": f"{keys} valid: such keys belong to the organization.",
        "kept_link": f"/api-keys?{urlencode({'q': one.user.email})}",
    }


def _found(request: MemberRequest, member_id: UUID) -> Membership:
    found = selectors.members(request.member.organization_id).filter(id=member_id).first()
    if found is None:
        raise Http404
    return found


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
