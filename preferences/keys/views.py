"""The list of API keys, the way to a new one, and each key's page.

1. A secret is part of one answer alone, that of the form which made it; no address shows it.
2. Such a form carries a word that counts once, so that a reload makes no second key.
3. What a button does in a dialog it does on a page of its own too, for browsers without scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from analytics.selectors import calls_of_key
from lib.errors import RouterError
from preferences.keys.forms import (
    EXPIRIES,
    OVERLAP_DEFAULT,
    OVERLAPS,
    SCOPES,
    KeyForm,
    form_of,
    read_expiry,
    read_form,
    read_holder,
    read_networks,
    read_overlap,
    read_scopes,
)
from preferences.keys.rights import (
    holder_of,
    key_for,
    require_change,
    require_own,
    why_narrow,
)
from preferences.keys.snippets import snippets
from preferences.keys.wishes import WishInvalid, read_wishes, wish_form
from preferences.services import save_key_preferences
from tenancy.core import Role, Scope
from tenancy.key_selectors import (
    SEARCH_CHARS_MAX,
    KeyFilters,
    KeyState,
    key_page,
    live_secrets,
    maker_now,
    member_users,
    state_of,
)
from tenancy.key_services import edit_key, member_user
from tenancy.models import ApiKey, new_id
from tenancy.pages import MemberRequest, keep_fragments_apart, member_page, render_page
from tenancy.services import NewKey, create_key, revoke_key, rotate_key
from tenancy.versions import page_status

LIST = "/api-keys"
STATES = {
    KeyState.LIVE: ("ok", "Live"),
    KeyState.SOON: ("warn", "Expires soon"),
    KeyState.EXPIRED: ("plain", "Expired"),
    KeyState.REVOKED: ("plain", "Revoked"),
}
USED_WITHIN = timedelta(hours=24)
ONCE_IN_SESSION = "made-once"
ONCE_MAX = 50


@require_safe
@member_page
def key_list(request: MemberRequest) -> HttpResponse:
    """Fifty keys; what is searched for and the place in the list are in the address."""
    member = request.member
    filters = _filters(request)
    now = timezone.now()
    page = key_page(
        member.organization_id, filters, now=now, older=_uuid(request.GET.get("older", ""))
    )
    found = {"q": filters.text, "state": filters.state or ""}
    context = {
        "title": "API keys",
        "rows": [_row(key) for key in page.keys],
        "older": f"{LIST}?{_query(**found, older=page.older)}" if page.older else "",
        "is_first": "older" not in request.GET,
        "filters": filters,
        "states": [(state.value, label) for state, (_, label) in STATES.items()],
        "filtered": bool(filters.text or filters.state),
        "narrow": why_narrow(member),
        "zone": member.time_zone,
        **_form_context(request, KeyForm()),
    }
    return render_page(request, "keys/list.html", context, target="results")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def new_key(request: MemberRequest) -> HttpResponse:
    """The form for a key; then the key with its secret, this once."""
    request.member.require(Role.MEMBER)
    if request.method != "POST":
        return _new_page(request, KeyForm())
    form = read_form(request.POST)
    if _is_taken(request):
        return _already(request)
    try:
        made = _create(request, form)
    except RouterError as why:
        refused = replace(form, errors={why.param or "name": why.message})
        return _new_page(request, refused, status=why.status)
    return _shown_once(request, made, rotated=False)


def _create(request: MemberRequest, form: KeyForm) -> NewKey:
    member = request.member
    scopes = read_scopes(form.scopes)
    user_id = read_holder(form.holder) if member.may(Role.ADMIN) else member.user.id
    require_own(member, scopes=scopes, user_id=user_id)
    made = create_key(
        member.organization_id,
        name=form.name,
        scopes=scopes,
        actor=member.actor(request),
        user=member_user(member.organization_id, user_id, param="user_id"),
        expires_at=read_expiry(form, now=timezone.now(), zone=member.zone()),
        allowed_networks=read_networks(form.networks),
    )
    _take(request)
    return made


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def key_page_view(request: MemberRequest, key_id: UUID) -> HttpResponse:
    """One key (GET), or its name, networks, expiry and member changed (POST)."""
    key = key_for(request.member, key_id)
    if request.method != "POST":
        return _key(request, key)
    member = request.member
    require_change(member, key)
    form = replace(read_form(request.POST), scopes=tuple(key.scopes))
    try:
        changes: dict[str, Any] = {
            "name": form.name,
            "allowed_networks": read_networks(form.networks),
        }
        if form.expires != "at" or form.expires_at != form_of(key, member.zone()).expires_at:
            changes["expires_at"] = read_expiry(form, now=timezone.now(), zone=member.zone())
        if member.may(Role.ADMIN):
            user_id = read_holder(form.holder)
            if user_id != key.user_id:
                changes["user"] = member_user(member.organization_id, user_id, param="user_id")
        match, actor = form.version or None, member.actor(request)
        edit_key(member.organization_id, key.id, changes, actor=actor, match=match)
    except RouterError as why:
        key = key_for(member, key_id)
        holder = key.user.email if key.user else "the organization"
        refused = form.refused(why, form_of(key, member.zone()), holder=holder)
        return _key(request, key, form=refused, status=page_status(why))
    messages.success(request, "Saved. It holds from the next call on.")
    return HttpResponseRedirect(f"{LIST}/{key.id}")


@require_http_methods(["POST"])
@member_page
def key_wishes(request: MemberRequest, key_id: UUID) -> HttpResponse:
    """Saves what the key prefers."""
    member = request.member
    key = key_for(member, key_id)
    require_change(member, key)
    try:
        changes = read_wishes(request.POST)
        actor = member.actor(request)
        match = request.POST.get("version") or None
        save_key_preferences(member.organization_id, key.id, changes, actor=actor, match=match)
    except WishInvalid as why:
        errors, status = {why.name: str(why)}, int(HTTPStatus.UNPROCESSABLE_ENTITY)
    except RouterError as refused:
        param = (refused.param or "").replace("_per_request", "").replace("_ms", "")
        errors, status = {param.removeprefix("default_"): refused.message}, page_status(refused)
    else:
        messages.success(request, "Preferences saved. They hold from the next call on.")
        return HttpResponseRedirect(f"{LIST}/{key.id}")
    return _key(request, key, typed=request.POST, wish_errors=errors, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def rotate(request: MemberRequest, key_id: UUID) -> HttpResponse:
    """Asks when the older secret ends; then the new one, this once."""
    member = request.member
    key = key_for(member, key_id)
    require_change(member, key)
    error, status = "", int(HTTPStatus.OK)
    if request.method == "POST":
        if _is_taken(request):
            return _already(request)
        try:
            overlap = read_overlap(request.POST.get("overlap", ""))
            actor = member.actor(request)
            made = rotate_key(member.organization_id, key.id, overlap=overlap, actor=actor)
        except RouterError as why:
            error, status = why.message, why.status
        else:
            _take(request)
            return _shown_once(request, made, rotated=True)
    context = {"title": f"Rotate {key.name}", "row": _row(key), "error": error}
    return render_page(request, "keys/rotate.html", {**context, **_rotate_context()}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def revoke(request: MemberRequest, key_id: UUID) -> HttpResponse:
    """Says what stops, and ends the key for good; a key in use only after its name was typed."""
    member = request.member
    key = key_for(member, key_id)
    member.require(Role.MEMBER)
    used = calls_of_key(member.organization_id, key.id, timezone.now() - USED_WITHIN)
    error, status = "", int(HTTPStatus.OK)
    if request.method == "POST":
        if _in_use(key, used) and request.POST.get("name", "").strip() != key.name.strip():
            error = "Type the key's name as it stands here; the key is in use."
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        else:
            try:
                revoke_key(member.organization_id, key.id, actor=member.actor(request))
            except RouterError as why:
                error, status = why.message, why.status
            else:
                messages.success(request, f"{key.name} is revoked. Its next call is refused.")
                return HttpResponseRedirect(f"{LIST}/{key.id}")
    context = {"title": f"Revoke {key.name}", "row": _row(key), "used": used, "error": error}
    context["in_use"] = _in_use(key, used)
    return render_page(request, "keys/revoke.html", context, status=status)


def _key(
    request: MemberRequest,
    key: ApiKey,
    *,
    form: KeyForm | None = None,
    typed: Mapping[str, str] | None = None,
    wish_errors: dict[str, str] | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    member = request.member
    live = key.revoked_at is None
    used = calls_of_key(member.organization_id, key.id, timezone.now() - USED_WITHIN)
    context = {
        "title": key.name,
        "row": _row(key),
        "secrets": live_secrets(key, timezone.now()),
        "used": used,
        "in_use": _in_use(key, used),
        "editable": live and member.may(Role.MEMBER),
        "why_not": "" if live else "This key is revoked. That is for good; make another key.",
        "narrow": "" if member.may(Role.MEMBER) else why_narrow(member),
        "wishes": wish_form(key, typed=typed, errors=wish_errors),
        **_form_context(request, form or form_of(key, member.zone())),
        **_rotate_context(),
    }
    return render_page(request, "keys/key.html", context, status=status)


def _new_page(
    request: MemberRequest, form: KeyForm, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {"title": "Create an API key", **_form_context(request, form)}
    return render_page(request, "keys/new.html", context, status=status)


def _shown_once(request: MemberRequest, made: NewKey, *, rotated: bool) -> HttpResponse:
    """The only answer that a secret is in; no cache keeps it."""
    only_admin = Scope.GATEWAY.value not in made.key.scopes
    context = {
        "title": f"{made.key.name} has a new secret" if rotated else f"{made.key.name} is ready",
        "key": made.key,
        "secret": made.secret,
        "snippets": snippets(settings.PUBLIC_URL, made.secret, is_admin=only_admin),
        "rotated": rotated,
        "older": [s for s in live_secrets(_fresh(made.key), timezone.now()) if s.expires_at],
    }
    response = render_page(request, "keys/made.html", context, status=HTTPStatus.CREATED)
    response.headers["Cache-Control"] = "no-store"
    return response


def _fresh(key: ApiKey) -> ApiKey:
    return ApiKey.objects.prefetch_related("secrets").get(
        organization_id=key.organization_id, id=key.id
    )


def _already(request: MemberRequest) -> HttpResponse:
    """The answer to a form that is sent a second time: no second key, no secret."""
    messages.info(request, "That secret was shown already, and only once. Rotate for another.")
    response = HttpResponseRedirect(LIST)
    keep_fragments_apart(response)
    return response


def _in_use(key: ApiKey, calls: int) -> bool:
    """Whether anything was done with it in the last day: calls, or requests to /api."""
    last = key.last_used_at
    return bool(calls) or (last is not None and last > timezone.now() - USED_WITHIN)


def _is_taken(request: MemberRequest) -> bool:
    word = request.POST.get("once", "")
    return bool(word) and word in request.session.get(ONCE_IN_SESSION, [])


def _take(request: MemberRequest) -> None:
    word = request.POST.get("once", "")[:64]
    if word:
        taken = request.session.get(ONCE_IN_SESSION, [])
        request.session[ONCE_IN_SESSION] = [*taken, word][-ONCE_MAX:]


def _form_context(request: MemberRequest, form: KeyForm) -> dict[str, Any]:
    member = request.member
    admin = member.may(Role.ADMIN)
    scopes = [(s.value, label, s.value in form.scopes) for s, label in SCOPES.items()]
    return {
        "form": form,
        "may_create": member.may(Role.MEMBER),
        "for_anybody": admin,
        "scopes": scopes if admin else scopes[:1],
        "expiries": list(EXPIRIES.items()),
        "members": [(str(u.id), str(u.email)) for u in member_users(member.organization_id)]
        if admin
        else [],
        "me": str(member.user.id),
        "zone": member.time_zone,
        "once": new_id().hex,
    }


def _rotate_context() -> dict[str, Any]:
    return {
        "overlaps": list(OVERLAPS.items()),
        "overlap": OVERLAP_DEFAULT,
        "rotate_once": new_id().hex,
    }


def _row(key: ApiKey) -> dict[str, Any]:
    now = timezone.now()
    state = state_of(key, now)
    tone, label = STATES[state]
    return {
        "key": key,
        "state": state,
        "tone": tone,
        "label": label,
        "maker_now": maker_now(key),
        "secrets": live_secrets(key, now),
    }


def _filters(request: MemberRequest) -> KeyFilters:
    state = request.GET.get("state", "")
    return KeyFilters(
        # Postgres takes no NUL, and no name has one.
        text=request.GET.get("q", "").replace("\x00", "").strip()[:SEARCH_CHARS_MAX],
        state=KeyState(state) if state in set(KeyState) else None,
        holder=holder_of(request.member),
    )


def _query(**said: Any) -> str:
    return urlencode({name: str(value) for name, value in said.items() if value})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
