"""What the palette offers beside the pages: the newest of the organization's own things."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from analytics.selectors import newest
from catalog.selectors import providers
from lib.money import format_usd
from preferences.keys.rights import holder_of
from tenancy.pages import MemberRequest, keep_fragments_apart, member_page
from tenancy.selectors import api_keys
from tenancy.shell import exists

ITEMS_MAX = 5


@require_safe
@member_page
def palette(request: MemberRequest) -> HttpResponse:
    """The last requests, the newest keys the member may see, the providers; five queries."""
    organization_id = request.member.organization_id
    requests = [
        {
            "path": f"/requests/{call.id}",
            "label": f"{call.model_used or call.model_requested} · {call.status}",
            "more": format_usd(call.cost_nano),
            "at": call.created_at,
        }
        for call in newest(organization_id, ITEMS_MAX)
    ]
    groups = [("Recent requests", requests)]
    if exists("/api-keys"):
        keys = api_keys(organization_id).filter(revoked_at=None)
        if (holder := holder_of(request.member)) is not None:
            keys = keys.filter(user_id=holder)
        keys = keys[:ITEMS_MAX]
        groups.append(("API keys", [{"path": "/api-keys", "label": key.name} for key in keys]))
    if exists("/providers"):
        found = providers(organization_id).filter(active=True)[:ITEMS_MAX]
        groups.append(("Providers", [{"path": "/providers", "label": one.name} for one in found]))
    response = render(request, "palette.html", {"groups": groups})
    keep_fragments_apart(response)
    return response
