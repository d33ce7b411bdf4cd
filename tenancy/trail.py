"""The audit trail as people read it: which entries, in words, and as rows of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from lib.money import format_usd
from tenancy.download import BATCH_ROWS, in_batches, json_line
from tenancy.models import AuditEntry
from tenancy.selectors import audit_entries

# What can be filtered by is looked for among so many of the newest entries.
RECENT = 5000
VALUE_CHARS_MAX = 300
COLUMNS = (
    "id",
    "created_at",
    "actor_kind",
    "actor_id",
    "actor",
    "source",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "before",
    "after",
)
THINGS = {"api_key": "API key", "sso": "Single sign-on"}
VERBS = {
    "accept": "accepted",
    "add_domain": "domain added",
    "change_address": "address changed",
    "clear_price": "own price removed",
    "connect": "connected",
    "create": "created",
    "delete": "deleted",
    "edit": "changed",
    "export": "exported",
    "join": "joined",
    "leave": "left",
    "remove": "removed",
    "remove_domain": "domain removed",
    "remove_second_factors": "second factors removed",
    "require_mfa": "rule on second factors changed",
    "resend": "sent again",
    "revoke": "revoked",
    "rotate": "rotated",
    "set": "set",
    "set_price": "price set",
    "set_role": "role set",
    "update": "changed",
    "verify_domain": "domain proved",
    "withdraw": "withdrawn",
}
# Fields that are called otherwise than on the pages.
FIELDS = {
    "base_url": "address",
    "cached_nano_per_mtok": "price of cached input",
    "default_priority": "priority",
    "input_nano_per_mtok": "price of input",
    "max_cost_per_request": "most a request may cost",
    "max_latency_ms": "longest answer",
    "output_nano_per_mtok": "price of output",
    "require_mfa": "second factor required",
    "store_bodies": "prompts and answers stored",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class TrailFilters:
    """Which entries; empty is all. ``object`` is an id, or a part of a name."""

    actor: str = ""
    kind: str = ""
    action: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether anything is filtered out."""
        return any((self.actor, self.kind, self.action, self.object, self.since, self.until))


@dataclass(frozen=True, slots=True)
class Choices:
    """What the newest entries can be filtered by."""

    actors: Sequence[str]
    kinds: Sequence[str]
    actions: Sequence[str]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an entry; ``before`` is None where there was nothing before."""

    name: str
    before: str | None
    after: str | None


def entries(organization_id: UUID, filters: TrailFilters) -> QuerySet[AuditEntry]:
    """The entries that pass, the newest first. Needs the scope."""
    found = audit_entries(organization_id)
    for name, value in (
        ("actor", filters.actor),
        ("object_kind", filters.kind),
        ("action", filters.action),
        ("created_at__gte", filters.since),
        ("created_at__lt", filters.until),
    ):
        if value:
            found = found.filter(**{name: value})
    if filters.object:
        try:
            found = found.filter(object_id=UUID(filters.object))
        except ValueError:
            found = found.filter(object_name__icontains=filters.object)
    return found


def older_than(found: QuerySet[AuditEntry], entry: AuditEntry) -> QuerySet[AuditEntry]:
    """Those of the entries that come after this one in the list."""
    return found.filter(
        Q(created_at__lt=entry.created_at) | Q(created_at=entry.created_at, id__lt=entry.id),
        created_at__lte=entry.created_at,
    )


def newer_than(found: QuerySet[AuditEntry], entry: AuditEntry) -> QuerySet[AuditEntry]:
    """Those of the entries that come before this one in the list, the nearest first."""
    return found.filter(
        Q(created_at__gt=entry.created_at) | Q(created_at=entry.created_at, id__gt=entry.id),
        created_at__gte=entry.created_at,
    ).reverse()


def choices(organization_id: UUID) -> Choices:
    """Values for the filters. Needs the scope."""
    recent = audit_entries(organization_id).values_list("actor", "object_kind", "action")[:RECENT]
    found = set(recent)
    return Choices(
        actors=sorted({actor for actor, _, _ in found}),
        kinds=sorted({kind for _, kind, _ in found}),
        actions=sorted({action for _, _, action in found}),
    )


def rows(organization_id: UUID, filters: TrailFilters) -> Iterator[dict[str, Any]]:
    """Every entry that passes, the newest first, for a file; opens scopes of its own."""

    def read(last: AuditEntry | None) -> list[AuditEntry]:
        found = entries(organization_id, filters)
        return list((older_than(found, last) if last else found)[:BATCH_ROWS])

    for entry in in_batches(organization_id, read):
        yield as_dict(entry)


def as_dict(entry: AuditEntry) -> dict[str, Any]:
    """An entry by its columns."""
    return {name: getattr(entry, name) for name in COLUMNS}


def sentence(action: str) -> str:
    """An action in words: ``member.set_role`` is "Member role set"."""
    thing, _, verb = action.partition(".")
    return f"{thing_in_words(thing)} {VERBS.get(verb, verb.replace('_', ' '))}".strip()


def thing_in_words(kind: str) -> str:
    """A kind of object in words."""
    return THINGS.get(kind, kind.replace("_", " ").capitalize())


def field_changes(entry: AuditEntry) -> list[FieldChange]:
    """What an entry changed, field by field, in words; times are of the active zone."""
    before: Mapping[str, Any] = entry.before or {}
    after: Mapping[str, Any] = entry.after or {}
    return [
        FieldChange(
            FIELDS.get(name, name.replace("_", " ")),
            _in_words(name, before[name]) if name in before else None,
            _in_words(name, after[name]) if name in after else None,
        )
        for name in dict.fromkeys([*after, *before])
    ]


def _in_words(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("_nano_per_mtok"):
        return f"{format_usd(value, exact=True)} per million tokens"
    if isinstance(value, str) and name in ("max_cost_per_request", "cost_alert_threshold"):
        return f"${value}"
    if isinstance(value, int) and name.endswith("_ms"):
        return f"{value:,} ms"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return date_format(timezone.localtime(datetime.fromisoformat(value)), "j M Y, H:i:s")
    if value is None or value == "" or value == []:
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        text = ", ".join(map(str, value))
    else:
        text = value if isinstance(value, str) else json_line(value).decode()
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "…"
