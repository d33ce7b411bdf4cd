"""Downloads of what was asked and answered in one call."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from analytics import selectors
from analytics.bodies import Bodies, Body, bodies, may_read
from analytics.core import ANSWER, REQUEST
from tenancy.pages import MemberRequest, member_page


@require_safe
@member_page
def request_body(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """What was asked, as a file."""
    return _file(_readable(request, call_id).request, REQUEST, call_id)


@require_safe
@member_page
def answer_body(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """What was answered, as a file."""
    return _file(_readable(request, call_id).answer, ANSWER, call_id)


def _readable(request: MemberRequest, call_id: UUID) -> Bodies:
    organization_id = request.member.organization_id
    call = selectors.call(organization_id, call_id)
    if call is None:
        raise Http404
    if not may_read(request.member, call):
        raise PermissionDenied("Whoever sent the request and admins can read what was said.")
    found = bodies(organization_id, call_id)
    if found is None:
        raise Http404
    return found


def _file(body: Body, part: str, call_id: UUID) -> HttpResponse:
    # Never a type that a browser would show as a page: it is what somebody else wrote.
    kind = "application/json" if body.ending == "json" else "text/plain"
    response = HttpResponse(body.text, content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{body.file_name(call_id, part)}"'
    response["Cache-Control"] = "private, no-store"
    return response
