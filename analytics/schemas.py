"""What /api says of calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Field, Schema

CURSOR = "1795256867331000-01a1fd965bb77952a09f76b5a170b338"


class CallFiltersIn(Schema):
    """Which calls; each filter narrows further. Described here, read as the pages read them."""

    range: str = Field(
        "",
        description="24h, today, 7d, 14d, 30d or 90d, up to now; empty for any time.",
        examples=["7d"],
    )
    from_: str = Field(
        "",
        alias="from",
        description="Instead of a range: a day, or a moment with or without offset.",
        examples=["2026-11-01"],
    )
    to: str = Field(
        "", description="A day, to its end, or the first moment after.", examples=["2026-11-07"]
    )
    provider: list[str] = Field(
        [], description="Only calls that one of these providers answered.", examples=[["openai"]]
    )
    model: str = Field(
        "", description="Only calls that this model answered.", examples=["gpt-5-mini"]
    )
    key: str = Field("", description="Only calls with this API key's id.")
    member: str = Field("", description="Only calls of this member's id.")
    status: str = Field(
        "",
        description="ok, failed, fallback, a class such as 5xx, or a code such as 429.",
        examples=["failed"],
    )
    fallback_from: str = Field("", description="Only calls that this provider failed at first.")
    q: str = Field("", description="A call's id, or the value of any metadata.")


class CallOut(Schema):
    """One call, without its explanation."""

    id: UUID = Field(description="The x-router-call-id of the answer.")
    created_at: datetime = Field(description="When the call arrived, UTC.")
    task_type: str = Field(description="chat or embeddings.")
    model_requested: str = Field(description="What the client asked for.")
    provider: str = Field(description="Who answered; empty when nobody did.")
    model_used: str = Field(description="The model that answered.")
    region: str
    priority: str = Field(description="The priority that held for the call.")
    success: bool
    status: int = Field(description="HTTP status; 499 when the client left before the end.")
    error_code: str
    stream: bool
    latency_ms: int = Field(description="Whole duration, milliseconds.")
    first_token_ms: int | None = Field(description="Time to first content of a stream.")
    overhead_us: int | None = Field(description="The router's own share, microseconds.")
    input_tokens: int
    output_tokens: int
    cached_tokens: int = Field(description="Part of input_tokens read from a cache.")
    reasoning_tokens: int = Field(description="Part of output_tokens spent on reasoning.")
    cost_nano: int = Field(description="Cost in nano-USD: 1,000,000,000 is one dollar.")
    cost_usd: str = Field(description="The same as decimal USD.")
    cost_estimated: bool = Field(description="True where the provider told no usage.")
    fallback_used: bool
    attempts: int
    api_key_id: UUID | None
    user_id: UUID | None


class CallPageOut(Schema):
    """A page of calls, newest first."""

    data: list[CallOut]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page.")


class CostLineOut(Schema):
    """One part of a call's cost."""

    kind: str = Field(description="input, cached, output, …")
    quantity: int = Field(description="Tokens, or searches or requests.")
    nano_per_million: int = Field(description="Price, nano-USD per million.")
    cost_usd: str


class CallDetailOut(CallOut):
    """One call with why it went where it went and how its cost came about."""

    usage: dict[str, int] = Field(description="Every quantity that the provider reported.")
    price: dict[str, Any] | None = Field(description="The prices, with source and date.")
    cost_lines: list[CostLineOut]
    decision: dict[str, Any] = Field(
        description="policy, candidates in order with scores, those that fell out with reasons, "
        "and every attempt."
    )
    metadata: dict[str, str] = Field(description="From x-router-metadata.")
