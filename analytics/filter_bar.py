"""The filters above the list of requests: what can be chosen, and what holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics import selectors
from analytics.filters import CUSTOM, NAMES, RANGES, STATUSES, Filters
from lib.figures import DASH
from tenancy.pages import Member
from tenancy.selectors import member_emails

DEFAULT_RANGE = "30d"


def bar(
    member: Member, filters: Filters, names: Mapping[UUID, str], now: datetime
) -> dict[str, Any]:
    """Menus with their choices; one that holds is among them, even without a call."""
    options = selectors.options(member.organization_id, now)
    emails = member_emails(member.organization_id)
    emails[member.user.id] = f"{member.user.email} (you)"
    status = [*STATUSES.items()]
    return {
        "range": _ranges(filters, member.zone()),
        "menus": [
            _menu("status", "Status", "All statuses", status, filters.status),
            _menu("model", "Model", "All models", _same(options.models), filters.model),
            _menu("key", "API key", "All keys", _named(options.keys, names), filters.key),
            _menu(
                "member", "Member", "All members", _named(options.members, emails), filters.member
            ),
        ],
        "providers": _providers(options.providers, filters.providers),
        "from": _local(filters.start, member.zone()) if filters.range == CUSTOM else "",
        "to": _local(filters.until, member.zone()) if filters.range == CUSTOM else "",
        "q": filters.q,
        "chips": _chips(filters),
    }


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """The filters of an address; the range that holds without one goes without saying."""
    return [pair for pair in filters.pairs() if pair != ("range", DEFAULT_RANGE)]


def _ranges(filters: Filters, zone: ZoneInfo) -> dict[str, Any]:
    choices = [
        ("" if word == DEFAULT_RANGE and filters.range != CUSTOM else word, label)
        for word, (label, _) in RANGES.items()
    ]
    chosen = "" if filters.range == DEFAULT_RANGE else filters.range
    if filters.range == CUSTOM:
        chosen = ""
        choices = [("", in_words(filters.start, filters.until, zone)), *choices]
    return _menu("range", "Time", "", choices, chosen)


def in_words(start: datetime | None, until: datetime | None, zone: ZoneInfo) -> str:
    """A time for people: ``9 Nov, 12:00`` to ``18:00``, with a dash between."""
    if start is None or until is None:
        edge = start or until
        said = _moment(edge.astimezone(zone)) if edge else ""
        return f"since {said}" if start else f"until {said}"
    first, last = start.astimezone(zone), until.astimezone(zone)
    if first.date() == last.date():
        return f"{_moment(first)} {DASH} {last:%H:%M}"
    return f"{_moment(first)} {DASH} {_moment(last)}"


def _moment(at: datetime) -> str:
    return f"{at.day} {at:%b, %H:%M}"


def _local(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" if at else ""


def _providers(known: Sequence[str], chosen: Sequence[str]) -> dict[str, Any]:
    every = sorted({*known, *chosen})
    only = chosen[0] if chosen else ""
    label = {0: "All providers", 1: NAMES.get(only, only)}.get(
        len(chosen), f"{len(chosen)} providers"
    )
    options = [(slug, NAMES.get(slug, slug), slug in chosen) for slug in every]
    return {"label": label, "options": options}


def _chips(filters: Filters) -> list[dict[str, str]]:
    """What no menu shows, each with the name and value that keep it in the form."""
    chips = [
        {"label": f"{name}: {value}", "name": f"tag.{name}", "value": value}
        for name, value in filters.tags
    ]
    if filters.fallback_from:
        label = f"tried first: {NAMES.get(filters.fallback_from, filters.fallback_from)}"
        chips.append({"label": label, "name": "fallback_from", "value": filters.fallback_from})
    return chips


def _menu(
    name: str, label: str, every: str, choices: Sequence[tuple[str, str]], chosen: object
) -> dict[str, Any]:
    held = str(chosen or "")
    known = any(value == held for value, _ in choices)
    more = [] if known or not held else [(held, held)]
    first = [("", every)] if every else []
    return {"name": name, "label": label, "options": [*first, *choices, *more], "chosen": held}


def _same(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def _named(ids: Sequence[UUID], names: Mapping[UUID, str]) -> list[tuple[str, str]]:
    return [(str(id_), names.get(id_, str(id_))) for id_ in ids]
