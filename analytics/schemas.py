"""What /api says of calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Field, Schema

ID = "01a1fd96-5bb7-7952-a09f-76b5a170b338"
TAG: dict[str, Any] = {
    "in": "query",
    "name": "tag.<name>",
    "schema": {"type": "string"},
    "description": "Only calls whose metadata says this, such as tag.team=legal. "
    "Several must all hold.",
    "example": "legal",
}
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
        [],
        description="Only calls that one of these providers answered; ~none for those nobody did.",
        examples=[["openai"]],
    )
    model: str = Field(
        "", description="Only calls that this model answered.", examples=["gpt-5-mini"]
    )
    key: str = Field("", description="Only calls with this API key's id.", examples=[ID])
    member: str = Field("", description="Only calls of this user's id.", examples=[ID])
    status: str = Field(
        "",
        description="ok, failed, fallback, a class such as 5xx, or a code such as 429.",
        examples=["failed"],
    )
    fallback_from: str = Field(
        "",
        description="Only calls that this provider failed at first; ~any for any.",
        examples=["openai"],
    )
    q: str = Field("", description="A call's id, or the value of any metadata.", examples=["legal"])


class CallOut(Schema):
    """One call, without its explanation."""

    id: UUID = Field(description="The x-router-call-id of the answer.")
    created_at: datetime = Field(description="When the call arrived, UTC.")
    task_type: str = Field(description="chat or embeddings.", examples=["chat"])
    model_requested: str = Field(description="What the client asked for.", examples=["auto"])
    provider: str = Field(description="Who answered; empty when nobody did.", examples=["openai"])
    model_used: str = Field(description="The model that answered.", examples=["gpt-5-mini"])
    region: str = Field(description="Where the provider computes; empty: unknown.", examples=["eu"])
    priority: str = Field(description="The priority that held for the call.", examples=["cost"])
    success: bool = Field(description="Whether it was answered whole.")
    status: int = Field(
        description="HTTP status; 499 when the client left before the end.", examples=[200]
    )
    error_code: str = Field(
        description="Why it failed; empty for a success.", examples=["upstream_rate_limited"]
    )
    stream: bool = Field(description="Whether the client asked for a stream.")
    latency_ms: int = Field(
        description="Whole duration, milliseconds; 0 where the error is interrupted.",
        examples=[1204],
    )
    first_token_ms: int | None = Field(
        description="Time to first content of a stream.", examples=[380]
    )
    overhead_us: int | None = Field(
        description="The router's own share, microseconds.", examples=[640]
    )
    input_tokens: int = Field(description="Tokens read, the cached ones too.", examples=[1204])
    output_tokens: int = Field(
        description="Tokens written, the reasoning ones too.", examples=[310]
    )
    cached_tokens: int = Field(
        description="Part of input_tokens read from a cache.", examples=[1024]
    )
    reasoning_tokens: int = Field(
        description="Part of output_tokens spent on reasoning.", examples=[64]
    )
    cost_nano: int = Field(
        description="Cost in nano-USD: 1,000,000,000 is one dollar.", examples=[412000]
    )
    cost_usd: str = Field(description="The same as decimal USD.", examples=["0.000412"])
    cost_estimated: bool = Field(description="True where the provider told no usage.")
    fallback_used: bool = Field(description="Whether another provider was tried first.")
    attempts: int = Field(description="Tries at providers, all together.", examples=[1])
    api_key_id: UUID | None = Field(
        description="The API key; null for a member's call from a page."
    )
    user_id: UUID | None = Field(description="The user whom the call was made for, if any.")


class CallPageOut(Schema):
    """A page of calls, newest first."""

    data: list[CallOut] = Field(description="As many as limit asks for, at most.")
    next_cursor: str | None = Field(
        description="Pass as ?cursor= for the next page; null on the last one.", examples=[CURSOR]
    )


class CostLineOut(Schema):
    """One part of a call's cost."""

    kind: str = Field(description="input, cached, output, …", examples=["input"])
    quantity: int = Field(description="Tokens, or searches or requests.", examples=[1204])
    nano_per_million: int = Field(description="Price, nano-USD per million.", examples=[150000000])
    cost_usd: str = Field(description="Quantity times price, exact.", examples=["0.0001806"])


class CallDetailOut(CallOut):
    """One call with why it went where it went and how its cost came about."""

    usage: dict[str, int] = Field(
        description="Every quantity that the provider reported.",
        examples=[{"input_tokens": 1204, "output_tokens": 310}],
    )
    price: dict[str, Any] | None = Field(
        description="The prices in nano-USD per million tokens, with source and date.",
        examples=[{"input": 150000000, "output": 600000000, "source": "list"}],
    )
    cost_lines: list[CostLineOut] = Field(description="What the cost is made of.")
    decision: dict[str, Any] = Field(
        description="policy, candidates in order with scores, those that fell out with reasons, "
        "every attempt, and in passed_over who was left out and why.",
        examples=[
            {
                "policy": {"priority": "cost"},
                "candidates": [{"provider": "openai", "model": "gpt-5-mini", "score": 0.81}],
                "attempts": [{"provider": "openai", "model": "gpt-5-mini", "status": 200}],
            }
        ],
    )
    metadata: dict[str, str] = Field(
        description="From x-router-metadata.", examples=[{"team": "legal"}]
    )
