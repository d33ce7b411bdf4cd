"""What /api says of members, invitations, the audit trail and the organization."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict


class MemberOut(Schema):
    """A member."""

    id: UUID = Field(
        description="The membership's id.", examples=["01a1fd92-d4c9-78be-98b5-7a324b376b5b"]
    )
    user_id: UUID = Field(description="The user's id, as calls and keys name it.")
    email: str = Field(examples=["jana@example.com"])
    name: str
    role: str = Field(description="owner, admin, member or viewer.", examples=["member"])
    created_at: datetime = Field(description="When they joined.")


class MemberPageOut(Schema):
    """A page of members, in the order in which they joined."""

    data: list[MemberOut]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page.")


class RolePatch(Schema):
    """Another role."""

    role: str = Field(description="admin, member or viewer.", examples=["admin"])


class InvitationIn(Schema):
    """Whom to invite."""

    email: str = Field(examples=["ravi@example.com"])
    role: str = Field("member", description="admin, member or viewer.", examples=["member"])


class InvitationOut(Schema):
    """An open invitation."""

    id: UUID
    email: str = Field(examples=["ravi@example.com"])
    role: str = Field(examples=["member"])
    invited_by: str
    sends: int = Field(description="How often it was sent.", examples=[1])
    sent_at: datetime
    expires_at: datetime = Field(description="Seven days after it was sent last.")
    undelivered: bool = Field(description="Whether the mail server refused the last mail.")


class SentInvitationOut(InvitationOut):
    """An invitation just sent."""

    link: str | None = Field(
        description="The link to pass on, told this once; null where a mail carries it."
    )


class InvitationPageOut(Schema):
    """A page of open invitations, newest first."""

    data: list[InvitationOut]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page.")


class AuditEntryOut(Schema):
    """One change of configuration."""

    id: UUID
    created_at: datetime
    actor_kind: str = Field(description="user, key or system.", examples=["user"])
    actor_id: UUID | None
    actor: str = Field(description="Who changed it.", examples=["jana@example.com"])
    source: str = Field(description="The address it came from.", examples=["203.0.113.9"])
    action: str = Field(examples=["member.set_role"])
    object_kind: str = Field(examples=["member"])
    object_id: UUID | None
    object_name: str = Field(examples=["ravi@example.com"])
    before: dict[str, Any] | None = Field(description="What differed, before.")
    after: dict[str, Any] | None = Field(description="What differed, after.")


class AuditPageOut(Schema):
    """A page of changes, newest first."""

    data: list[AuditEntryOut]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page.")


class ChainOut(Schema):
    """Whether the trail is as it was written."""

    is_intact: bool
    entries: int = Field(description="How many entries were walked.", examples=[1204])
    last_digest: str = Field(description="SHA-256 of the last entry; note it elsewhere.")
    broken_at: UUID | None = Field(description="The first entry that does not fit.")


class OrganizationOut(Schema):
    """The organization's settings."""

    id: UUID
    name: str = Field(examples=["Nova Labs"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    retention_days: int | None = Field(
        description="How long calls are kept; null: as long as the installation keeps any."
    )
    store_bodies: bool = Field(description="Whether prompts and answers are stored, encrypted.")
    bodies_retention_days: int = Field(description="How long those are kept.", examples=[30])
    created_at: datetime


class OrganizationPatch(Schema):
    """Settings to change; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Nova Labs", "time_zone": "Europe/Berlin"}}
    )

    name: str = Field("", examples=["Nova Labs"])
    time_zone: str = Field("", examples=["Europe/Berlin"])
    retention_days: int | None = Field(None, description="null: as long as the installation.")
    store_bodies: bool = False
    bodies_retention_days: int = Field(30, examples=[30])
