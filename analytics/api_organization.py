"""/api/organization/export: all that is known of the organization, as one file."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router

from analytics.export import CONTENT_TYPE, export_organization
from tenancy.api_auth import holder, in_scope
from tenancy.selectors import organization

router = Router(tags=["organization"])

_LINES = (
    '{"kind":"organization","id":"01a1fd96-5bb7-7952-a09f-76b5a170b338","name":"Nova Labs"}\n'
    '{"kind":"callbodies","call_id":"01a1fd96-5bb7-7952-a09f-76b5a170b339",'
    '"request":{"text":"Hello","size":5,"is_cut":false}}\n'
)


@router.get(
    "/export",
    summary="Export the organization",
    openapi_extra={
        "responses": {
            200: {
                "description": "A JSON object a line, each with its kind, streamed.",
                "content": {CONTENT_TYPE: {"schema": {"type": "string"}, "example": _LINES}},
            }
        }
    },
)
@in_scope
def export_everything(request: HttpRequest) -> HttpResponseBase:
    """Settings, members, keys, providers, preferences, the trail, sums, calls and what was said.

    Stored prompts and answers are opened; secrets are left out. It is audited. Deleting an
    organization is its owner's, in the browser.
    """
    held = holder(request)
    found = organization(held.organization_id)
    assert found is not None
    actor = held.actor(request)
    return export_organization(request, held.organization_id, name=found.name, actor=actor)
