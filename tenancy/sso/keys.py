"""The key pair of a SAML connection: its provider encrypts what it says of people for it alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.conf import settings

from lib.secretbox import NONCE_BYTES, open_, seal
from tenancy.models import SsoConnection

KEY_BITS = 3072
# Providers take the certificate from our metadata and heed its key; its dates are a formality.
VALID_FOR = timedelta(days=30 * 365)
_NAME = "Enterprise Router"
_KEY_ID = 1


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both in PEM."""

    certificate: str
    private_key: str

    def __repr__(self) -> str:
        return "KeyPair(…)"


def new_key_pair(now: datetime) -> KeyPair:
    """A fresh pair; takes some tenths of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return KeyPair(public.decode(), private.decode())


def keep_key_pair(connection: SsoConnection, pair: KeyPair) -> None:
    """Puts a pair on a connection that is still to be saved; the private key is sealed."""
    connection.sp_certificate = pair.certificate
    connection.sp_key_sealed = seal(
        {_KEY_ID: settings.ENCRYPTION_KEY},
        pair.private_key.encode(),
        aad=_aad(connection),
        nonce=os.urandom(NONCE_BYTES),
    )


def key_pair_of(connection: SsoConnection) -> KeyPair | None:
    """The pair of a connection; None for one that was made before there were any."""
    if connection.sp_key_sealed is None:
        return None
    keys = {_KEY_ID: settings.ENCRYPTION_KEY}
    private = open_(keys, bytes(connection.sp_key_sealed), aad=_aad(connection)).decode()
    return KeyPair(connection.sp_certificate, private)


def _aad(connection: SsoConnection) -> str:
    return f"tenancy_ssoconnection|sp_key|{connection.organization_id}|{connection.id}"
