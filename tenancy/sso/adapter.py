"""How allauth finds an organization's identity provider, and whom it lets in from there.

1. allauth asks for a provider by name; the name of a connection is its id. No ``SocialApp`` row
   is needed: one is made from the connection, and is never saved.
2. Whoever comes from a connection must have an address in a domain that its organization proved.
   An existing account is theirs when that is its own address or another one that it confirmed:
   whoever has the domain could set a new password by mail too. What nobody confirmed never counts.
3. The first time they become a member with the connection's role. Who left or was removed stays
   out until somebody lets them in again.
"""

from __future__ import annotations

from typing import Any, cast

import requests
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.base.provider import Provider
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.saml.provider import SAMLProvider
from django.http import Http404, HttpRequest
from django.shortcuts import render

from tenancy.core import SsoKind
from tenancy.models import FormerMember, Membership, SsoConnection, User
from tenancy.scope import tenant_scope
from tenancy.sso.core import domain_of
from tenancy.sso.http import guarded_session
from tenancy.sso.keys import key_pair_of
from tenancy.sso.selectors import find_connection, verified_domains
from tenancy.sso.services import open_client_secret
from tenancy.ways_in import addresses_of

NAME_CHARS_MAX = 120
_OF_THE_OPERATOR = ("google", "github")
_EMAIL_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_SAML_ATTRIBUTES = {
    "uid": [
        "urn:oasis:names:tc:SAML:attribute:subject-id",
        "http://schemas.microsoft.com/identity/claims/objectidentifier",
    ],
    "email": [
        "urn:oid:0.9.2342.19200300.100.1.3",
        f"{_EMAIL_CLAIMS}emailaddress",
        "email",
        "mail",
        "Email",
    ],
    "first_name": [f"{_EMAIL_CLAIMS}givenname", "urn:oid:2.5.4.42", "firstName", "first_name"],
    "last_name": [f"{_EMAIL_CLAIMS}surname", "urn:oid:2.5.4.4", "lastName", "last_name"],
}


class NotOfferedError(Http404, SocialApp.DoesNotExist):  # type: ignore[misc]
    """A way to sign in that does not exist here; its addresses answer 404."""


class SsoOpenIdProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """An organization's OpenID provider."""

    def serialize(self) -> dict[str, Any]:
        """Names the connection: two organizations may have the same client id."""
        return {"id": self.app.provider_id}


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """The operator's providers and those of organizations."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Google and GitHub where they are configured; a connection only when asked by its id."""
        if provider is None or provider in _OF_THE_OPERATOR:
            return list(super().list_apps(request, provider=provider, client_id=client_id))
        found = find_connection(client_id if provider == SAMLProvider.id else provider)
        if found is None or (provider == SAMLProvider.id and found.kind != SsoKind.SAML):
            return []
        return [_app_of(found)]

    def get_app(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> SocialApp:
        """The one provider of that name; raises ``NotOfferedError``."""
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist:
            raise NotOfferedError from None

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> Provider:
        """The provider of that name; raises ``NotOfferedError``."""
        found = super().get_provider(request, provider, client_id)
        is_openid = isinstance(found, OpenIDConnectProvider)
        return SsoOpenIdProvider(request, app=found.app) if is_openid else found

    def get_requests_session(self) -> requests.Session:
        """What asks providers, whose addresses users gave."""
        return guarded_session()

    def populate_user(
        self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]
    ) -> User:
        """A new user with the name that the provider knows."""
        user = cast(User, super().populate_user(request, sociallogin, data))
        parts = (data.get("first_name"), data.get("last_name"))
        name = data.get("name") or " ".join(filter(None, parts))
        user.name = " ".join(str(name).split())[:NAME_CHARS_MAX]
        return user

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """The account with the address that the connection vouches for: confirmed, or its own."""
        connection = find_connection(sociallogin.account.provider)
        if connection is None:
            return cast("tuple[User, str] | None", super().authenticate_by_email(sociallogin))
        email = sociallogin.user.email
        if domain_of(email) not in verified_domains(connection):
            return None
        # Who confirmed the address goes before who only signed up with it.
        confirmed = EmailAddress.objects.filter(email=email, verified=True)
        found = confirmed.select_related("user").first()
        user = found.user if found else User.objects.filter(email=email).first()
        return (user, email) if user else None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Turns away whom a connection may not speak for."""
        connection = find_connection(sociallogin.account.provider)
        if connection is None:
            return
        if told := _why_not(request, connection, sociallogin):
            page = "socialaccount/authentication_error.html"
            raise ImmediateHttpResponse(render(request, page, {"told": told}, status=403))
        if not sociallogin.is_existing:
            # Else somebody who wrote the address into their own account would keep its person out.
            email = sociallogin.email_addresses[0].email
            EmailAddress.objects.filter(email=email, verified=False).delete()


def _why_not(
    request: HttpRequest, connection: SsoConnection, sociallogin: SocialLogin
) -> str | None:
    """Why this person may not come in from this connection, for them to read."""
    if connection.kind == SsoKind.OIDC and (told := _flaw(connection, sociallogin)):
        return told
    addresses = sociallogin.email_addresses
    email = addresses[0].email if addresses else ""
    if not email:
        return f"{connection.name} did not say your email address. Its admin can change that."
    user = sociallogin.user if sociallogin.is_existing else None
    domains = verified_domains(connection)
    if domain_of(email) not in domains:
        return f"{connection.name} may not sign in {email}: it is of another domain."
    # An account that has since left for another domain is none of this connection's any more.
    if user and not _has_one_of(domains, user):
        return f"{connection.name} may not sign in {user.email}: it is of another domain."
    connects = sociallogin.state.get("process") == AuthProcess.CONNECT
    if connects and request.user != user:
        return "This is not the address of your account here. Sign out, then sign in with it."
    if user and _left(connection, user):
        return "You are no longer a member of this organization. An admin there can invite you."
    return None


def _has_one_of(domains: list[str], user: User) -> bool:
    """Whether an address of the account, its own or a confirmed one, is of these domains."""
    return any(domain_of(address) in domains for address in addresses_of(user))


def _flaw(connection: SsoConnection, sociallogin: SocialLogin) -> str | None:
    """What is wrong with an OpenID provider's claims themselves."""
    claims = sociallogin.account.extra_data
    token = claims.get("id_token") or {}
    more = claims.get("userinfo") or {}
    # The token is the proof; what else is said must be about the same person (OIDC 5.3.2).
    if not token.get("sub") or more.get("sub", token["sub"]) != token["sub"]:
        return f"{connection.name} did not say who you are."
    if str(more.get("email_verified", token.get("email_verified"))).lower() == "false":
        return f"{connection.name} has not confirmed your email address."
    return None


def _left(connection: SsoConnection, user: User) -> bool:
    of = {"organization_id": connection.organization_id, "user": user}
    with tenant_scope(connection.organization_id):
        left = FormerMember.objects.filter(**of).exists()
        return left and not Membership.objects.filter(**of).exists()


def _app_of(connection: SsoConnection) -> SocialApp:
    """The connection as allauth knows providers; never saved."""
    name = str(connection.id)
    domains: dict[str, Any] = {"verified_email": verified_domains(connection)}
    if connection.kind == SsoKind.OIDC:
        return SocialApp(
            provider=OpenIDConnectProvider.id,
            provider_id=name,
            name=connection.name,
            client_id=connection.client_id,
            secret=open_client_secret(connection),
            settings=domains
            | {
                "server_url": connection.issuer.rstrip("/"),
                # Who signs is whom the organization named, not whoever answers at the address.
                "openid_configuration_overrides": {"issuer": connection.issuer},
                "oauth_pkce_enabled": True,
            },
        )
    pair = key_pair_of(connection)
    keys = {"x509cert": pair.certificate, "private_key": pair.private_key} if pair else {}
    return SocialApp(
        provider=SAMLProvider.id,
        provider_id=name,
        name=connection.name,
        client_id=name,
        settings=domains
        | {
            "idp": {
                "entity_id": connection.idp_entity_id,
                "sso_url": connection.idp_sso_url,
                "x509cert": connection.idp_certificate,
            },
            "attribute_mapping": _SAML_ATTRIBUTES,
            "use_nameid_for_email": True,
            "advanced": keys
            | {
                "allow_single_label_domains": True,
                "want_attribute_statement": False,
                "reject_idp_initiated_sso": True,
            },
        },
    )
