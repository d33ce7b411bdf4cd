"""What the preferences page shows: each field with its value, its effect and its message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from analytics.selectors import Effect, recent_effect, spend_by_day
from catalog.models import Provider
from catalog.selectors import providers
from lib.figures import count, duration
from lib.money import format_usd
from preferences.core import Priority, effective
from preferences.forms import FIELDS, Providers
from preferences.models import UserRouterPreferences
from preferences.outlook import Outlook, outlook
from preferences.selectors import preferences_row, wishes
from tenancy.core import Role
from tenancy.models import AuditEntry
from tenancy.pages import Member
from tenancy.selectors import audit_entries
from tenancy.shell import exists

MEANS = {
    Priority.BALANCED: "weighs cost, speed and quality against each other; cost a little more.",
    Priority.SPEED: "the model that answers fastest now, by measured latency.",
    Priority.COST: "the cheapest model, by the estimated cost of each request.",
    Priority.QUALITY: "the model with the highest quality score.",
    Priority.PRIVACY: "only providers marked local. Requests never leave your machines.",
}


AUDIT_LOG = "/audit-log"
SEARCHED_FROM = 5
SPREAD_DAYS = 7
# From here on cents say nothing about a whole day.
_CENTS_NANO_MAX = 10 * 10**9


class Scope(StrEnum):
    """Whose preferences are shown: everybody's default, or those of the signed-in user."""

    ORGANIZATION = "organization"
    MINE = "mine"


@dataclass(frozen=True, slots=True)
class Message:
    """What came of a save. ``undo`` is the value that takes it back.

    ``theirs`` is what somebody else stored meanwhile, as shown to people.
    """

    kind: str
    text: str
    undo: str | None = None
    theirs: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """One field of the form. ``was`` is the stored value that the page is built on."""

    name: str
    value: str
    was: str
    hint: str
    warns: bool = False
    message: Message | None = None

    @property
    def invalid(self) -> bool:
        """Whether the value in the control was refused."""
        return self.message is not None and self.message.kind == "error"

    @property
    def in_dollars(self) -> bool:
        """Whether the value is an amount of money."""
        return self.name in ("max-cost", "cost-threshold")


@dataclass(frozen=True, slots=True)
class Chip:
    """A provider in a list; ``fixed`` when the level above put it there."""

    slug: str
    name: str
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class ProviderList:
    """Preferred or blocked providers, and those that can be added."""

    name: str
    chips: tuple[Chip, ...]
    addable: tuple[Chip, ...]

    @property
    def long(self) -> bool:
        """Whether there are so many to add that one searches among them."""
        return len(self.addable) > SEARCHED_FROM

    @property
    def label(self) -> str:
        """The list's name for people."""
        return f"{self.name.capitalize()} providers"


@dataclass(frozen=True, slots=True)
class Board:
    """The whole page of one scope."""

    scope: Scope
    editable: bool
    why_not: str
    controls: Mapping[str, Control]
    lists: tuple[ProviderList, ...]
    chosen_providers: Control
    changed_by: str
    changed_at: datetime | None
    trail: str

    @property
    def mine(self) -> bool:
        """Whether these are one user's preferences."""
        return self.scope is Scope.MINE

    @property
    def priorities(self) -> tuple[tuple[str, str], ...]:
        """Values and labels of the priorities to choose from."""
        options = tuple((p.value, p.capitalize()) for p in Priority)
        return (("", "As the organization"), *options) if self.mine else options

    @property
    def max_cost(self) -> Control:
        """The field by a name that a template can say."""
        return self.controls["max-cost"]

    @property
    def max_latency(self) -> Control:
        """The field by a name that a template can say."""
        return self.controls["max-latency"]

    @property
    def cost_threshold(self) -> Control:
        """The field by a name that a template can say."""
        return self.controls["cost-threshold"]

    @property
    def without_providers(self) -> bool:
        """Whether there is no provider in any list, nor one to add."""
        return not any(one.chips or one.addable for one in self.lists)

    def control(self, name: str) -> Control:
        """A field by its name in addresses."""
        return self.chosen_providers if name == "providers" else self.controls[name]


Row = UserRouterPreferences


def row_of(scope: Scope, member: Member) -> Row:
    """The stored row of a scope, or an unsaved empty one."""
    user_id = member.user.id if scope is Scope.MINE else None
    return preferences_row(member.organization_id, user_id)


def providers_of(row: Row) -> Providers:
    """The provider lists of a row."""
    return Providers(tuple(row.preferred_providers), tuple(row.blocked_providers))


