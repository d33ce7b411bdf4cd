"""What /api/analytics answers."""

from datetime import datetime

from ninja import Field, Schema


class SumsOut(Schema):
    """What calls add up to."""

    calls: int = Field(description="Requests.", examples=[287412])
    successes: int = Field(description="Those that were answered whole.", examples=[284365])
    fallbacks: int = Field(description="Those that the first provider failed.", examples=[2414])
    input_tokens: int = Field(description="Tokens read.", examples=[190_422_118])
    output_tokens: int = Field(description="Tokens written.", examples=[61_034_902])
    cost_nano: int = Field(description="Spend in nano-USD.", examples=[2_941_800_000_000])
    cost_usd: str = Field(description="The same in dollars, exactly.", examples=["2941.8"])


class TimedOut(SumsOut):
    """The same with percentiles of the latency of successful calls."""

    p50_ms: int | None = Field(description="Half were this fast, in milliseconds.", examples=[410])
    p95_ms: int | None = Field(description="95 of 100 were this fast.", examples=[1240])
    p99_ms: int | None = Field(description="99 of 100 were this fast.", examples=[2600])


class ProviderFiguresOut(TimedOut):
    """One provider; empty for calls that none answered."""

    provider: str = Field(description="The provider that answered.", examples=["openai"])


class RouteOut(Schema):
    """Where calls fell back from and to."""

    from_: str = Field(alias="from", description="Tried first.", examples=["anthropic"])
    to: str | None = Field(
        description="The one that answered; null: none did.", examples=["openai"]
    )
    calls: int = Field(description="Requests that took this way.", examples=[1602])


class TimeOut(Schema):
    """The time that an answer is about."""

    time_zone: str = Field(description="The organization's zone.", examples=["Europe/Berlin"])
    from_: datetime = Field(alias="from", description="The first moment.")
    to: datetime = Field(description="The first moment after.")


class SummaryOut(TimeOut):
    """Everything in one time."""

    data_up_to: datetime | None = Field(description="When the newest known request came.")
    total: TimedOut = Field(description="All calls that match.")
    providers: list[ProviderFiguresOut] = Field(description="The same by provider.")
    fallback_routes: list[RouteOut] = Field(description="The most frequent first.")


class PointOut(SumsOut):
    """One bar, or a part of it."""

    at: datetime = Field(description="When the bar begins.")
    group: str = Field(
        description="The provider, model or status, or the id of the key or user, where asked for;"
        " empty: none.",
        examples=["openai"],
    )


class SeriesOut(TimeOut):
    """Bars over a time."""

    grain: str = Field(description="15m, hour or day.", examples=["day"])
    data: list[PointOut] = Field(description="In order of time.")
