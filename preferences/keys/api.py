"""/api/keys: everything that the pages of API keys do."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Status
from ninja.params.functions import Query

from lib.errors import RouterError
from lib.money import dollars, nano_from_usd
from preferences.api import FIELD_BY_COLUMN
from preferences.keys.forms import read_scopes
from preferences.keys.schemas import (
    KeyIn,
    KeyOut,
    KeyPageOut,
    KeyPatch,
    KeyPreferencesOut,
    KeyPreferencesPatch,
    NewKeyOut,
    RotateIn,
)
from preferences.models import KeyPreferences
from preferences.selectors import key_row, tag_of
from preferences.services import save_key_preferences
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged
from tenancy.key_selectors import (
    SEARCH_CHARS_MAX,
    KeyFilters,
    KeyState,
    key_of,
    key_page,
    live_secrets,
    state_of,
)
from tenancy.key_services import edit_key, key_version, member_user
from tenancy.models import ApiKey
from tenancy.services import create_key, revoke_key, rotate_key

router = Router(tags=["keys"])

_COLUMNS = {
    "priority": "default_priority",
    "max_latency_ms": "max_latency_ms",
    "preferred_providers": "preferred_providers",
    "blocked_providers": "blocked_providers",
}


@router.get("", response=KeyPageOut, summary="List API keys")
@in_scope
def list_keys(
    request: HttpRequest,
    q: Annotated[str, Query(description="Part of a name or of a member's address.")] = "",
    state: Annotated[str, Query(description="live, soon, expired or revoked.")] = "",
    cursor: Annotated[str, Query(description="next_cursor of the page before.")] = "",
) -> dict[str, Any]:
    """API keys of the organization, newest first, 50 a page; never a secret."""
    if state and state not in set(KeyState):
        raise _invalid("state", f"state is one of: {', '.join(KeyState)}.")
    filters = KeyFilters(
        text=q.replace("\x00", "").strip()[:SEARCH_CHARS_MAX],
        state=KeyState(state) if state else None,
    )
    page = key_page(
        holder(request).organization_id, filters, now=timezone.now(), older=_cursor(cursor)
    )
    return {
        "data": [_told(key) for key in page.keys],
        "next_cursor": str(page.older) if page.older else None,
    }


@router.post("", response={201: NewKeyOut}, summary="Create an API key")
@in_scope
def new_key(request: HttpRequest, wanted: KeyIn) -> Any:
    """A key with its secret, which is told this once."""
    held = holder(request)
    made = create_key(
        held.organization_id,
        name=wanted.name,
        scopes=read_scopes(wanted.scopes),
        actor=held.actor(request),
        user=member_user(held.organization_id, wanted.user_id, param="user_id"),
        expires_at=_moment(wanted.expires_at),
        allowed_networks=wanted.allowed_networks,
    )
    return Status(201, {**_told(_key(request, made.key.id)), "secret": made.secret})


@router.get("/{uuid:key_id}", response=KeyOut, summary="Show an API key")
@in_scope
def show_key(request: HttpRequest, response: HttpResponse, key_id: UUID) -> dict[str, Any]:
    """One key, without its secret."""
    key = _key(request, key_id)
    return tagged(_told(key), response, key_version(key))


@router.patch("/{uuid:key_id}", response=KeyOut, summary="Change an API key")
@in_scope
def change_key(
    request: HttpRequest,
    response: HttpResponse,
    key_id: UUID,
    wanted: KeyPatch,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Renames a key, changes its networks, its expiry or whom it acts for."""
    held = holder(request)
    changes = wanted.dict(exclude_unset=True)
    if "user_id" in changes:
        user_id = changes.pop("user_id")
        changes["user"] = member_user(held.organization_id, user_id, param="user_id")
    if "expires_at" in changes:
        changes["expires_at"] = _moment(changes["expires_at"])
    with shows_current(lambda: show_key(request, response, key_id)):
        edit_key(
            held.organization_id,
            key_id,
            changes,
            actor=held.actor(request),
            match=match_of(if_match),
        )
    return show_key(request, response, key_id)


