"""/api/calls: what happened, what it cost and why."""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from ninja.params.functions import Query

from analytics import call_selectors, selectors
from analytics.costs import cost_lines, exact_dollars
from analytics.filters import Filters, read_filters
from analytics.models import Call
from analytics.schemas import CURSOR, TAG, CallDetailOut, CallFiltersIn, CallPageOut
from lib.errors import RouterError
from lib.money import dollars
from tenancy.api_auth import holder, in_scope
from tenancy.selectors import organization

router = Router(tags=["calls"])

LIMIT_MAX = 200


@router.get(
    "",
    response=CallPageOut,
    summary="List calls",
    openapi_extra={"parameters": [TAG]},
)
@in_scope
def list_calls(
    request: HttpRequest,
    asked: Annotated[CallFiltersIn, Query()],
    cursor: Annotated[
        str, Query(description="next_cursor of the page before.", examples=[CURSOR])
    ] = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many a page has.")] = (
        call_selectors.PAGE_CALLS
    ),
) -> dict[str, Any]:
    """Calls of the organization, newest first; the same filters as on the page.

    Days are those of the organization's time zone. For the failures of a key in one week:
    `GET /api/calls?range=7d&status=failed&key=01a1fd96-5bb7-7952-a09f-76b5a170b338`.
    """
    organization_id = holder(request).organization_id
    filters = _filters(request, organization_id)
    guide = call_selectors.slots(organization_id, filters) if filters.narrowed else None
    page = call_selectors.call_page(
        organization_id, filters, guide=guide, older=_cursor(cursor), size=limit
    )
    return {
        "data": [_told(call) for call in page.calls],
        "next_cursor": str(page.older) if page.older else None,
    }


@router.get("/{uuid:call_id}", response=CallDetailOut, summary="Explain one call")
@in_scope
def show_call(request: HttpRequest, call_id: UUID) -> dict[str, Any]:
    """One call: policy, candidates, ranking, attempts, cost lines and metadata."""
    call = selectors.call(holder(request).organization_id, call_id)
    if call is None:
        raise RouterError(404, "not_found", "There is no such call.", param="call_id")
    return {
        **_told(call),
        "usage": call.usage,
        "price": call.price,
        "cost_lines": _cost_lines(call),
        "decision": call.decision,
        "metadata": call.metadata,
    }


def _filters(request: HttpRequest, organization_id: UUID) -> Filters:
    """The filters of the address as pages read them; raises for what pages would leave out."""
    found = organization(organization_id)
    assert found is not None
    filters = read_filters(
        dict(request.GET.lists()), now=timezone.now(), zone=ZoneInfo(found.time_zone)
    )
    for wrong in filters.ignored:
        raise RouterError(422, "invalid_value", str(wrong), param=wrong.param)
    return filters


def _cursor(text: str) -> call_selectors.Cursor | None:
    if not text:
        return None
    try:
        return call_selectors.Cursor.read(text)
    except ValueError:
        raise RouterError(
            422, "invalid_value", "This cursor is not one of ours.", param="cursor"
        ) from None


def _told(call: Call) -> dict[str, Any]:
    names = CallDetailOut.model_fields.keys() - {"decision", "metadata", "usage", "price"}
    told = {name: getattr(call, name) for name in names if hasattr(call, name)}
    told["api_key_id"] = call.api_key
    told["user_id"] = call.user
    told["cost_usd"] = dollars(call.cost_nano)
    return told


def _cost_lines(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "kind": line.kind,
            "quantity": line.quantity,
            "nano_per_million": line.nano_per_million,
            "cost_usd": exact_dollars(line.femto_usd),
        }
        for line in cost_lines(call)
    ]
