"""Filters as an address says them, the same on every page that shows calls. Pure.

1. ``read_filters`` takes an address's query and gives what it asks for; what it cannot read is left
   out and named in ``ignored``.
2. ``Filters.query`` writes them back, so that every link carries them on.
3. A range's days begin at midnight in the organization's zone; every time is in UTC inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from lib.ignored import Ignored

QUARTER = timedelta(minutes=15)
# How an address says since when: the label, and how many whole days before today it begins.
RANGES: Mapping[str, tuple[str, int | None]] = {
    "24h": ("Last 24 hours", None),
    "today": ("Today", 0),
    "7d": ("Last 7 days", 6),
    "14d": ("Last 14 days", 13),
    "30d": ("Last 30 days", 29),
    "90d": ("Last 90 days", 89),
}
CUSTOM = "custom"
DAYS_MAX = 800
YEAR_MIN, YEAR_MAX = 2000, 2200
GRAINS = {"auto": "Automatic", "15m": "By 15 minutes", "hour": "Hourly", "day": "Daily"}
# A status is one of these words, a class such as 4xx, or a code such as 429.
STATUSES = {
    "ok": "Succeeded",
    "failed": "Failed",
    "fallback": "After a fallback",
    "4xx": "4xx",
    "429": "429",
    "5xx": "5xx",
}
# In the place of a provider: calls that nobody answered, and calls that somebody failed at first.
NOBODY = "~none"
ANYBODY = "~any"
NAMES = {NOBODY: "no provider", ANYBODY: "any provider"}
PROVIDERS_MAX = 20
TAGS_MAX = 8
_NAME_CHARS_MAX = 80
_TEXT_CHARS_MAX = 200
_VALUE_CHARS_MAX = 512
_TAG = "tag."
# What is looked for as team=legal is a tag; that which only ends so, as base64 does, is a value.
_NAMED = re.compile(r"([\w.-]+)=([^=].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls are looked at; empty looks at all.

    ``start`` is the first moment and ``until`` the first one after; None is without a bound.
    ``range`` is a word of ``RANGES``, ``custom``, or empty for any time. ``fallback_from`` is the
    provider that was tried first and failed. ``q`` is a call's id, or the value of any tag.
    ``grain`` and ``compare`` are about charts alone.
    """

    range: str = ""
    start: datetime | None = None
    until: datetime | None = None
    providers: tuple[str, ...] = ()
    model: str = ""
    key: UUID | None = None
    member: UUID | None = None
    status: str = ""
    fallback_from: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    q: str = ""
    grain: str = "auto"
    compare: bool = False
    ignored: tuple[Ignored, ...] = ()
    # The zone's own words for a custom range, as they were given.
    given: tuple[str, str] = ("", "")

    @property
    def any(self) -> bool:
        """Whether anything is filtered out, be it by time alone."""
        return bool(self.start or self.until or self.narrowed)

    @property
    def narrowed(self) -> bool:
        """Whether anything but the time filters calls out."""
        return bool(
            self.providers
            or self.model
            or self.key
            or self.member
            or self.status
            or self.fallback_from
            or self.tags
            or self.q
        )

    @property
    def answered_by(self) -> list[str]:
        """The providers as the ledger names them: nobody is empty there."""
        return ["" if name == NOBODY else name for name in self.providers]

    @property
    def tried_first(self) -> str:
        """The one provider that failed at first; empty for any."""
        return "" if self.fallback_from == ANYBODY else self.fallback_from

    @property
    def is_after_fallback(self) -> bool:
        """Whether only calls after a fallback are looked at, whoever was tried first."""
        return self.status == "fallback" or self.fallback_from == ANYBODY

    @property
    def status_codes(self) -> tuple[int, int] | None:
        """The first and last HTTP status that a code or class means; None for words."""
        if self.status.isdigit():
            return int(self.status), int(self.status)
        if self.status.endswith("xx"):
            return int(self.status[0]) * 100, int(self.status[0]) * 100 + 99
        return None

    def pairs(self) -> list[tuple[str, str]]:
        """The filters as names and values of an address, in a fixed order."""
        given = dict(zip(("from", "to"), self.given, strict=True)) if self.range == CUSTOM else {}
        said = [
            ("range", "" if self.range == CUSTOM else self.range),
            *given.items(),
            ("grain", "" if self.grain == "auto" else self.grain),
            ("compare", "prev" if self.compare else ""),
            *(("provider", provider) for provider in self.providers),
            ("model", self.model),
            ("key", str(self.key or "")),
            ("member", str(self.member or "")),
            ("status", self.status),
            ("fallback_from", self.fallback_from),
            *((_TAG + name, value) for name, value in self.tags),
            ("q", self.q),
        ]
        return [(name, value) for name, value in said if value]

    def query(self, **changes: Any) -> str:
        """The filters as an address's query without ``?``, with fields of ``Filters`` changed."""
        return urlencode(replace(self, **changes).pairs())

    def but(self, **changes: Any) -> Filters:
        """The same filters with some fields changed."""
        return replace(self, **changes)


