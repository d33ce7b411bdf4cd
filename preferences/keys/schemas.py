"""What /api/keys takes and says."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict


class SecretOut(Schema):
    """One live secret of a key, as far as it may be shown."""

    prefix: str = Field(description="How it begins.", examples=["er_live_Ab1x"])
    last_four: str = Field(description="How it ends.", examples=["9dQz"])
    created_at: datetime
    expires_at: datetime | None = Field(description="End of a rotation's overlap; null: none.")


class KeyOut(Schema):
    """An API key without its secret."""

    id: UUID
    name: str = Field(description="What uses it.", examples=["billing-service"])
    state: Literal["live", "soon", "expired", "revoked"] = Field(
        description="soon: it expires within seven days."
    )
    scopes: list[str] = Field(description="gateway for /v1, admin for /api.")
    allowed_networks: list[str] = Field(description="CIDR; empty: from anywhere.")
    expires_at: datetime | None
    user_id: UUID | None = Field(description="The member it acts for.")
    secrets: list[SecretOut] = Field(description="Two while a rotation overlaps.")
    last_used_at: datetime | None = Field(description="To the minute.")
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


class KeyPageOut(Schema):
    """A page of keys, newest first."""

    data: list[KeyOut]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page.")


class KeyIn(Schema):
    """A key to be made."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "billing-service", "scopes": ["gateway"]}}
    )

    name: str = Field(description="1 to 120 characters.", examples=["billing-service"])
    scopes: list[str] = Field(["gateway"], description="gateway, admin.", examples=[["gateway"]])
    allowed_networks: list[str] = Field([], examples=[["203.0.113.0/24"]])
    expires_at: datetime | None = Field(
        None, description="With an offset; null: never.", examples=["2027-01-31T18:00:00Z"]
    )
    user_id: UUID | None = Field(None, description="A member, or null for nobody.")


class KeyPatch(Schema):
    """What changes; a field that is not sent stays."""

    name: str = Field("", description="1 to 120 characters.")
    allowed_networks: list[str] = Field([], examples=[["203.0.113.0/24"]])
    expires_at: datetime | None = Field(None, description="With an offset; null: never.")
    user_id: UUID | None = Field(None, description="A member, or null for nobody.")


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

    priority: str | None = Field(description="balanced, speed, cost, quality or privacy.")
    max_cost_usd: str | None = Field(description="Per request, decimal USD.", examples=["0.05"])
    max_latency_ms: int | None
    preferred_providers: list[str] = Field(description="Slugs, tried first.")
    blocked_providers: list[str] = Field(description="Slugs, never used.")


class KeyPreferencesPatch(Schema):
    """What changes; a field that is not sent stays, null clears it."""

    priority: str | None = Field(None, examples=["cost"])
    max_cost_usd: str | None = Field(None, examples=["0.05"])
    max_latency_ms: int | None = Field(None, examples=[2000])
    preferred_providers: list[str] = Field([], examples=[["openai"]])
    blocked_providers: list[str] = Field([], examples=[["groq"]])