def shown_to_people(name: str, value: Any) -> str:
    """A stored value as a sentence names it."""
    if value is None:
        return {"priority": "not set", "cost-threshold": "no threshold"}.get(name, "no limit")
    if name in ("max-cost", "cost-threshold"):
        return format_usd(value, exact=True)
    return f"{count(value)} ms" if name == "max-latency" else str(value).capitalize()


def may_change(scope: Scope, member: Member) -> Role:
    """The role that changing a scope needs."""
    return Role.ADMIN if scope is Scope.ORGANIZATION else Role.MEMBER


def build(scope: Scope, member: Member) -> Board:
    """The page as it is stored. Ten queries, whatever the organization holds."""
    own = row_of(scope, member)
    above = row_of(Scope.ORGANIZATION, member) if scope is Scope.MINE else None
    catalog = [p for p in providers(member.organization_id) if p.active]
    editable = member.may(may_change(scope, member))
    entry = _last_change(own)
    now = timezone.now()
    until = [*member.midnights(now, SPREAD_DAYS), now]
    levels = [wishes(row) for row in (above, own) if row is not None]
    ahead = outlook(member.organization_id, effective(levels), catalog, now=now)
    days = spend_by_day(member.organization_id, until, own.user_id)
    why_not = ""
    if not editable:
        who = "Admins and the owner change" if above is None else "Members change"
        why_not = f"{who} these preferences; your role is {member.role}."
    return Board(
        scope=scope,
        editable=editable,
        why_not=why_not,
        controls=_controls(own, above, days, ahead),
        lists=_lists(own, above, catalog),
        chosen_providers=Control("providers", "", providers_of(own).text(), ""),
        changed_by=entry.actor if entry else "",
        changed_at=entry.created_at if entry else None,
        trail=trail_of(own),
    )


def trail_of(row: Row) -> str:
    """Where the changes of a row are listed; nothing where no page lists them or none was made."""
    if row._state.adding or not exists(AUDIT_LOG):
        return ""
    return f"{AUDIT_LOG}?{urlencode({'object': row.id})}"


def moved(before: Providers, after: Providers, names: Mapping[str, str]) -> str:
    """Says so when providers went from one list into the other, else nothing."""
    said = []
    for slugs, where in (
        (set(before.preferred) & set(after.blocked), "from preferred to blocked"),
        (set(before.blocked) & set(after.preferred), "from blocked to preferred"),
    ):
        if slugs:
            listed = ", ".join(names.get(slug, slug) for slug in sorted(slugs))
            said.append(f"{listed} moved {where}.")
    return " ".join(said)


def last_author(row: Row) -> tuple[str, datetime] | None:
    """Who changed a row last, and when."""
    entry = _last_change(row)
    return (entry.actor, entry.created_at) if entry else None


def with_message(board: Board, name: str, message: Message, *, value: str | None = None) -> Board:
    """The page with a message at one field, and what was typed there."""
    if name == "providers":
        return replace(board, chosen_providers=replace(board.chosen_providers, message=message))
    control = replace(board.controls[name], message=message)
    if value is not None:
        control = replace(control, value=value)
    return replace(board, controls={**board.controls, name: control})


def _last_change(row: Row) -> AuditEntry | None:
    if row._state.adding:
        return None
    return audit_entries(row.organization_id).filter(object_id=row.id).first()


def _controls(
    own: Row, above: Row | None, days: Sequence[int], ahead: Outlook | None
) -> dict[str, Control]:
    effect = recent_effect(
        own.organization_id,
        own.user_id,
        cost_nano=own.max_cost_per_request_nano,
        latency_ms=own.max_latency_ms,
    )
    hints = {
        "priority": _priority_hint(own, above, ahead),
        "max-cost": _cost_hint(own, above, effect, ahead),
        "max-latency": _limit_hint(own, above, "max-latency", effect),
        "cost-threshold": (_threshold_hint(own.cost_alert_threshold_nano, days), False),
    }
    made = {}
    for name, field in FIELDS.items():
        text = field.show(getattr(own, field.column))
        hint, warns = hints[name]
        # The organization has a priority even before somebody chose one.
        value = text or (Priority.BALANCED if name == "priority" and above is None else "")
        made[name] = Control(name, value, text, hint, warns)
    return made


