"""Prompts and answers of the organizations that store them: reading them, and letting them go.

They are sealed before they reach the journal and opened only here, for one call at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from analytics.core import ANSWER, BODY_KEY_ID, REQUEST, body_bound_to
from analytics.models import Call, CallBodies
from analytics.sql import ask
from lib.secretbox import SecretError, open_
from tenancy.core import Role
from tenancy.models import Organization
from tenancy.pages import Member
from tenancy.scope import tenant_scope

DELETED_AT_ONCE_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Body:
    """What was said, as far as it was kept, and how many bytes it had."""

    text: str
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether only its beginning was kept."""
        return len(self.text.encode()) < self.size

    @property
    def ending(self) -> str:
        """The ending of a file that holds it."""
        return "json" if self.text[:1] in ("{", "[") else "txt"

    def file_name(self, call_id: UUID, part: str) -> str:
        """The name of a file that holds it."""
        return f"{call_id}-{part}.{self.ending}"


@dataclass(frozen=True, slots=True)
class Bodies:
    """The request and the answer of one call."""

    request: Body
    answer: Body


def bodies(organization_id: UUID, call_id: UUID) -> Bodies | None:
    """What was asked and answered; None where it was not stored, expired, or does not open."""
    row = CallBodies.objects.filter(organization_id=organization_id, call_id=call_id).first()
    return None if row is None else opened(row)


def opened(row: CallBodies) -> Bodies | None:
    """What a row holds; None where it does not open with this installation's key."""
    try:
        return Bodies(
            _open(row, REQUEST, bytes(row.request), row.request_bytes),
            _open(row, ANSWER, bytes(row.answer), row.answer_bytes),
        )
    except SecretError:
        return None


def _open(row: CallBodies, part: str, sealed: bytes, size: int) -> Body:
    bound = body_bound_to(row.organization_id.hex, row.call_id.hex, part)
    plain = open_({BODY_KEY_ID: settings.ENCRYPTION_KEY}, sealed, aad=bound)
    return Body(plain.decode(errors="ignore"), size)


def readable(body: Body) -> str:
    """The text for people: JSON on lines of its own where it is whole JSON."""
    try:
        return json.dumps(json.loads(body.text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.text


def may_read(member: Member, call: Call) -> bool:
    """Whether a member may read what was said: admins, and whoever sent the call."""
    return member.may(Role.ADMIN) or call.user == member.user.id


def expire_bodies(now: datetime) -> int:
    """Deletes what each organization no longer keeps; how many calls' bodies went."""
    rows = ask("SELECT organization_id FROM app.organizations_changed_since('-infinity')")
    everybody = [row[0] for row in rows]
    return sum(_expire(organization_id, now) for organization_id in everybody)


def _expire(organization_id: UUID, now: datetime) -> int:
    deleted: int = 0
    while True:
        with tenant_scope(organization_id), connection.cursor() as cursor:
            days = Organization.objects.values_list("bodies_retention_days", flat=True)
            kept = days.filter(id=organization_id).first()
            if kept is None:
                return deleted
            cursor.execute(
                "DELETE FROM router_bodies WHERE organization_id = %s AND call_id IN ("
                " SELECT call_id FROM router_bodies WHERE organization_id = %s AND created_at < %s"
                " LIMIT %s)",
                [organization_id, organization_id, now - timedelta(days=kept), DELETED_AT_ONCE_MAX],
            )
            count: int = cursor.rowcount
        deleted += count
        if count < DELETED_AT_ONCE_MAX:
            return deleted
