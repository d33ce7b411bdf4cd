"""/api/audit: every change of configuration, and whether the trail is whole."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.params.functions import Query

from tenancy import audit, trail
from tenancy.api_auth import holder, in_scope
from tenancy.checks import invalid
from tenancy.models import AuditEntry
from tenancy.schemas import AuditPageOut, ChainOut
from tenancy.selectors import PAGE_ROWS
from tenancy.trail import TrailFilters
from tenancy.trail_files import trail_file

router = Router(tags=["audit"])

_ENTRIES = {"type": "array", "items": {"$ref": "#/components/schemas/AuditEntryOut"}}
Who = Annotated[str, Query(description="Only changes by this actor.")]
Kind = Annotated[str, Query(description="Only of this kind of object, such as member.")]
Action = Annotated[str, Query(description="Only this action, such as member.set_role.")]
Thing = Annotated[str, Query(description="The object's id, or a part of its name.")]
Since = Annotated[datetime | None, Query(description="Not before, ISO 8601.")]
Until = Annotated[datetime | None, Query(description="Before, ISO 8601.")]


@router.get("", response=AuditPageOut, summary="List changes")
@in_scope
def list_changes(
    request: HttpRequest,
    actor: Who = "",
    kind: Kind = "",
    action: Action = "",
    object: Thing = "",
    since: Since = None,
    until: Until = None,
    cursor: Annotated[str, Query(description="next_cursor of the page before.")] = "",
) -> dict[str, Any]:
    """Changes of the organization's configuration, newest first, 50 a page."""
    organization_id = holder(request).organization_id
    typed = {"actor": actor, "kind": kind, "action": action, "object": object}
    found = trail.entries(organization_id, _filters(typed, since, until))
    if cursor:
        found = trail.older_than(found, _entry(organization_id, cursor))
    page = list(found[: PAGE_ROWS + 1])
    shown = page[:PAGE_ROWS]
    return {
        "data": [trail.as_dict(entry) for entry in shown],
        "next_cursor": str(shown[-1].id) if len(page) > PAGE_ROWS else None,
    }


@router.get(
    "/export",
    summary="Export changes",
    openapi_extra={
        "responses": {
            200: {
                "description": "Every change that matches, the newest first, streamed.",
                "content": {
                    "text/csv": {
                        "schema": {"type": "string"},
                        "example": ",".join(trail.COLUMNS) + "\r\n",
                    },
                    "application/json": {"schema": _ENTRIES},
                },
            }
        }
    },
)
@in_scope
def export_changes(
    request: HttpRequest,
    format: Annotated[Literal["csv", "json"], Query(description="csv, or json: an array.")] = "csv",
    actor: Who = "",
    kind: Kind = "",
    action: Action = "",
    object: Thing = "",
    since: Since = None,
    until: Until = None,
) -> HttpResponseBase:
    """All changes that pass the filters, as the page's export has them."""
    typed = {"actor": actor, "kind": kind, "action": action, "object": object}
    filters = _filters(typed, since, until)
    return trail_file(request, holder(request).organization_id, filters, kind=format)


@router.get("/chain", response=ChainOut, summary="Check that the trail is whole")
@in_scope
def check_chain(request: HttpRequest) -> dict[str, Any]:
    """Walks the chain of digests over all entries of the organization."""
    chain = audit.verify(holder(request).organization_id)
    return {
        "is_intact": chain.is_intact,
        "entries": chain.entries,
        "last_digest": chain.head,
        "broken_at": chain.broken_at.id if chain.broken_at else None,
    }


def _filters(typed: dict[str, str], since: datetime | None, until: datetime | None) -> TrailFilters:
    for name, value in typed.items():
        if "\x00" in value:
            raise invalid(name, "No name holds a NUL.")
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise invalid(name, "Write the offset too, as in 2026-11-21T00:00:00Z.")
    return TrailFilters(**typed, since=since, until=until)


def _entry(organization_id: UUID, cursor: str) -> AuditEntry:
    try:
        id_ = UUID(cursor)
    except ValueError:
        raise invalid("cursor", "This cursor is not one of ours.") from None
    found = AuditEntry.objects.filter(organization_id=organization_id, id=id_).first()
    if found is None:
        raise invalid("cursor", "This cursor is not one of ours.")
    return found
