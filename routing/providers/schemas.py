"""What /api/providers takes and says."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict


class PresetOut(Schema):
    """A provider that is known here, and what connecting it needs."""

    slug: str = Field(examples=["openai"])
    name: str
    base_url: str = Field(description="What stands in braces is for you to fill in.")
    needs: str = Field(description="In words.", examples=["an API key"])
    wire: str = Field(description="openai or anthropic.")
    is_local: bool
    models: list[str]


class PresetsOut(Schema):
    """Every preset; there is one page."""

    data: list[PresetOut]
    next_cursor: str | None


class CredentialOut(Schema):
    """What may be told of a credential: never the secret."""

    last_four: str
    created_at: datetime


class ConnectedProviderOut(Schema):
    """A provider with its state now."""

    slug: str = Field(description="Its word in provider/model.", examples=["openai"])
    name: str
    preset: str
    base_url: str
    region: str
    is_local: bool = Field(description="Requests with the priority privacy may go there.")
    is_sandbox: bool
    active: bool
    state: str = Field(description="In words, such as OK, Degraded or No credential.")
    p95_ms: int | None = Field(description="Slowest of its models, now; null: not measured.")
    credential: CredentialOut | None
    models: list[str] = Field(description="Of its deployments that are on.")
    created_at: datetime


class ConnectedProvidersOut(Schema):
    """Providers by name."""

    data: list[ConnectedProviderOut]
    next_cursor: str | None


class ProviderIn(Schema):
    """A provider to be connected."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"preset": "openai", "secret": "sk-…", "slug": "openai"}}
    )

    preset: str = Field(
        description="As /api/providers/presets tells; openai-compatible or local for any other, "
        "sandbox for made-up answers where the installation offers them.",
        examples=["openai"],
    )
    secret: str = Field("", description="The API key; sealed, never told again.")
    slug: str = Field("", description="Empty: the preset's.", examples=["openai"])
    name: str = Field("", description="Empty: the preset's.")
    base_url: str = Field("", description="Needed where the preset's address has braces.")
    region: str = Field("", description="Where it computes, such as eu.")
    is_local: bool | None = Field(None, description="Null: as the preset says.")
    confirm_local: bool = Field(
        False, description="That the machines behind an address that may be public are your own."
    )


class ProviderPatch(Schema):
    """What changes; a field that is not sent stays."""

    name: str = Field("", examples=["OpenAI EU"])
    region: str = Field("", examples=["eu"])
    active: bool = True
    is_local: bool = False
    confirm_local: bool = Field(False, description="See connecting.")


class AddressIn(Schema):
    """Where a provider moves; its credential is for the old address and is retired."""

    base_url: str = Field(examples=["https://eu.api.openai.com/v1"])
    secret: str = Field("", description="For the new address.")
    is_local: bool | None = Field(None, description="Null: as before.")
    confirm_local: bool = False


class SecretIn(Schema):
    """A credential."""

    secret: str = Field(description="One line; sealed, never told again.", examples=["sk-…"])


class FindingOut(Schema):
    """One sentence of a test's result."""

    tone: Literal["ok", "warn", "bad"]
    text: str


class CheckOut(Schema):
    """What came of a test."""

    reachable: bool
    credential: str = Field(description="accepted, refused, missing, unknown or not_needed.")
    latency_ms: int | None
    models: list[str] | None = Field(description="Names that it lists; null where it lists none.")
    findings: list[FindingOut]


class DeploymentOut(Schema):
    """A model at a provider, with the price that holds."""

    id: UUID
    model: str = Field(description="The name calls ask for.")
    upstream_model: str = Field(description="The provider's own name for it.")
    operation: str
    context_window: int
    max_output_tokens: int
    capabilities: list[str]
    region: str
    quality: int
    active: bool
    input_usd_per_mtok: str | None = Field(description="Decimal USD; null: no price is known.")
    cached_usd_per_mtok: str | None
    output_usd_per_mtok: str | None
    price_source: str = Field(description="Where the price is from.")
    price_as_of: str = Field(description="Since when, or of which day the list is.")
    price_is_own: bool = Field(description="Whether the organization set it.")


class DeploymentsOut(Schema):
    """Models of a provider, by name."""

    data: list[DeploymentOut]
    next_cursor: str | None


class DeploymentIn(Schema):
    """A model to be added; what is left out is as the preset knows it."""

    model: str = Field(description="The name calls ask for.", examples=["gpt-4o"])
    upstream_model: str = Field("", description="The provider's own, where it differs.")
    operation: str | None = Field(None, description="chat or embeddings.")
    context_window: int | None = Field(None, description="Tokens, input and output together.")
    max_output_tokens: int | None = None
    capabilities: list[str] | None = Field(None, examples=[["streaming", "tools"]])
    region: str = ""
    quality: int | None = Field(None, description="0 to 100.")


class DeploymentPatch(Schema):
    """What changes; a field that is not sent stays."""

    model: str = Field("", examples=["gpt-4o"])
    upstream_model: str = ""
    operation: str = "chat"
    context_window: int = 0
    max_output_tokens: int = 0
    capabilities: list[str] = Field([], examples=[["streaming", "tools"]])
    region: str = ""
    quality: int = 0
    active: bool = True


class PriceIn(Schema):
    """The organization's own price, in decimal USD per million tokens."""

    input_usd_per_mtok: str = Field(examples=["2.50"])
    output_usd_per_mtok: str = Field(examples=["10"])
    cached_usd_per_mtok: str | None = Field(None, description="Null: as input.")
    source: str = Field(description="Where it is from.", examples=["contract of May"])
    as_of: date | None = Field(None, description="Null: today.", examples=["2026-05-01"])
