"""The forms of an API key: what a person types, what it means, what is shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from lib.errors import RouterError
from tenancy.core import Scope
from tenancy.key_services import key_version
from tenancy.models import ApiKey
from tenancy.versions import CHANGED_MEANWHILE, differences

# How a form says when a key ends; "at" is the moment typed beside it.
EXPIRIES = {
    "7": "In 7 days",
    "30": "In 30 days",
    "90": "In 90 days",
    "365": "In a year",
    "never": "Never",
    "at": "At a time of your choice",
}
EXPIRY_DEFAULT = "90"
OVERLAPS = {
    "0": "At once",
    "1": "In an hour",
    "24": "In a day",
    "168": "In 7 days",
    "720": "In 30 days",
}
OVERLAP_DEFAULT = "24"
SCOPES = {
    Scope.GATEWAY: "Calls under /v1, from applications",
    Scope.ADMIN: "Configuration and reading under /api, as an admin would",
}
_LOCAL = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class KeyForm:
    """A key as it is typed. ``errors`` are messages by field.

    ``version`` is that of the key which its author saw; ``overtaken`` that somebody else changed
    the key since, and ``theirs`` what it says now where it differs.
    """

    name: str = ""
    scopes: tuple[str, ...] = (Scope.GATEWAY.value,)
    expires: str = EXPIRY_DEFAULT
    expires_at: str = ""
    networks: str = ""
    holder: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    overtaken: bool = False
    theirs: Sequence[tuple[str, str]] = ()

    def refused(self, why: RouterError, stored: KeyForm, *, holder: str) -> KeyForm:
        """With the message at its field, or with what is ``stored`` since somebody changed it.

        ``holder`` is the stored holder in words.
        """
        if why.code != CHANGED_MEANWHILE:
            return replace(self, errors={why.param or "name": why.message})
        theirs = differences(_LABELS, self._told(), {**stored._told()})
        if self.holder != stored.holder:
            theirs = (*theirs, ("Acts for", holder))
        return replace(self, version=stored.version, overtaken=True, theirs=theirs)

    def _told(self) -> dict[str, str]:
        ends = self.expires_at.replace("T", " ") if self.expires == "at" else ""
        return {
            "name": self.name.strip(),
            "expires": ends or EXPIRIES.get(self.expires, ""),
            "networks": ", ".join(read_networks(self.networks)),
        }


_LABELS = {"name": "Name", "expires": "Expires", "networks": "Allowed networks"}


def read_form(posted: Any) -> KeyForm:
    """What a browser sent."""
    return KeyForm(
        name=posted.get("name", ""),
        scopes=tuple(posted.getlist("scopes")),
        expires=posted.get("expires", EXPIRY_DEFAULT),
        expires_at=posted.get("expires_at", ""),
        networks=posted.get("networks", ""),
        holder=posted.get("holder", ""),
        version=posted.get("version", ""),
    )


def form_of(key: ApiKey, zone: ZoneInfo) -> KeyForm:
    """A key as its form shows it; the expiry in the organization's time zone."""
    ends = key.expires_at
    return KeyForm(
        name=key.name,
        scopes=tuple(key.scopes),
        expires="at" if ends else "never",
        expires_at=ends.astimezone(zone).strftime(_LOCAL) if ends else "",
        networks="\n".join(key.allowed_networks),
        holder=str(key.user_id) if key.user_id else "",
        version=key_version(key),
    )


def read_expiry(form: KeyForm, *, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the key is to end; None for never. Raises ``RouterError`` (422)."""
    if form.expires == "never":
        return None
    if form.expires == "at":
        try:
            return datetime.strptime(form.expires_at, _LOCAL).replace(tzinfo=zone)
        except ValueError:
            raise _invalid("expires_at", "Choose a date and a time.") from None
    if form.expires in EXPIRIES:
        return now + timedelta(days=int(form.expires))
    raise _invalid("expires_at", "Choose when the key expires.")


def read_scopes(words: Sequence[str]) -> list[Scope]:
    """The scopes of a form or of a request. Raises ``RouterError`` (422)."""
    try:
        return [Scope(word) for word in words]
    except ValueError:
        raise _invalid("scopes", f"Choose from: {', '.join(Scope)}.") from None


def read_networks(text: str) -> list[str]:
    """Networks by line, comma or blank."""
    return text.replace(",", " ").split()


def read_holder(text: str) -> UUID | None:
    """The user that the key acts for, or None. Raises ``RouterError`` (422)."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise _invalid("user_id", "Choose a member, or the organization.") from None


def read_overlap(text: str) -> timedelta:
    """For how long the older secrets work on. Raises ``RouterError`` (422)."""
    if text not in OVERLAPS:
        raise _invalid("overlap", "Choose when the older secret ends.")
    return timedelta(hours=int(text))


def _invalid(param: str, message: str) -> RouterError:
    return RouterError(422, "invalid_value", message, param=param)