def _priority_hint(own: Row, above: Row | None, ahead: Outlook | None) -> tuple[str, bool]:
    inherited = Priority((above and above.default_priority) or Priority.BALANCED)
    held = Priority(own.default_priority) if own.default_priority else inherited
    if inherited is Priority.PRIVACY and held is not Priority.PRIVACY:
        return "No effect: the organization asks for privacy, and that holds for everybody.", True
    hint = f"{held.capitalize()}: {MEANS[held]}"
    if ahead is not None:
        return f"{hint} {ahead}", False
    if held is Priority.PRIVACY:
        return f"{hint} None is connected yet, so every request is refused.", True
    return f"{hint} No model may answer yet: add a provider, or unblock one.", True


def _limit_hint(own: Row, above: Row | None, name: str, effect: Effect) -> tuple[str, bool]:
    column = FIELDS[name].column
    mine, theirs = getattr(own, column), getattr(above, column) if above else None
    if mine is not None and theirs is not None and mine > theirs:
        lower = shown_to_people(name, theirs)
        return f"No effect: the organization's limit of {lower} is lower.", True
    if mine is None and theirs is not None:
        return f"The organization's limit of {shown_to_people(name, theirs)} holds.", False
    last = "the last request" if effect.calls == 1 else f"the last {count(effect.calls)} requests"
    if mine is None:
        return _unlimited(name, effect, last), False
    if not effect.calls:
        return "", False
    if name == "max-latency":
        return f"{count(effect.slower)} of {last} took longer.", False
    # What a call may cost is more than it costs in the end, so these are the least.
    least = f"At least {count(effect.dearer)} of {last} would have been refused."
    return least if effect.dearer else f"In the end, {last} cost no more.", False


def _cost_hint(
    own: Row, above: Row | None, effect: Effect, ahead: Outlook | None
) -> tuple[str, bool]:
    """What was paid, and what counts instead: what a request without max_tokens could cost."""
    said, warns = _limit_hint(own, above, "max-cost", effect)
    limits = [
        row.max_cost_per_request_nano
        for row in (own, above)
        if row is not None and row.max_cost_per_request_nano is not None
    ]
    if warns or not limits or ahead is None or ahead.longest_nano is None:
        return said, warns
    over = ahead.longest_nano > min(limits)
    could = (
        "A request without max_tokens is held to the model's longest answer: it could cost "
        f"{format_usd(ahead.longest_nano)} on the cheapest model now, {ahead.longest_model}"
    )
    refused = ", so it is refused unless it sends a smaller max_tokens" if over else ""
    return f"{could}{refused}. {said}".strip(), over


def _unlimited(name: str, effect: Effect, last: str) -> str:
    if name == "max-cost" and effect.dearest_nano:
        return f"No limit. The dearest of {last} cost {format_usd(effect.dearest_nano)}."
    if name == "max-latency" and effect.p95_ms:
        return f"No limit. 95% of {last} took up to {duration(effect.p95_ms)}."
    return "No limit."


def _threshold_hint(threshold: int | None, spent: Sequence[int]) -> str:
    """What the whole days before today cost, today so far, and how many days were over."""
    *days, today = spent
    least, most = min(days), max(days)
    before = f"in the {len(days)} days before today"
    so_far = f"; {format_usd(today)} so far today" if today else ""
    if not most:
        return f"Nothing was spent {before}{so_far}."
    low, high = _about(least), _about(most)
    spread = low if low == high else f"{low}\N{EN DASH}{high}"
    said = f"You spent {spread} a day {before}{so_far}."
    if threshold is None:
        return said
    over = sum(day > threshold for day in days)
    return f"{said} {over or 'None'} of the {len(days)} {'was' if over == 1 else 'were'} over it."


def _about(nano: int) -> str:
    """An amount as precise as it has to be for a whole day."""
    return f"${round(nano / 10**9):,}" if nano >= _CENTS_NANO_MAX else format_usd(nano)


def _lists(own: Row, above: Row | None, catalog: list[Provider]) -> tuple[ProviderList, ...]:
    names = {p.slug: p.name for p in catalog}
    fixed = tuple(above.blocked_providers) if above else ()
    held = {"preferred": own.preferred_providers, "blocked": own.blocked_providers}
    lists = []
    for name, slugs in held.items():
        chips = [Chip(s, names.get(s, s)) for s in slugs if s not in fixed]
        if name == "blocked":
            chips = [*(Chip(s, names.get(s, s), fixed=True) for s in fixed), *chips]
        other = "blocked" if name == "preferred" else "preferred"
        addable = [
            Chip(p.slug, f"{p.name} (now {other})" if p.slug in held[other] else p.name)
            for p in catalog
            if p.slug not in (*slugs, *fixed)
        ]
        lists.append(ProviderList(name, tuple(chips), tuple(addable)))
    return tuple(lists)
