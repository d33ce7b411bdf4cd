"""/api/calls/{id}/bodies: what was asked and answered, where the organization stores it."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema

from analytics import selectors
from analytics.bodies import Body, bodies
from lib.errors import RouterError
from tenancy.api_auth import holder, in_scope

router = Router(tags=["calls"])


class BodyOut(Schema):
    """A request or an answer as it was sent."""

    text: str = Field(
        description="What was sent; of something long its first 256 KiB.",
        examples=['{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'],
    )
    size: int = Field(description="How many bytes it had.", examples=[69])
    is_cut: bool = Field(description="Whether text is only its beginning.", examples=[False])


class BodiesOut(Schema):
    """The request and the answer of one call."""

    request: BodyOut = Field(description="What the client sent.")
    answer: BodyOut = Field(description="What the client got.")


@router.get("/{uuid:call_id}/bodies", response=BodiesOut, summary="Read prompt and answer")
@in_scope
def show_bodies(request: HttpRequest, call_id: UUID) -> dict[str, Any]:
    """What was asked and answered in one call; 404 where it is not stored, or no longer."""
    organization_id = holder(request).organization_id
    if selectors.call(organization_id, call_id) is None:
        raise RouterError(404, "not_found", "There is no such call.", param="call_id")
    found = bodies(organization_id, call_id)
    if found is None:
        raise RouterError(
            404,
            "not_stored",
            "Nothing is stored of this call. PATCH /api/organization with store_bodies to store "
            "the prompts and answers of the calls to come.",
            param="call_id",
        )
    return {"request": _told(found.request), "answer": _told(found.answer)}


def _told(body: Body) -> dict[str, Any]:
    return {"text": body.text, "size": body.size, "is_cut": body.is_cut}