@router.post("/{uuid:key_id}/rotate", response={201: NewKeyOut}, summary="Rotate an API key")
@in_scope
def rotate(request: HttpRequest, key_id: UUID, wanted: RotateIn) -> Any:
    """A second secret, told this once; the older ones end after the overlap."""
    held = holder(request)
    if not 0 <= wanted.overlap_hours <= 720:
        raise _invalid("overlap_hours", "The overlap is 0 to 720 hours.")
    overlap = timedelta(hours=wanted.overlap_hours)
    actor = held.actor(request)
    made = rotate_key(held.organization_id, key_id, overlap=overlap, actor=actor)
    return Status(201, {**_told(_key(request, key_id)), "secret": made.secret})


@router.post("/{uuid:key_id}/revoke", response=KeyOut, summary="Revoke an API key")
@in_scope
def revoke(request: HttpRequest, key_id: UUID) -> dict[str, Any]:
    """Ends a key for good, from the next call on."""
    held = holder(request)
    revoke_key(held.organization_id, key_id, actor=held.actor(request))
    return _told(_key(request, key_id))


@router.get(
    "/{uuid:key_id}/preferences", response=KeyPreferencesOut, summary="Show a key's preferences"
)
@in_scope
def show_preferences(request: HttpRequest, response: HttpResponse, key_id: UUID) -> dict[str, Any]:
    """What a key prefers by itself, without the levels above."""
    return _wished(key_row(holder(request).organization_id, _key(request, key_id).id), response)


@router.patch(
    "/{uuid:key_id}/preferences", response=KeyPreferencesOut, summary="Change a key's preferences"
)
@in_scope
def change_preferences(
    request: HttpRequest,
    response: HttpResponse,
    key_id: UUID,
    wanted: KeyPreferencesPatch,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Changes what a key prefers; it only tightens what holds above it."""
    held = holder(request)
    sent = wanted.dict(exclude_unset=True)
    changes = {_COLUMNS[name]: value for name, value in sent.items() if name in _COLUMNS}
    if "max_cost_usd" in sent:
        changes["max_cost_per_request_nano"] = _nano(sent["max_cost_usd"])
    actor = held.actor(request)
    try:
        with shows_current(lambda: show_preferences(request, response, key_id)):
            row = save_key_preferences(
                held.organization_id, key_id, changes, actor=actor, match=match_of(if_match)
            )
    except RouterError as why:
        why.param = FIELD_BY_COLUMN.get(why.param or "", why.param)
        raise
    return _wished(row, response)


def _key(request: HttpRequest, key_id: UUID) -> ApiKey:
    key = key_of(holder(request).organization_id, key_id)
    if key is None:
        raise RouterError(404, "not_found", "There is no such API key.", param="key_id")
    return key


def _told(key: ApiKey) -> dict[str, Any]:
    now = timezone.now()
    names = KeyOut.model_fields.keys() - {"state", "secrets"}
    told = {name: getattr(key, name) for name in names}
    secrets = [
        {
            name: getattr(secret, name)
            for name in ("prefix", "last_four", "created_at", "expires_at")
        }
        for secret in live_secrets(key, now)
    ]
    return {**told, "state": state_of(key, now).value, "secrets": secrets}


def _wished(row: KeyPreferences, response: HttpResponse) -> dict[str, Any]:
    cost = row.max_cost_per_request_nano
    told = {name: getattr(row, column) for name, column in _COLUMNS.items()}
    told["max_cost_usd"] = None if cost is None else dollars(cost)
    return tagged(told, response, tag_of(row))


def _moment(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise _invalid("expires_at", "Write the time with its offset: 2027-01-31T18:00:00Z.")
    return moment


def _nano(usd: str | None) -> int | None:
    try:
        return None if usd is None else nano_from_usd(usd)
    except ValueError as why:
        raise _invalid("max_cost_usd", str(why)) from None


def _cursor(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise _invalid("cursor", "This cursor is not one of ours.") from None


def _invalid(param: str, message: str) -> RouterError:
    return RouterError(422, "invalid_value", message, param=param)
