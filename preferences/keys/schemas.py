"""What /api/keys takes and says."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

from preferences.schemas import BLOCKED, COST, LATENCY, PREFERRED, PRIORITY

_ID = "01a1fd96-5bb7-7952-a09f-76b5a170b338"
NAME = "What uses it, 1 to 120 characters."
NETWORKS = "Networks in CIDR from which it may be used; empty: from anywhere."
EXPIRES = "When it ends, with an offset; null: never."
USER = "The member it acts for, by user id; null: for the organization."


class SecretOut(Schema):
    """One live secret of a key, as far as it may be shown."""

    prefix: str = Field(description="How it begins.", examples=["er_live_Ab1x"])
    last_four: str = Field(description="How it ends.", examples=["9dQz"])
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="End of a rotation's overlap; null: none.")


class KeyOut(Schema):
    """An API key without its secret."""

    id: UUID = Field(description="The key's id, as calls name it.")
    name: str = Field(description=NAME, examples=["billing-service"])
    state: Literal["live", "soon", "expired", "revoked"] = Field(
        description="soon: it expires within seven days."
    )
    scopes: list[str] = Field(
        description="gateway for /v1, admin for /api.", examples=[["gateway"]]
    )
    allowed_networks: list[str] = Field(description=NETWORKS, examples=[["203.0.113.0/24"]])
    expires_at: datetime | None = Field(description=EXPIRES)
    user_id: UUID | None = Field(description=USER)
    secrets: list[SecretOut] = Field(description="Two while a rotation overlaps.")
    last_used_at: datetime | None = Field(description="To the minute.")
    created_by: str = Field(description="Who made it.", examples=["jana@example.com"])
    created_at: datetime = Field(description="When it was made.")
    revoked_at: datetime | None = Field(description="When it was revoked; null: it was not.")


class KeyPageOut(Schema):
    """A page of keys, newest first."""

    data: list[KeyOut] = Field(description="At most 50 keys.")
    next_cursor: str | None = Field(
        description="Pass as ?cursor= for the next page; null on the last one.", examples=[_ID]
    )


class KeyIn(Schema):
    """A key to be made."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "billing-service", "scopes": ["gateway"]}}
    )

    name: str = Field(description=NAME, examples=["billing-service"])
    scopes: list[str] = Field(
        ["gateway"], description="gateway for /v1, admin for /api, or both.", examples=[["gateway"]]
    )
    allowed_networks: list[str] = Field([], description=NETWORKS, examples=[["203.0.113.0/24"]])
    expires_at: datetime | None = Field(
        None, description=EXPIRES, examples=["2027-01-31T18:00:00Z"]
    )
    user_id: UUID | None = Field(None, description=USER)


class KeyPatch(Schema):
    """What changes; a field that is not sent stays."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "billing-service", "allowed_networks": []}}
    )

    name: str = Field("", description=NAME, examples=["billing-service"])
    allowed_networks: list[str] = Field([], description=NETWORKS, examples=[["203.0.113.0/24"]])
    expires_at: datetime | None = Field(
        None, description=EXPIRES, examples=["2027-01-31T18:00:00Z"]
    )
    user_id: UUID | None = Field(None, description=USER)


class NewKeyOut(KeyOut):
    """A key with a secret just made; it is never told again."""

    secret: str = Field(description="Told this once.", examples=["er_live_…"])


class RotateIn(Schema):
    """How a rotation overlaps."""

    overlap_hours: int = Field(
        24, description="For how long older secrets work on, 0 to 720.", examples=[24]
    )


class KeyPreferencesOut(Schema):
    """What a key prefers; null and empty leave the levels above as they are."""

    priority: str | None = Field(description=PRIORITY, examples=["cost"])
    max_cost_usd: str | None = Field(description=COST, examples=["0.05"])
    max_latency_ms: int | None = Field(description=LATENCY, examples=[2000])
    preferred_providers: list[str] = Field(description=PREFERRED, examples=[["openai"]])
    blocked_providers: list[str] = Field(description=BLOCKED, examples=[["groq"]])


class KeyPreferencesPatch(Schema):
    """What changes; a field that is not sent stays, null clears it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"priority": "cost", "max_cost_usd": "0.05"}}
    )

    priority: str | None = Field(None, description=PRIORITY, examples=["cost"])
    max_cost_usd: str | None = Field(None, description=COST, examples=["0.05"])
    max_latency_ms: int | None = Field(None, description=LATENCY, examples=[2000])
    preferred_providers: list[str] = Field([], description=PREFERRED, examples=[["openai"]])
    blocked_providers: list[str] = Field([], description=BLOCKED, examples=[["groq"]])
