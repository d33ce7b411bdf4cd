"""Changes of preferences; each is checked, audited and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from catalog.selectors import provider_slugs
from lib.errors import RouterError
from lib.money import dollars
from preferences.core import LATENCY_MS_MAX, LATENCY_MS_MIN, Priority
from preferences.models import KeyPreferences, UserRouterPreferences, Wishes
from preferences.selectors import UNSAVED, of_user, tag_of
from tenancy import audit
from tenancy.core import Actor
from tenancy.models import ApiKey, User, new_id
from tenancy.scope import tenant_scope
from tenancy.versions import changed_meanwhile

COST_NANO_MAX = 1_000 * 10**9
THRESHOLD_NANO_MAX = 1_000_000 * 10**9
PROVIDERS_MAX = 50


def save_preferences(
    organization_id: UUID,
    user_id: UUID | None,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    version: datetime | None = None,
    match: str | None = None,
) -> UserRouterPreferences:
    """Changes fields of a user's preferences, or of the organization's default without a user.

    ``changes`` maps column names to values; money is integer nano-USD, None clears a field.
    ``version`` is the ``updated_at`` that the editor saw. Raises ``RouterError``: 422 naming the
    field that is wrong, 409 when somebody else changed one of the fields since ``version``, and
    412 when ``match`` is given and is not the row's ``tag_of``.
    """
    with tenant_scope(organization_id), transaction.atomic():
        row, is_new = _locked(organization_id, user_id)
        _check_match(row, match, is_new=is_new)
        if version is not None and row.updated_at and row.updated_at > version:
            _refuse_stale(row, changes, version)
        before = as_dict(row)
        _apply(row, changes, organization_id)
        row.save()
        audit.record(
            organization_id,
            actor,
            action="preferences.update",
            kind="preferences",
            object_id=row.id,
            name=_whose(user_id),
            before=before,
            after=as_dict(row),
        )
    return row


def save_key_preferences(
    organization_id: UUID,
    key_id: UUID,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    match: str | None = None,
) -> KeyPreferences:
    """As ``save_preferences``, for the calls of one API key; 404 for an unknown key."""
    with tenant_scope(organization_id), transaction.atomic():
        key = ApiKey.objects.filter(organization_id=organization_id, id=key_id).first()
        if key is None:
            raise RouterError(404, "not_found", "There is no such API key.", param="id")
        row, is_new = KeyPreferences.objects.select_for_update().get_or_create(
            organization_id=organization_id, api_key=key
        )
        _check_match(row, match, is_new=is_new)
        before = as_dict(row)
        _apply(row, changes, organization_id)
        row.save()
        after = as_dict(row)
        audit.record_of(key, actor, "preferences.update", before=before, after=after)
    return row


def _whose(user_id: UUID | None) -> str:
    """What the audit trail calls the preferences: a key changes those of whom it acts for."""
    if user_id is None:
        return "organization default"
    return f"preferences of {User.objects.values_list('email', flat=True).get(id=user_id)}"


def as_dict(row: Wishes) -> dict[str, Any]:
    """A row's fields by column name, money as decimal USD in text, for the audit trail."""
    cost = row.max_cost_per_request_nano
    told: dict[str, Any] = {
        "default_priority": row.default_priority,
        "max_cost_per_request": None if cost is None else dollars(cost),
        "max_latency_ms": row.max_latency_ms,
        "preferred_providers": list(row.preferred_providers),
        "blocked_providers": list(row.blocked_providers),
    }
    if isinstance(row, UserRouterPreferences):
        threshold = row.cost_alert_threshold_nano
        told["cost_alert_threshold"] = None if threshold is None else dollars(threshold)
    return told