def read_filters(
    query: Mapping[str, Sequence[str]], *, now: datetime, zone: ZoneInfo, default: str = ""
) -> Filters:
    """The filters of an address's query, such as ``dict(request.GET.lists())``.

    ``default`` is the range that holds where the query names none.
    """
    reader = _Reader(query)
    tags, q = _tag_of(reader.text("q", _VALUE_CHARS_MAX).strip())
    found = Filters(
        providers=reader.names("provider"),
        model=reader.text("model"),
        key=reader.uuid("key"),
        member=reader.uuid("member"),
        status=reader.status(),
        fallback_from=reader.text("fallback_from"),
        tags=tuple(dict((*reader.tags(), *tags)).items()),
        q=q,
        grain=reader.choice("grain", tuple(GRAINS)) or "auto",
        compare=reader.choice("compare", ("prev",)) == "prev",
    )
    return replace(
        _in_time(found, reader, now=now, zone=zone, default=default), ignored=reader.told
    )


def _tag_of(q: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """What is looked for as a tag where it says the tag's name, else as it stands."""
    named = _NAMED.fullmatch(q)
    return (((named[1], named[2].strip()),), "") if named and named[2].strip() else ((), q)


def previous(filters: Filters, *, zone: ZoneInfo) -> Filters:
    """The same filters over the time just before, as long and at the same times of day.

    Raises ValueError without a start and an end.
    """
    if filters.start is None or filters.until is None:
        raise ValueError("Only a time with both ends has one before it.")
    length = filters.until - filters.start
    days = -(-length // timedelta(days=1))
    # By the clock on the wall, so that midnight stays midnight when the clocks change.
    start = _wall_back(filters.start, days, zone)
    until = min(_wall_back(filters.until, days, zone), filters.start)
    return replace(filters, start=start, until=until, range=CUSTOM, given=_said(start, until, zone))


def between(filters: Filters, start: datetime, until: datetime, *, zone: ZoneInfo) -> Filters:
    """The same filters over another time."""
    return replace(filters, range=CUSTOM, start=start, until=until, given=_said(start, until, zone))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a zone, in UTC."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _in_time(
    found: Filters, reader: _Reader, *, now: datetime, zone: ZoneInfo, default: str
) -> Filters:
    asked = reader.choice("range", (*RANGES, CUSTOM))
    # A named range holds against ends that a form still had in its fields.
    if asked in ("", CUSTOM):
        start, until, given = _ends(reader, now=now, zone=zone)
        if start or until:
            return replace(found, range=CUSTOM, start=start, until=until, given=given)
        if asked and not reader.told:
            reader.complain("range", "Say when it begins or ends, in from and to.", asked)
    asked = asked if asked in RANGES else default
    if asked not in RANGES:
        return found
    end = ceil_quarter(now)
    days = RANGES[asked][1]
    if days is None:
        return replace(found, range=asked, start=end - timedelta(days=1), until=end)
    today = now.astimezone(zone).date()
    return replace(found, range=asked, start=midnight(today - timedelta(days), zone), until=end)


def _ends(
    reader: _Reader, *, now: datetime, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None, tuple[str, str]]:
    """Both ends of a custom time, as far as they can be, and in the words that gave them."""
    first, last = reader.text("from"), reader.text("to")
    start, until = reader.moment("from", first, zone), reader.moment("to", last, zone)
    if start and start >= now:
        reader.complain("from", "It lies ahead, where there is no request yet.", first)
        start = None
    if start and until and until <= start:
        reader.complain("to", "It does not lie after the beginning.", last)
        until = None
    if start and (until or now) - start > timedelta(days=DAYS_MAX):
        reader.complain("from", f"A time has at most {DAYS_MAX} days.", first)
        start = None
    given = (first if start else "", last if until else "")
    # There is nothing past today; its whole day stays, for it is what a day as an end means.
    tonight = midnight(now.astimezone(zone).date() + timedelta(days=1), zone)
    until = min(until, tonight) if until else ceil_quarter(now) if start else None
    return start, until, given


def ceil_quarter(at: datetime) -> datetime:
    """The next full quarter of an hour: rollups know no finer time."""
    return at + (datetime.min.replace(tzinfo=UTC) - at) % QUARTER


def _calendar(at: datetime) -> datetime:
    """A moment with room around it: the ends of the calendar have no day before or after."""
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise ValueError(f"{at.year} is no year of ours.")
    return at


def _wall_back(at: datetime, days: int, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    return (local - timedelta(days=days)).astimezone(UTC)


def _said(start: datetime, until: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """Both ends as an address says them: with their offset, so that no hour is ambiguous."""
    return (
        start.astimezone(zone).isoformat(timespec="minutes"),
        until.astimezone(zone).isoformat(timespec="minutes"),
    )


class _Reader:
    """Reads one query and remembers what was wrong with it."""

    def __init__(self, query: Mapping[str, Sequence[str]]) -> None:
        self._query = query
        self._told: list[Ignored] = []

    @property
    def told(self) -> tuple[Ignored, ...]:
        return tuple(self._told)

    def complain(self, param: str, message: str, value: str) -> None:
        self._told.append(Ignored(param, value, message))

    def text(self, name: str, chars_max: int = _TEXT_CHARS_MAX) -> str:
        values = self._query.get(name, ())
        return self._clean(name, values[-1], chars_max) if values else ""

    def names(self, name: str) -> tuple[str, ...]:
        cleaned = (self._clean(name, v, _NAME_CHARS_MAX) for v in self._query.get(name, ()))
        return tuple(dict.fromkeys(value for value in cleaned if value))[:PROVIDERS_MAX]

    def tags(self) -> tuple[tuple[str, str], ...]:
        found = [
            (
                self._clean(name, name[len(_TAG) :], _TEXT_CHARS_MAX),
                self.text(name, _VALUE_CHARS_MAX),
            )
            for name in self._query
            if name.startswith(_TAG)
        ]
        # A form has one field for both: team=legal.
        for typed in self._query.get("tag", ()):
            name, _, value = self._clean("tag", typed, 712).partition("=")
            if typed and not value:
                self.complain("tag", "Write name=value, such as team=legal.", typed)
            found.append((name.strip(), value.strip()))
        kept = {name: value for name, value in found if name and value}
        return tuple(kept.items())[:TAGS_MAX]

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name)
        if value and value not in choices:
            self.complain(name, f"Use one of: {', '.join(choices)}.", value)
            return ""
        return value

    def status(self) -> str:
        value = self.text("status")
        is_code = value.isascii() and value.isdigit() and 100 <= int(value[:4]) <= 599
        if not value or value in STATUSES or is_code:
            return value
        if len(value) == 3 and value[0] in "12345" and value[1:] == "xx":
            return value
        words = "Use ok, failed, fallback, a class such as 5xx, or a code such as 429."
        self.complain("status", words, value)
        return ""

    def uuid(self, name: str) -> UUID | None:
        value = self.text(name)
        try:
            return UUID(value) if value else None
        except ValueError:
            whose = {"key": "an API key", "member": "a member"}.get(name, name)
            self.complain(name, f"Use the id of {whose}.", value)
            return None

    def moment(self, name: str, value: str, zone: ZoneInfo) -> datetime | None:
        """A day such as 2026-11-01, of which ``to`` means the end, or a moment."""
        if not value:
            return None
        try:
            if len(value) == 10:
                day = date.fromisoformat(value) + timedelta(days=name == "to")
                return _calendar(midnight(day, zone))
            # A plus sign that nobody escaped is a blank in a query.
            at = datetime.fromisoformat(value.replace(" ", "+"))
            return _calendar((at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC))
        except (ValueError, OverflowError):
            message = "Use a day such as 2026-11-01, or a time such as 2026-11-01T18:00."
            self.complain(name, message, value)
            return None

    def _clean(self, name: str, value: str, chars_max: int) -> str:
        if "\x00" in value:
            self.complain(name, "No name holds a NUL.", value)
            return ""
        return value[:chars_max]
