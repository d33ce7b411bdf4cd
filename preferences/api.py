"""/api/preferences: what the organization and its members want; keys have theirs at /api/keys."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router

from lib.errors import RouterError
from lib.money import dollars, nano_from_usd
from preferences import services
from preferences.models import UserRouterPreferences
from preferences.schemas import PreferencesIn, PreferencesOut
from preferences.selectors import preferences_row, tag_of
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged
from tenancy.selectors import member_emails

router = Router(tags=["preferences"])

# How a field is called here and in its table.
_COLUMNS = {
    "priority": "default_priority",
    "max_cost_usd": "max_cost_per_request_nano",
    "max_latency_ms": "max_latency_ms",
    "preferred_providers": "preferred_providers",
    "blocked_providers": "blocked_providers",
    "cost_alert_threshold_usd": "cost_alert_threshold_nano",
}
FIELD_BY_COLUMN = {column.removesuffix("_nano"): name for name, column in _COLUMNS.items()}


@router.get("", response=PreferencesOut, summary="Show the organization's preferences")
@in_scope
def show_organization_preferences(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """The default of the organization, which holds for every request."""
    return _told(preferences_row(holder(request).organization_id, None), response)


@router.patch("", response=PreferencesOut, summary="Change the organization's preferences")
@in_scope
def change_organization_preferences(
    request: HttpRequest, response: HttpResponse, changes: PreferencesIn, if_match: IfMatch = ""
) -> dict[str, Any]:
    """Changes the fields that are sent. It holds for the very next request."""
    return _saved(request, response, None, changes, if_match)


@router.get("/users/{uuid:user_id}", response=PreferencesOut, summary="Show a member's preferences")
@in_scope
def show_user_preferences(
    request: HttpRequest, response: HttpResponse, user_id: UUID
) -> dict[str, Any]:
    """What a member wants for the requests of their own keys."""
    _require_member(request, user_id)
    return _told(preferences_row(holder(request).organization_id, user_id), response)


@router.patch(
    "/users/{uuid:user_id}", response=PreferencesOut, summary="Change a member's preferences"
)
@in_scope
def change_user_preferences(
    request: HttpRequest,
    response: HttpResponse,
    user_id: UUID,
    changes: PreferencesIn,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Changes the fields that are sent. They only tighten what the organization allows."""
    _require_member(request, user_id)
    return _saved(request, response, user_id, changes, if_match)


def _saved(
    request: HttpRequest,
    response: HttpResponse,
    user_id: UUID | None,
    changes: PreferencesIn,
    if_match: str,
) -> dict[str, Any]:
    who = holder(request)
    try:
        with shows_current(lambda: _told(preferences_row(who.organization_id, user_id), response)):
            row = services.save_preferences(
                who.organization_id,
                user_id,
                _read(changes),
                actor=who.actor(request),
                match=match_of(if_match),
            )
    except RouterError as why:
        why.param = FIELD_BY_COLUMN.get(why.param or "", why.param)
        raise
    return _told(row, response)


def _told(row: UserRouterPreferences, response: HttpResponse) -> dict[str, Any]:
    stored = {name: getattr(row, column) for name, column in _COLUMNS.items()}
    told = {n: _usd(v) if n.endswith("_usd") else v for n, v in stored.items()}
    return tagged({**told, "updated_at": row.updated_at}, response, tag_of(row))


def _usd(nano: int | None) -> str | None:
    return None if nano is None else dollars(nano)


def _read(changes: PreferencesIn) -> dict[str, Any]:
    """The changes by column; raises 422 for what is no amount."""
    sent = changes.model_dump(exclude_unset=True)
    return {_COLUMNS[n]: _nano(n, v) if n.endswith("_usd") else v for n, v in sent.items()}


def _nano(name: str, usd: str | None) -> int | None:
    try:
        return None if usd is None else nano_from_usd(usd)
    except ValueError:
        message = "Send dollars as a decimal number in text, such as 0.05."
        raise RouterError(422, "invalid_value", message, param=name) from None


def _require_member(request: HttpRequest, user_id: UUID) -> None:
    if user_id not in member_emails(holder(request).organization_id):
        raise RouterError(404, "not_found", "There is no such member.", param="user_id")
