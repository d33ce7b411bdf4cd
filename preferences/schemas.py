"""What /api says of preferences."""

from datetime import datetime

from ninja import Field, Schema
from pydantic import ConfigDict

from preferences.core import LATENCY_MS_MAX, LATENCY_MS_MIN, Priority

PRIORITY = "What comes first when several models could answer; null leaves it to the level above."
COST = "The most that a request may cost, decimal USD in text; null for no limit."
LATENCY = (
    f"Providers slower than this at p95 are skipped, {LATENCY_MS_MIN} to {LATENCY_MS_MAX:,} ms; "
    "null for no limit."
)
PREFERRED = "Slugs of the providers to try first."
BLOCKED = "Slugs of providers that are never used."
THRESHOLD = "A day that costs more is pointed out; decimal USD in text, null for none."


class PreferencesIn(Schema):
    """What to change; fields that are left out stay as they are."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "priority": "cost",
                "max_cost_usd": "0.05",
                "max_latency_ms": 20000,
                "cost_alert_threshold_usd": "400",
            }
        },
    )

    priority: Priority | None = Field(None, description=PRIORITY)
    max_cost_usd: str | None = Field(None, description=COST, examples=["0.05"], max_length=40)
    max_latency_ms: int | None = Field(None, description=LATENCY, examples=[20000])
    preferred_providers: list[str] = Field(
        [], description=PREFERRED, examples=[["anthropic"]], max_length=50
    )
    blocked_providers: list[str] = Field(
        [], description=BLOCKED, examples=[["groq"]], max_length=50
    )
    cost_alert_threshold_usd: str | None = Field(
        None, description=THRESHOLD, examples=["400"], max_length=40
    )


class PreferencesOut(Schema):
    """The preferences of an organization or a member."""

    priority: Priority | None = Field(description=PRIORITY, examples=["cost"])
    max_cost_usd: str | None = Field(description=COST, examples=["0.05"])
    max_latency_ms: int | None = Field(description=LATENCY, examples=[20000])
    preferred_providers: list[str] = Field(description=PREFERRED, examples=[["anthropic"]])
    blocked_providers: list[str] = Field(description=BLOCKED, examples=[["groq"]])
    cost_alert_threshold_usd: str | None = Field(description=THRESHOLD, examples=["400"])
    updated_at: datetime | None = Field(description="When they were changed last; null for never.")
