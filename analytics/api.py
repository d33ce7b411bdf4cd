"""/api/calls: what happened, what it cost and why."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.params.functions import Query

from analytics import selectors
from analytics.costs import cost_lines, exact_dollars
from analytics.models import Call
from analytics.schemas import CallDetailOut, CallPageOut
from lib.errors import RouterError
from lib.money import dollars
from tenancy.api_auth import holder, in_scope

router = Router(tags=["calls"])


@router.get("", response=CallPageOut, summary="List calls")
@in_scope
def list_calls(
    request: HttpRequest,
    status: Annotated[str, Query(description="ok, failed or fallback; empty for all.")] = "",
    provider: Annotated[str, Query(description="Only calls that this provider answered.")] = "",
    model: Annotated[str, Query(description="Only calls asking for, or getting, this model.")] = "",
    key: Annotated[UUID | None, Query(description="Only calls with this API key's id.")] = None,
    cursor: Annotated[str, Query(description="next_cursor of the page before.")] = "",
) -> dict[str, Any]:
    """Calls of the organization, newest first, 50 a page."""
    if status not in ("", "ok", "failed", "fallback"):
        raise RouterError(
            422, "invalid_value", "status is one of: ok, failed, fallback.", param="status"
        )
    for name, value in (("provider", provider), ("model", model)):
        if "\x00" in value:
            raise RouterError(422, "invalid_value", "No name holds a NUL.", param=name)
    filters = selectors.Filters(status=status, provider=provider, model=model, key=key)
    page = selectors.call_page(holder(request).organization_id, filters, older=_cursor(cursor))
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


def _cursor(text: str) -> selectors.Cursor | None:
    if not text:
        return None
    try:
        return selectors.Cursor.read(text)
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
