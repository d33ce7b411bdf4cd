"""What /api/providers takes and says."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

_SLUG = "Its word in provider/model."
_NAME = "What people read, 1 to 120 characters."
_REGION = "Where it computes, such as eu; empty: unknown."
_LOCAL = "Whether requests with the priority privacy may go there."
_CONFIRM = "That the machines behind an address that may be public are your own."
_ADDRESS = "Where its API is."
_SECRET = "The API key: one line; sealed, never told again."  # noqa: S105  a description
_MODEL = "The name calls ask for."
_THERE = "The provider's own name for it, where that differs."
_OPERATION = "chat or embeddings."
_WINDOW = "Tokens, input and output together."
_OUTPUT = "The most tokens of one answer."
_CAPABILITIES = "Such as streaming, tools or vision; without one, no call that needs it goes there."
_QUALITY = "How good it is, 0 to 100; what the priority quality goes by."
_ACTIVE = "Whether calls go there."
_ONE_PAGE = "Always null: there is one page."


class PresetOut(Schema):
    """A provider that is known here, and what connecting it needs."""

    slug: str = Field(description="To send as preset.", examples=["openai"])
    name: str = Field(description="What people read.", examples=["OpenAI"])
    base_url: str = Field(
        description="What stands in braces is for you to fill in.",
        examples=["https://api.openai.com/v1"],
    )
    needs: str = Field(description="In words.", examples=["an API key"])
    wire: str = Field(description="openai or anthropic.", examples=["openai"])
    is_local: bool = Field(description=_LOCAL)
    models: list[str] = Field(description="What it brings along.", examples=[["gpt-5-mini"]])


class PresetsOut(Schema):
    """Every preset; there is one page."""

    data: list[PresetOut] = Field(description="All of them.")
    next_cursor: None = Field(description=_ONE_PAGE)


class CredentialOut(Schema):
    """What may be told of a credential: never the secret."""

    last_four: str = Field(description="How it ends; empty for a short one.", examples=["9dQz"])
    created_at: datetime = Field(description="When it was set.")


class ConnectedProviderOut(Schema):
    """A provider with its state now."""

    slug: str = Field(description=_SLUG, examples=["openai"])
    name: str = Field(description=_NAME, examples=["OpenAI"])
    preset: str = Field(description="What it was connected as.", examples=["openai"])
    base_url: str = Field(description=_ADDRESS, examples=["https://api.openai.com/v1"])
    region: str = Field(description=_REGION, examples=["eu"])
    is_local: bool = Field(description=_LOCAL)
    is_sandbox: bool = Field(description="Whether its answers are made up and cost nothing.")
    active: bool = Field(description=_ACTIVE)
    state: str = Field(
        description="In words, such as OK, Degraded or No credential.", examples=["OK"]
    )
    p95_ms: int | None = Field(
        description="Slowest of its models, now; null: not measured.", examples=[980]
    )
    credential: CredentialOut | None = Field(description="The live one; null: none is set.")
    models: list[str] = Field(
        description="Of its deployments that are on.", examples=[["gpt-5-mini"]]
    )
    created_at: datetime = Field(description="When it was connected.")


class ConnectedProvidersOut(Schema):
    """Providers by name."""

    data: list[ConnectedProviderOut] = Field(description="All of them.")
    next_cursor: None = Field(description=_ONE_PAGE)


class ProviderIn(Schema):
    """A provider to be connected."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"preset": "openai", "secret": "sk-example", "slug": "openai"}
        }
    )

    preset: str = Field(
        description="As /api/providers/presets tells; openai-compatible or local for any other, "
        "sandbox for made-up answers where the installation offers them.",
        examples=["openai"],
    )
    secret: str = Field("", description=_SECRET, examples=["sk-example"])
    slug: str = Field("", description=f"{_SLUG} Empty: the preset's.", examples=["openai"])
    name: str = Field("", description=f"{_NAME} Empty: the preset's.", examples=["OpenAI EU"])
    base_url: str = Field(
        "",
        description="Needed where the preset's address has braces.",
        examples=["https://eu.api.openai.com/v1"],
    )
    region: str = Field("", description=_REGION, examples=["eu"])
    is_local: bool | None = Field(None, description=f"{_LOCAL} Null: as the preset says.")
    confirm_local: bool = Field(False, description=_CONFIRM)


class ProviderPatch(Schema):
    """What changes; a field that is not sent stays."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "OpenAI EU", "region": "eu", "active": True}}
    )

    name: str = Field("", description=_NAME, examples=["OpenAI EU"])
    region: str = Field("", description=_REGION, examples=["eu"])
    active: bool = Field(True, description=_ACTIVE)
    is_local: bool = Field(False, description=_LOCAL)
    confirm_local: bool = Field(False, description=_CONFIRM)


class AddressIn(Schema):
    """Where a provider moves; its credential is for the old address and is retired."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"base_url": "https://eu.api.openai.com/v1", "secret": "sk-example"}
        }
    )

    base_url: str = Field(description=_ADDRESS, examples=["https://eu.api.openai.com/v1"])
    secret: str = Field("", description="For the new address.", examples=["sk-example"])
    is_local: bool | None = Field(None, description=f"{_LOCAL} Null: as before.")
    confirm_local: bool = Field(False, description=_CONFIRM)


