"""A SAML identity provider for tests: signs what it is told to, well or badly."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

ENTITY_ID = "https://idp.acme.example/metadata"
EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
_RESPONSE = """
<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
  xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{response}" Version="2.0"
  IssueInstant="{now}" Destination="{acs}" InResponseTo="{request}">
  <saml:Issuer>{issuer}</saml:Issuer>
  <samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>
  </samlp:Status>
  <saml:Assertion ID="_{assertion}" Version="2.0" IssueInstant="{now}">
    <saml:Issuer>{issuer}</saml:Issuer>
    <saml:Subject>
      <saml:NameID Format="{format}">{name_id}</saml:NameID>
      <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <saml:SubjectConfirmationData NotOnOrAfter="{until}" Recipient="{acs}"
          InResponseTo="{request}"/>
      </saml:SubjectConfirmation>
    </saml:Subject>
    <saml:Conditions NotBefore="{since}" NotOnOrAfter="{until}">
      <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>
      </saml:AudienceRestriction>
    </saml:Conditions>
    <saml:AuthnStatement AuthnInstant="{now}" SessionIndex="_{assertion}">
      <saml:AuthnContext><saml:AuthnContextClassRef
        >urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>
      </saml:AuthnContext>
    </saml:AuthnStatement>
  </saml:Assertion>
</samlp:Response>
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What our side asked for."""

    request_id: str
    acs_url: str
    audience: str


class IdentityProvider:
    """A provider with a key and certificate of its own making."""

    def __init__(self, sso_url: str = "https://idp.acme.example/sso") -> None:
        self.sso_url = sso_url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.acme.example")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = made.public_bytes(serialization.Encoding.PEM).decode()

    def metadata(self) -> str:
        """What it publishes about itself."""
        body = "".join(self.certificate.splitlines()[1:-1])
        return f"""<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY_ID}">
  <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>
        <ds:X509Certificate>{body}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
    </md:KeyDescriptor>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
      Location="{self.sso_url}"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>"""

    def read_request(self, location: str) -> Asked:
        """What the address says to which our side sends a browser."""
        (packed,) = parse_qs(urlsplit(location).query)["SAMLRequest"]
        root = etree.fromstring(zlib.decompress(base64.b64decode(packed), -15))
        issuer = root.findtext("{urn:oasis:names:tc:SAML:2.0:assertion}Issuer")
        return Asked(root.get("ID"), root.get("AssertionConsumerServiceURL"), issuer or "")

    def answer(
        self,
        asked: Asked,
        email: str,
        *,
        audience: str = "",
        ended_s_ago: int = 0,
        tamper: tuple[str, str] | None = None,
        encrypt_for: str = "",
        signed: bool = True,
    ) -> str:
        """A signed response in base64; ``tamper`` replaces a text after signing.

        ``encrypt_for`` is a certificate in PEM whose holder alone can read the assertion.
        """
        now = datetime.now(UTC)
        until = now - timedelta(seconds=ended_s_ago) if ended_s_ago else now + timedelta(minutes=5)
        xml = _RESPONSE.format(
            response=uuid4().hex,
            assertion=uuid4().hex,
            now=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            since=f"{until - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
            until=f"{until:%Y-%m-%dT%H:%M:%SZ}",
            acs=asked.acs_url,
            request=asked.request_id,
            issuer=ENTITY_ID,
            format=EMAIL_FORMAT,
            name_id=email,
            audience=audience or asked.audience,
        )
        text = self._signed(xml) if signed else xml.strip()
        if tamper:
            assert tamper[0] in text
            text = text.replace(*tamper)
        if encrypt_for:
            text = _encrypted(text, encrypt_for)
        return base64.b64encode(text.encode()).decode()

    def _signed(self, xml: str) -> str:
        root = etree.fromstring(xml.strip())
        assertion = root.find("{urn:oasis:names:tc:SAML:2.0:assertion}Assertion")
        signature = xmlsec.template.create(
            assertion, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256, ns="ds"
        )
        assertion.insert(1, signature)  # the schema wants it after the issuer
        reference = xmlsec.template.add_reference(
            signature, xmlsec.Transform.SHA256, uri=f"#{assertion.get('ID')}"
        )
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.tree.add_ids(assertion, ["ID"])
        context = xmlsec.SignatureContext()
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
        context.sign(signature)
        return etree.tostring(root, encoding="unicode")


def _encrypted(xml: str, certificate: str) -> str:
    """The response with its assertion for the holder of a certificate alone."""
    root = etree.fromstring(xml)
    assertion = root.find("{urn:oasis:names:tc:SAML:2.0:assertion}Assertion")
    wrapper = etree.SubElement(root, "{urn:oasis:names:tc:SAML:2.0:assertion}EncryptedAssertion")
    root.replace(assertion, wrapper)
    data = xmlsec.template.encrypted_data_create(
        root, xmlsec.Transform.AES256, type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(data)
    info = xmlsec.template.encrypted_data_ensure_key_info(data, ns="dsig")
    key = xmlsec.template.add_encrypted_key(info, xmlsec.Transform.RSA_OAEP)
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_PEM, None))
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(xmlsec.KeyData.AES, 256, xmlsec.KeyDataType.SESSION)
    wrapper.append(assertion)
    context.encrypt_xml(data, assertion)
    return etree.tostring(root, encoding="unicode")
