"""manage.py api_key: an organization's API keys, without a browser."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils import timezone

from project.management.operator_command import (
    OPERATOR,
    OperatorCommand,
    organization_of,
    parse_id,
    words_of,
)
from tenancy.core import Scope
from tenancy.models import ApiKey
from tenancy.selectors import api_keys
from tenancy.services import NewKey, create_key, revoke_key, rotate_key

COLUMNS = ("id", "name", "scopes", "secrets", "state", "expires_at", "last_used_at")


class Command(OperatorCommand):
    """Lists, creates, rotates and revokes; a secret is shown this once and never again."""

    help = "List, create, rotate and revoke the API keys of an organization."
    options_by_param: ClassVar[Mapping[str, str]] = {"id": "KEY_ID", "overlap": "--overlap-hours"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A verb and what it needs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self.verb(verbs, "list", "Show every key, revoked ones too, without its secret.")
        create = self.verb(verbs, "create", "Create a key and print its secret, this once.")
        create.add_argument("--name", required=True, help="what the key is for, in one line")
        create.add_argument(
            "--scopes",
            default="gateway",
            help="comma-separated: gateway for calls under /v1, admin for /api (default: gateway)",
        )
        create.add_argument(
            "--expires-at",
            metavar="TIME",
            help="when it ends, such as 2027-01-31 or 2027-01-31T18:00+01:00; UTC without an "
            "offset (default: never)",
        )
        create.add_argument(
            "--allowed-networks",
            default="",
            metavar="CIDRS",
            help="comma-separated networks that may use it, such as 203.0.113.0/24 (default: all)",
        )
        rotate = self.verb(verbs, "rotate", "Give a key a new secret and print it, this once.")
        rotate.add_argument("key_id", metavar="KEY_ID", help="the key's id, as list shows it")
        rotate.add_argument(
            "--overlap-hours",
            type=int,
            default=24,
            metavar="N",
            help="for how long the older secret works on, 0 to 720 (default: 24)",
        )
        revoke = self.verb(verbs, "revoke", "End a key for good, from the next call on.")
        revoke.add_argument("key_id", metavar="KEY_ID", help="the key's id, as list shows it")

    def do_list(self, options: dict[str, Any]) -> None:
        """Every key."""
        with organization_of(options) as organization_id:
            rows = [_row(key) for key in api_keys(organization_id)]
        self.show_all(rows, COLUMNS, options)

    def do_create(self, options: dict[str, Any]) -> None:
        """A new key with its secret."""
        try:
            scopes = [Scope(word) for word in words_of(options["scopes"])]
        except ValueError:
            raise CommandError(f"--scopes: Choose from {', '.join(Scope)}.") from None
        with organization_of(options) as organization_id:
            new = create_key(
                organization_id,
                name=options["name"],
                scopes=scopes,
                actor=OPERATOR,
                expires_at=_moment(options["expires_at"]),
                allowed_networks=words_of(options["allowed_networks"]),
            )
        self.show(_shown(new), options)

    def do_rotate(self, options: dict[str, Any]) -> None:
        """A second secret."""
        key_id = parse_id(options["key_id"], "KEY_ID")
        try:
            overlap = timedelta(hours=options["overlap_hours"])
        except OverflowError:
            raise CommandError("--overlap-hours: The overlap is far too long.") from None
        with organization_of(options) as organization_id:
            new = rotate_key(organization_id, key_id, overlap=overlap, actor=OPERATOR)
        self.show(_shown(new) | {"older_secret_ends_in_h": options["overlap_hours"]}, options)

    def do_revoke(self, options: dict[str, Any]) -> None:
        """The end of a key."""
        key_id = parse_id(options["key_id"], "KEY_ID")
        with organization_of(options) as organization_id:
            revoke_key(organization_id, key_id, actor=OPERATOR)
        self.show({"revoked": str(key_id)}, options)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        told = f'--expires-at: "{text[:80]}" is no time. Write 2027-01-31 or 2027-01-31T18:00Z.'
        raise CommandError(told) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(new: NewKey) -> dict[str, Any]:
    expires_at = new.key.expires_at
    return {
        "api_key": new.secret,
        "api_key_id": str(new.key.id),
        "name": new.key.name,
        "scopes": new.key.scopes,
        "allowed_networks": new.key.allowed_networks,
        "expires_at": expires_at.isoformat() if expires_at else None,
    }


def _row(key: ApiKey) -> dict[str, Any]:
    now = timezone.now()
    live = [s for s in key.secrets.all() if s.expires_at is None or s.expires_at > now]
    state = "expired" if key.expires_at and key.expires_at <= now else "live"
    return {
        "id": str(key.id),
        "name": key.name,
        "scopes": key.scopes,
        "secrets": [str(secret) for secret in live],
        "state": "revoked" if key.revoked_at else state,
        "allowed_networks": key.allowed_networks,
        "expires_at": key.expires_at.isoformat(timespec="seconds") if key.expires_at else None,
        "last_used_at": (
            key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else None
        ),
        "created_by": key.created_by,
        "created_at": key.created_at.isoformat(timespec="seconds"),
    }
