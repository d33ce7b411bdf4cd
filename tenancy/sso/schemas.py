"""What the API says about single sign-on."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

_NAME = "What people read on the way there, such as the provider's own name."
_ROLE = "The role of people who come for the first time."
_ISSUER = "OpenID: the provider's issuer."
_CLIENT = "OpenID: the client's id there."
_ENTITY = "SAML: the provider's entity ID."
_SIGN_ON = "SAML: where people sign in."
_CERTIFICATE = "SAML: the provider's certificate, in PEM."
_OURS = "to enter at the provider."


class Security(Schema):
    """How members sign in."""

    require_mfa: bool = Field(
        description="Members see no page without a second factor. Who comes by the "
        "organization's single sign-on is asked by its provider instead."
    )


class DomainOut(Schema):
    """An e-mail domain of a connection."""

    id: UUID = Field(description="The domain's id.")
    domain: str = Field(description="The part of addresses after the @.", examples=["example.com"])
    verified_at: datetime | None = Field(description="When it was proved; null: it counts not yet.")
    proof_name: str = Field(
        description="The name whose TXT record proves the domain.",
        examples=["_enterprise-router.example.com"],
    )
    proof_text: str = Field(
        description="What that record must say.", examples=["enterprise-router=9f86d081884c7d65"]
    )


class ConnectionOut(Schema):
    """An organization's identity provider. Its client secret is never shown."""

    id: UUID = Field(description="The connection's id.")
    kind: Literal["oidc", "saml"] = Field(description="OpenID Connect or SAML.")
    name: str = Field(description=_NAME, examples=["Okta"])
    default_role: str = Field(description=_ROLE, examples=["member"])
    required: bool = Field(
        description="People of its domains, owners excepted, sign in with nothing else; "
        "sessions that came another way go there with their next request."
    )
    issuer: str = Field(description=_ISSUER, examples=["https://acme.okta.com"])
    client_id: str = Field(description=_CLIENT, examples=["0oa1b2c3"])
    has_client_secret: bool = Field(description="Whether one is set.")
    idp_entity_id: str = Field(description=_ENTITY, examples=["http://www.okta.com/exk1"])
    idp_sso_url: str = Field(description=_SIGN_ON, examples=["https://acme.okta.com/app/sso/saml"])
    idp_certificate: str = Field(
        description=_CERTIFICATE, examples=["-----BEGIN CERTIFICATE-----\n…"]
    )
    redirect_uri: str | None = Field(
        None,
        description=f"OpenID: {_OURS}",
        examples=["https://router.example.com/accounts/oidc/…/login/callback/"],
    )
    acs_url: str | None = Field(
        None,
        description=f"SAML: {_OURS}",
        examples=["https://router.example.com/accounts/saml/…/acs/"],
    )
    sp_entity_id: str | None = Field(
        None,
        description=f"SAML: {_OURS}",
        examples=["https://router.example.com/accounts/saml/…/metadata/"],
    )
    domains: list[DomainOut] = Field(description="Whose people it signs in.")


class Connections(Schema):
    """Every connection of the organization."""

    data: list[ConnectionOut] = Field(description="All of them.")
    next_cursor: None = Field(None, description="Always null: there are at most ten.")


class ConnectionChange(Schema):
    """What to change of a connection; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Okta"}})

    name: str | None = Field(None, description=_NAME, examples=["Okta"])
    default_role: Literal["viewer", "member", "admin"] | None = Field(None, description=_ROLE)
    required: bool | None = Field(None, description="Needs a proved domain.")
    issuer: str | None = Field(
        None,
        description="OpenID. Another issuer needs a new client secret.",
        examples=["https://acme.okta.com"],
    )
    client_id: str | None = Field(None, description=_CLIENT, examples=["0oa1b2c3"])
    client_secret: str | None = Field(
        None, description="Kept sealed and never shown again.", examples=["hush-hush"]
    )
    metadata: str | None = Field(
        None, description="SAML: the provider's metadata as XML.", examples=["<EntityDescriptor …"]
    )
    metadata_url: str | None = Field(
        None,
        description="SAML: where its metadata is; read once.",
        examples=["https://acme.okta.com/app/exk1/sso/saml/metadata"],
    )
    idp_entity_id: str | None = Field(
        None, description=_ENTITY, examples=["http://www.okta.com/exk1"]
    )
    idp_sso_url: str | None = Field(
        None, description=_SIGN_ON, examples=["https://acme.okta.com/app/sso/saml"]
    )
    idp_certificate: str | None = Field(
        None, description=_CERTIFICATE, examples=["-----BEGIN CERTIFICATE-----\n…"]
    )


class ConnectionIn(ConnectionChange):
    """A new connection."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "kind": "oidc",
                "name": "Okta",
                "issuer": "https://acme.okta.com",
                "client_id": "0oa1b2c3",
                "client_secret": "hush-hush",
            }
        }
    )

    kind: Literal["oidc", "saml"] = Field(description="OpenID Connect or SAML.")
    name: str = Field(description=_NAME, examples=["Okta"])


class DomainIn(Schema):
    """A domain to add."""

    domain: str = Field(description="The part of addresses after the @.", examples=["example.com"])
