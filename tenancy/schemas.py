"""What /api says of members, invitations, the audit trail and the organization."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

_ID = "01a1fd92-d4c9-78be-98b5-7a324b376b5b"
_NEXT = "Pass as ?cursor= for the next page; null on the last one."
_ROLES = "admin, member or viewer."


class MemberOut(Schema):
    """A member."""

    id: UUID = Field(description="The membership's id.", examples=[_ID])
    user_id: UUID = Field(description="The user's id, as calls and keys name it.")
    email: str = Field(description="The address they sign in with.", examples=["jana@example.com"])
    name: str = Field(description="What they call themselves; may be empty.", examples=["Jana"])
    role: str = Field(description="owner, admin, member or viewer.", examples=["member"])
    created_at: datetime = Field(description="When they joined.")


class MemberPageOut(Schema):
    """A page of members, in the order in which they joined."""

    data: list[MemberOut] = Field(description="At most 50 members.")
    next_cursor: str | None = Field(description=_NEXT, examples=[_ID])


class RolePatch(Schema):
    """Another role."""

    role: str = Field(description=_ROLES, examples=["admin"])


class InvitationIn(Schema):
    """Whom to invite."""

    email: str = Field(description="Where the mail goes.", examples=["ravi@example.com"])
    role: str = Field("member", description=_ROLES, examples=["member"])


class InvitationOut(Schema):
    """An open invitation."""

    id: UUID = Field(description="The invitation's id.")
    email: str = Field(description="Who is invited.", examples=["ravi@example.com"])
    role: str = Field(description="As what.", examples=["member"])
    invited_by: str = Field(description="By whom.", examples=["jana@example.com"])
    sends: int = Field(description="How often it was sent.", examples=[1])
    sent_at: datetime = Field(description="When it was sent last.")
    expires_at: datetime = Field(description="Seven days after it was sent last.")
    undelivered: bool = Field(description="Whether the mail server refused the last mail.")


class SentInvitationOut(InvitationOut):
    """An invitation just sent."""

    link: str | None = Field(
        description="The link to pass on, told this once; null where a mail carries it.",
        examples=["https://router.example.com/invitations/…"],
    )


class InvitationPageOut(Schema):
    """A page of open invitations, newest first."""

    data: list[InvitationOut] = Field(description="At most 50 invitations.")
    next_cursor: str | None = Field(description=_NEXT, examples=[_ID])


class AuditEntryOut(Schema):
    """One change of configuration."""

    id: UUID = Field(description="The entry's id.")
    created_at: datetime = Field(description="When it was changed.")
    actor_kind: str = Field(description="user, key or system.", examples=["user"])
    actor_id: UUID | None = Field(description="The user's or key's id; null for the system.")
    actor: str = Field(description="Who changed it.", examples=["jana@example.com"])
    source: str = Field(description="The address it came from.", examples=["203.0.113.9"])
    action: str = Field(description="What was done.", examples=["member.set_role"])
    object_kind: str = Field(description="To what kind of thing.", examples=["member"])
    object_id: UUID | None = Field(description="To which one.")
    object_name: str = Field(description="What that was called.", examples=["ravi@example.com"])
    before: dict[str, Any] | None = Field(
        description="What differed, before.", examples=[{"role": "viewer"}]
    )
    after: dict[str, Any] | None = Field(
        description="What differed, after.", examples=[{"role": "member"}]
    )


class AuditPageOut(Schema):
    """A page of changes, newest first."""

    data: list[AuditEntryOut] = Field(description="At most 50 changes.")
    next_cursor: str | None = Field(description=_NEXT, examples=[_ID])


class ChainOut(Schema):
    """Whether the trail is as it was written."""

    is_intact: bool = Field(description="Whether every entry fits the one before it.")
    entries: int = Field(description="How many entries were walked.", examples=[1204])
    last_digest: str = Field(
        description="SHA-256 of the last entry; note it elsewhere.", examples=["9f86d081884c7d65…"]
    )
    broken_at: UUID | None = Field(description="The first entry that does not fit.")


_NAME = "What it is called, 1 to 120 characters."
_ZONE = "The time zone in which its days begin, by IANA name."
_RETENTION = "How many days calls are kept; null: as long as the installation keeps any."
_BODIES = "Whether prompts and answers of the calls to come are stored, encrypted."
_BODIES_DAYS = "How many days those are kept, 1 to 365."


class OrganizationOut(Schema):
    """The organization's settings."""

    id: UUID = Field(description="The organization's id.")
    name: str = Field(description=_NAME, examples=["Nova Labs"])
    time_zone: str = Field(description=_ZONE, examples=["Europe/Berlin"])
    retention_days: int | None = Field(description=_RETENTION, examples=[90])
    store_bodies: bool = Field(description=_BODIES)
    bodies_retention_days: int = Field(description=_BODIES_DAYS, examples=[30])
    created_at: datetime = Field(description="When it was made.")


class OrganizationPatch(Schema):
    """Settings to change; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Nova Labs", "time_zone": "Europe/Berlin"}}
    )

    name: str = Field("", description=_NAME, examples=["Nova Labs"])
    time_zone: str = Field("", description=_ZONE, examples=["Europe/Berlin"])
    retention_days: int | None = Field(None, description=_RETENTION, examples=[90])
    store_bodies: bool = Field(False, description=_BODIES)
    bodies_retention_days: int = Field(30, description=_BODIES_DAYS, examples=[30])
