"""What each field of a connection may hold; every function raises ``RouterError`` (422)."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from lxml.etree import LxmlError
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser

from lib.errors import RouterError
from lib.netguard import URL_CHARS_MAX, parse_base_url
from tenancy.core import Role
from tenancy.sso.http import guarded_session

WELL_KNOWN = "/.well-known/openid-configuration"
METADATA_CHARS_MAX = 200_000


def _invalid(param: str, message: str) -> RouterError:
    return RouterError(422, "invalid_value", message, param=param)


def line(text: str, param: str, *, chars_max: int, needed: bool = False) -> str:
    """One line of text."""
    text = text.strip()
    if needed and not text:
        raise _invalid(param, "Enter a name.")
    if len(text) > chars_max or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise _invalid(param, f"This is one line of at most {chars_max} characters.")
    return text


def default_role(text: str) -> str:
    """The role of newcomers: any but owner."""
    if text not in {Role.ADMIN, Role.MEMBER, Role.VIEWER}:
        raise _invalid("default_role", "Choose one of: admin, member, viewer.")
    return text


def issuer(text: str) -> str:
    """An OpenID issuer whose own description says the same; asks it."""
    address = text.strip().removesuffix(WELL_KNOWN)
    found = _described(address)
    said = str(found.get("issuer", ""))
    if said.rstrip("/") != address.rstrip("/"):
        raise _invalid("issuer", f'The provider calls itself "{said[:200]}". Enter that.')
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(found.get(name), str):
            raise _invalid("issuer", f"The provider's description has no {name}.")
    browser_address(str(found["authorization_endpoint"]), "issuer")
    return said


def _described(address: str) -> dict[str, object]:
    url = _guarded(address, "issuer").rstrip("/") + WELL_KNOWN
    try:
        with guarded_session() as session:
            answer = session.get(url)
            answer.raise_for_status()
            found = answer.json()
    except (requests.RequestException, ValueError):
        told = f"No OpenID provider answers at {address}{WELL_KNOWN} with its description."
        raise _invalid("issuer", told) from None
    if not isinstance(found, dict):
        raise _invalid("issuer", "The provider's description is no JSON object.")
    return found


def fetched_metadata(url: str) -> str:
    """The SAML metadata at an address."""
    try:
        with guarded_session() as session:
            answer = session.get(_guarded(url.strip(), "metadata_url"))
            answer.raise_for_status()
    except requests.RequestException:
        told = "No metadata could be read there. Paste the XML instead."
        raise _invalid("metadata_url", told) from None
    return answer.text


def metadata(xml: str) -> tuple[str, str, str]:
    """Entity ID, sign-on address and certificate of a SAML provider, from its metadata."""
    told = "This is not the metadata of a SAML identity provider."
    if len(xml) > METADATA_CHARS_MAX:
        raise _invalid("metadata", told)
    try:
        idp = OneLogin_Saml2_IdPMetadataParser.parse(xml.strip().encode())["idp"]
        several = idp.get("x509certMulti", {}).get("signing") or [""]
        return idp["entityId"], idp["singleSignOnService"]["url"], idp.get("x509cert") or several[0]
    except (LxmlError, ValueError, LookupError, TypeError, AttributeError):
        raise _invalid("metadata", told) from None


def browser_address(text: str, param: str) -> str:
    """An address that people's browsers are sent to; the server never asks it."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    allowed = ("https", "http") if settings.PRIVATE_NETWORKS else ("https",)
    bad = any(c <= " " or c == "\\" for c in text) or "@" in parts.netloc
    if bad or parts.scheme not in allowed or not parts.hostname or len(text) > URL_CHARS_MAX:
        raise _invalid(param, "Enter an address that begins with https://.")
    return text


def certificate(text: str) -> str:
    """An X.509 certificate in PEM; the lines around it may be missing."""
    body = "".join(one.strip() for one in text.splitlines() if not one.strip().startswith("-----"))
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    try:
        return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.PEM).decode()
    except ValueError:
        told = "This is no certificate in PEM: -----BEGIN CERTIFICATE----- …"
        raise _invalid("idp_certificate", told) from None


def _guarded(url: str, param: str) -> str:
    try:
        parse_base_url(url, allowed=settings.PRIVATE_NETWORKS)
    except ValueError as why:
        raise _invalid(param, str(why)) from None
    return url
