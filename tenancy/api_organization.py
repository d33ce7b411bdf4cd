"""/api/organization: the settings of the key's organization."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged
from tenancy.models import Organization
from tenancy.organization import change_organization, settings_of
from tenancy.schemas import OrganizationOut, OrganizationPatch
from tenancy.versions import version_of

router = Router(tags=["organization"])


@router.get("", response=OrganizationOut, summary="Show the organization")
@in_scope
def show_organization(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """Name, time zone, retention, and whether prompts and answers are stored."""
    return _told(Organization.objects.get(id=holder(request).organization_id), response)


@router.patch("", response=OrganizationOut, summary="Change the organization")
@in_scope
def patch_organization(
    request: HttpRequest, response: HttpResponse, wanted: OrganizationPatch, if_match: IfMatch = ""
) -> dict[str, Any]:
    """Changes what is sent; deleting an organization is its owner's, in the browser."""
    held = holder(request)
    changes = wanted.dict(exclude_unset=True)
    with shows_current(lambda: show_organization(request, response)):
        changed = change_organization(
            held.organization_id, changes, actor=held.actor(request), match=match_of(if_match)
        )
    return _told(changed, response)


def _told(row: Organization, response: HttpResponse) -> dict[str, Any]:
    stored = settings_of(row)
    told = {**stored, "id": row.id, "created_at": row.created_at}
    return tagged(told, response, version_of(stored))
