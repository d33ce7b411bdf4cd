"""What the API says about single sign-on."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema


class Security(Schema):
    """How members sign in."""

    require_mfa: bool = Field(description="Members see no page without a second factor.")


class DomainOut(Schema):
    """An e-mail domain of a connection."""

    id: UUID
    domain: str = Field(examples=["example.com"])
    verified_at: datetime | None = Field(description="When it was proved; null: it counts not yet.")
    proof_name: str = Field(description="The name whose TXT record proves the domain.")
    proof_text: str = Field(description="What that record must say.")


class ConnectionOut(Schema):
    """An organization's identity provider. Its client secret is never shown."""

    id: UUID
    kind: Literal["oidc", "saml"]
    name: str = Field(examples=["Okta"])
    default_role: str = Field(description="The role of people who come for the first time.")
    required: bool = Field(description="People of its domains sign in with nothing else.")
    issuer: str = Field(description="OpenID: the provider's issuer.")
    client_id: str
    has_client_secret: bool
    idp_entity_id: str = Field(description="SAML: the provider's entity ID.")
    idp_sso_url: str = Field(description="SAML: where people sign in.")
    idp_certificate: str = Field(description="SAML: the provider's certificate, in PEM.")
    redirect_uri: str | None = Field(None, description="OpenID: to enter at the provider.")
    acs_url: str | None = Field(None, description="SAML: to enter at the provider.")
    sp_entity_id: str | None = Field(None, description="SAML: to enter at the provider.")
    domains: list[DomainOut]


class Connections(Schema):
    """Every connection of the organization."""

    data: list[ConnectionOut]
    next_cursor: str | None = Field(None, description="Always null: there are at most ten.")


class ConnectionChange(Schema):
    """What to change of a connection; what is left out stays."""

    name: str | None = Field(None, examples=["Okta"])
    default_role: Literal["viewer", "member", "admin"] | None = None
    required: bool | None = Field(None, description="Needs a proved domain.")
    issuer: str | None = Field(
        None,
        description="OpenID. Another issuer needs a new client secret.",
        examples=["https://acme.okta.com"],
    )
    client_id: str | None = None
    client_secret: str | None = Field(None, description="Kept sealed and never shown again.")
    metadata: str | None = Field(None, description="SAML: the provider's metadata as XML.")
    metadata_url: str | None = Field(None, description="SAML: where its metadata is; read once.")
    idp_entity_id: str | None = None
    idp_sso_url: str | None = None
    idp_certificate: str | None = None


class ConnectionIn(ConnectionChange):
    """A new connection."""

    kind: Literal["oidc", "saml"]
    name: str = Field(examples=["Okta"])


class DomainIn(Schema):
    """A domain to add."""

    domain: str = Field(examples=["example.com"])