def _locked(organization_id: UUID, user_id: UUID | None) -> tuple[UserRouterPreferences, bool]:
    """The row under lock, made when there is none yet, and whether it was."""
    made = UserRouterPreferences(id=new_id(), organization_id=organization_id, user_id=user_id)
    if not of_user(organization_id, user_id).exists():
        # Two first savers may meet here; the unique constraint lets one row through.
        UserRouterPreferences.objects.bulk_create([made], ignore_conflicts=True)
    row = of_user(organization_id, user_id).select_for_update().get()
    return row, row.id == made.id


def _check_match(row: Wishes, match: str | None, *, is_new: bool) -> None:
    held = UNSAVED if is_new else tag_of(row)
    if match not in (None, held):
        raise changed_meanwhile()


def _refuse_stale(row: Wishes, changes: Mapping[str, Any], version: datetime) -> None:
    from tenancy.models import AuditEntry

    entries = AuditEntry.objects.filter(
        organization_id=row.organization_id, object_id=row.id, created_at__gt=version
    ).order_by("created_at", "id")
    # The first is the entry of ``version`` itself: it is written after its row.
    since = list(entries)[1:]
    names = {name.removesuffix("_nano") for name in changes}
    for entry in reversed(since):
        touched = names & set(entry.after or {})
        for name in sorted(touched):
            value = (entry.after or {}).get(name)
            shown = ", ".join(value) if isinstance(value, list) else value
            raise RouterError(
                409,
                "changed_meanwhile",
                f"{entry.actor} changed this to {'empty' if shown in (None, '') else shown} "
                "meanwhile. Keep yours, or use theirs.",
                param=name,
            )


def _apply(row: Wishes, changes: Mapping[str, Any], organization_id: UUID) -> None:
    for name, value in changes.items():
        check = _CHECKS.get(name)
        if check is None or not hasattr(row, name):
            raise _invalid(name, f"There is no preference called {name}.")
        setattr(row, name, check(name, value, organization_id))
    both = sorted(set(row.preferred_providers) & set(row.blocked_providers))
    if both:
        field = "blocked_providers" if "preferred_providers" in changes else "preferred_providers"
        if field in changes:
            raise _invalid(field, f"{both[0]} cannot be both preferred and blocked.")
        # The list that was just changed wins; the provider moves out of the other one.
        setattr(row, field, [p for p in getattr(row, field) if p not in both])


def _invalid(param: str, message: str) -> RouterError:
    return RouterError(422, "invalid_value", message, param=param.removesuffix("_nano"))


def _priority(name: str, value: Any, organization_id: UUID) -> str | None:
    if value in (None, ""):
        return None
    try:
        return Priority(value).value
    except ValueError:
        raise _invalid(name, f"Choose one of: {', '.join(Priority)}.") from None


def _money(name: str, value: Any, organization_id: UUID) -> int | None:
    limit = COST_NANO_MAX if name == "max_cost_per_request_nano" else THRESHOLD_NANO_MAX
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= limit:
        raise _invalid(name, f"Enter an amount above $0, up to ${limit // 10**9:,}.")
    return value


def _latency(name: str, value: Any, organization_id: UUID) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or not LATENCY_MS_MIN <= value <= LATENCY_MS_MAX:
        raise _invalid(name, f"Enter {LATENCY_MS_MIN} to {LATENCY_MS_MAX:,} ms.")
    return value


def _providers(name: str, value: Any, organization_id: UUID) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > PROVIDERS_MAX:
        raise _invalid(name, f"Send a list of at most {PROVIDERS_MAX} providers.")
    known = provider_slugs(organization_id)
    for slug in value:
        if not isinstance(slug, str) or slug not in known:
            listed = ", ".join(sorted(known)) or "none yet"
            raise _invalid(name, f'"{slug}" is not a provider here. There are: {listed}.')
    return list(dict.fromkeys(value))


_CHECKS = {
    "default_priority": _priority,
    "max_cost_per_request_nano": _money,
    "cost_alert_threshold_nano": _money,
    "max_latency_ms": _latency,
    "preferred_providers": _providers,
    "blocked_providers": _providers,
}
