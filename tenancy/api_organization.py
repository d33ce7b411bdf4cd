"""/api/organization: the settings of the key's organization."""

from django.http import HttpRequest
from ninja import Router

from tenancy.api_auth import holder, in_scope
from tenancy.models import Organization
from tenancy.organization import change_organization
from tenancy.schemas import OrganizationOut, OrganizationPatch

router = Router(tags=["organization"])


@router.get("", response=OrganizationOut, summary="Show the organization")
@in_scope
def show_organization(request: HttpRequest) -> Organization:
    """Name, time zone, retention, and whether prompts and answers are stored."""
    return Organization.objects.get(id=holder(request).organization_id)


@router.patch("", response=OrganizationOut, summary="Change the organization")
@in_scope
def patch_organization(request: HttpRequest, wanted: OrganizationPatch) -> Organization:
    """Changes what is sent; deleting an organization is its owner's, in the browser."""
    held = holder(request)
    changes = wanted.dict(exclude_unset=True)
    return change_organization(held.organization_id, changes, actor=held.actor(request))