class SecretIn(Schema):
    """A credential."""

    secret: str = Field(description=_SECRET, examples=["sk-example"])


class FindingOut(Schema):
    """One sentence of a test's result."""

    tone: Literal["ok", "warn", "bad"] = Field(description="Whether it is good news.")
    text: str = Field(description="The sentence.", examples=["The credential is accepted."])


class CheckOut(Schema):
    """What came of a test."""

    reachable: bool = Field(description="Whether anything answered there.")
    credential: str = Field(
        description="accepted, refused, missing, unknown or not_needed.", examples=["accepted"]
    )
    latency_ms: int | None = Field(
        description="How long the answer took; null: there was none.", examples=[212]
    )
    models: list[str] | None = Field(
        description="Names that it lists; null where it lists none.", examples=[["gpt-5-mini"]]
    )
    findings: list[FindingOut] = Field(description="What it means, in words.")


class DeploymentOut(Schema):
    """A model at a provider, with the price that holds."""

    id: UUID = Field(description="The model's id at this provider.")
    model: str = Field(description=_MODEL, examples=["gpt-5-mini"])
    upstream_model: str = Field(description=_THERE, examples=["gpt-5-mini"])
    operation: str = Field(description=_OPERATION, examples=["chat"])
    context_window: int = Field(description=_WINDOW, examples=[128000])
    max_output_tokens: int = Field(description=_OUTPUT, examples=[16384])
    capabilities: list[str] = Field(description=_CAPABILITIES, examples=[["streaming", "tools"]])
    region: str = Field(description=_REGION, examples=["eu"])
    quality: int = Field(description=_QUALITY, examples=[72])
    active: bool = Field(description=_ACTIVE)
    input_usd_per_mtok: str | None = Field(
        description="Decimal USD per million tokens; null: no price is known.", examples=["2.5"]
    )
    cached_usd_per_mtok: str | None = Field(
        description="The same for tokens read from a cache.", examples=["1.25"]
    )
    output_usd_per_mtok: str | None = Field(
        description="The same for tokens written.", examples=["10"]
    )
    price_source: str = Field(description="Where the price is from.", examples=["contract of May"])
    price_as_of: str = Field(
        description="Since when, or of which day the list is.", examples=["2026-05-01"]
    )
    price_is_own: bool = Field(description="Whether the organization set it.")


class DeploymentsOut(Schema):
    """Models of a provider, by name."""

    data: list[DeploymentOut] = Field(description="All of them.")
    next_cursor: None = Field(description=_ONE_PAGE)


class DeploymentIn(Schema):
    """A model to be added; what is left out is as the preset knows it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "my-model",
                "context_window": 128000,
                "max_output_tokens": 16384,
                "capabilities": ["streaming", "tools"],
            }
        }
    )

    model: str = Field(description=_MODEL, examples=["my-model"])
    upstream_model: str = Field("", description=_THERE, examples=["my-deployment"])
    operation: str | None = Field(None, description=_OPERATION, examples=["chat"])
    context_window: int | None = Field(None, description=_WINDOW, examples=[128000])
    max_output_tokens: int | None = Field(None, description=_OUTPUT, examples=[16384])
    capabilities: list[str] | None = Field(
        None, description=_CAPABILITIES, examples=[["streaming", "tools"]]
    )
    region: str = Field("", description=_REGION, examples=["eu"])
    quality: int | None = Field(None, description=_QUALITY, examples=[72])


class DeploymentPatch(Schema):
    """What changes; a field that is not sent stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"quality": 80, "active": True}})

    model: str = Field("", description=_MODEL, examples=["my-model"])
    upstream_model: str = Field("", description=_THERE, examples=["my-deployment"])
    operation: str = Field("chat", description=_OPERATION, examples=["chat"])
    context_window: int = Field(0, description=_WINDOW, examples=[128000])
    max_output_tokens: int = Field(0, description=_OUTPUT, examples=[16384])
    capabilities: list[str] = Field(
        [], description=_CAPABILITIES, examples=[["streaming", "tools"]]
    )
    region: str = Field("", description=_REGION, examples=["eu"])
    quality: int = Field(0, description=_QUALITY, examples=[80])
    active: bool = Field(True, description=_ACTIVE)


class PriceIn(Schema):
    """The organization's own price, in decimal USD per million tokens."""

    input_usd_per_mtok: str = Field(description="Of tokens read.", examples=["2.50"])
    output_usd_per_mtok: str = Field(description="Of tokens written.", examples=["10"])
    cached_usd_per_mtok: str | None = Field(
        None, description="Of tokens read from a cache; null: as input.", examples=["1.25"]
    )
    source: str = Field(description="Where it is from.", examples=["contract of May"])
    as_of: date | None = Field(
        None, description="Since when; null: today.", examples=["2026-05-01"]
    )
