"""What one API key prefers, as a form: its own wishes, and what holds with the levels above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from catalog.selectors import provider_slugs
from preferences.board import shown_to_people
from preferences.core import Preferences, Priority, effective
from preferences.forms import FIELDS, Invalid
from preferences.models import KeyPreferences
from preferences.selectors import key_row, preferences_row, tag_of, wishes
from tenancy.models import ApiKey
from tenancy.versions import differences

# Under which ``errors`` say that somebody else changed the preferences meanwhile.
CONFLICT = "If-Match"
_LABELS = {"priority": "Priority", "max_cost": "Max cost per request", "max_latency": "Max latency"}
NAMES = ("priority", "max-cost", "max-latency")


@dataclass(frozen=True, slots=True)
class Choice:
    """One provider and where it stands: "", "preferred" or "blocked".

    ``fixed`` when a level above blocked it, which no key takes back.
    """

    slug: str
    name: str
    stands: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class WishForm:
    """A key's preferences as they are typed, with what holds beside each.

    ``version`` is that of the row which their author saw; ``overtaken`` that somebody else changed
    it since, and ``theirs`` what it says now where it differs.
    """

    values: Mapping[str, str]
    hints: Mapping[str, str]
    choices: tuple[Choice, ...]
    errors: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    overtaken: bool = False
    theirs: Sequence[tuple[str, str]] = ()

    @property
    def priorities(self) -> tuple[tuple[str, str], ...]:
        """Values and labels of the priorities."""
        return (("", "Not set"), *((p, p.capitalize()) for p in Priority))


def wish_form(
    key: ApiKey, *, typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> WishForm:
    """The form as stored, or as typed with what was refused. Four queries."""
    row = key_row(key.organization_id, key.id)
    above = _above(key)
    stored = {
        name.replace("-", "_"): FIELDS[name].show(getattr(row, FIELDS[name].column))
        for name in NAMES
    }
    form = WishForm(
        values=stored,
        hints=_hints(effective([above, wishes(row)])),
        choices=_choices(key.organization_id, row, above),
        errors=errors or {},
        version=tag_of(row),
    )
    return form if typed is None else _as_typed(form, typed)


def _as_typed(form: WishForm, typed: Mapping[str, str]) -> WishForm:
    """With what a browser sent; sent again after a conflict, it overwrites what is stored."""
    values = {name: typed.get(name, "") for name in form.values}
    choices = tuple(replace(c, stands=typed.get(f"provider-{c.slug}", "")) for c in form.choices)
    version = typed.get("version", "")
    if CONFLICT not in form.errors:
        return replace(form, values=values, choices=choices, version=version)
    theirs = differences(_LABELS, values, form.values)
    theirs += tuple(
        (there.name, there.stands or "not set")
        for there, here in zip(form.choices, choices, strict=True)
        if there.stands != here.stands
    )
    return replace(form, values=values, choices=choices, overtaken=True, theirs=theirs)


def read_wishes(posted: Any) -> dict[str, Any]:
    """Columns and values of what a browser sent; raises ``Invalid`` and names the field."""
    changes: dict[str, Any] = {}
    for name in NAMES:
        try:
            changes[FIELDS[name].column] = FIELDS[name].parse(
                posted.get(name.replace("-", "_"), "")
            )
        except Invalid as why:
            raise WishInvalid(name.replace("-", "_"), str(why)) from None
    stands = {
        name.removeprefix("provider-"): posted[name]
        for name in posted
        if name.startswith("provider-")
    }
    for where in ("preferred", "blocked"):
        changes[f"{where}_providers"] = [slug for slug, said in stands.items() if said == where]
    return changes


class WishInvalid(ValueError):
    """A typed text that is no value of its field."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _above(key: ApiKey) -> Preferences:
    organization = wishes(preferences_row(key.organization_id, None))
    if key.user_id is None:
        return effective([organization])
    return effective([organization, wishes(preferences_row(key.organization_id, key.user_id))])


def _hints(holds: Preferences) -> dict[str, str]:
    return {
        "priority": f"What holds: {holds.priority}.",
        "max_cost": f"What holds: {shown_to_people('max-cost', holds.max_cost_nano)}.",
        "max_latency": f"What holds: {shown_to_people('max-latency', holds.max_latency_ms)}.",
    }


def _choices(organization_id: UUID, row: KeyPreferences, above: Preferences) -> tuple[Choice, ...]:
    stands = dict.fromkeys(row.preferred_providers, "preferred")
    stands |= dict.fromkeys(row.blocked_providers, "blocked")
    known = provider_slugs(organization_id)
    # A provider that was removed stays named until somebody takes it out of the list.
    names = known | {slug: slug for slug in stands if slug not in known}
    return tuple(
        Choice(slug, name, stands.get(slug, ""), slug in above.blocked_providers)
        for slug, name in names.items()
    )
