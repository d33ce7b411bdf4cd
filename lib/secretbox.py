"""Secrets at rest: AES-256-GCM under a numbered key, bound to the row they belong to.

sealed = version (1 byte) ‖ key id (2) ‖ nonce (12) ‖ ciphertext and tag

The associated data is ``table|column|organization_id|row_id``, so that a sealed value copied to
another row or organization does not open. To rotate, add a key under a higher id to the keyring:
new values are sealed under it, old ones still open until they have been sealed again.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = 1
_HEADER_BYTES = 3
_TAG_BYTES = 16
_SEALED_BYTES_MIN = _HEADER_BYTES + NONCE_BYTES + _TAG_BYTES

Keyring = Mapping[int, bytes]


class SecretError(Exception):
    """A sealed value does not open. Says which key, never what was in it."""


def seal(keys: Keyring, plaintext: bytes, *, aad: str, nonce: bytes) -> bytes:
    """The plaintext sealed under the key with the highest id.

    ``nonce`` is 12 fresh random bytes; the same one must never seal twice. Raises ValueError for
    a key or nonce of another length.
    """
    key_id = max(keys, default=0)
    if not 1 <= key_id <= 0xFFFF:
        raise ValueError("The keyring needs at least one key, with an id from 1 to 65535.")
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"The nonce must have {NONCE_BYTES} bytes, not {len(nonce)}.")
    header = bytes([_VERSION]) + key_id.to_bytes(2, "big")
    return header + nonce + _cipher(keys[key_id]).encrypt(nonce, plaintext, header + aad.encode())


def open_(keys: Keyring, sealed: bytes, *, aad: str) -> bytes:
    """The plaintext; raises SecretError when it was moved, altered, or its key is not there."""
    if len(sealed) < _SEALED_BYTES_MIN or sealed[0] != _VERSION:
        raise SecretError("This is not a sealed value of a known version.")
    header = sealed[:_HEADER_BYTES]
    key_id = sealed_key_id(sealed)
    if key_id not in keys:
        raise SecretError(f"Key {key_id}, under which this was sealed, is not in the keyring.")
    nonce = sealed[_HEADER_BYTES : _HEADER_BYTES + NONCE_BYTES]
    ciphertext = sealed[_HEADER_BYTES + NONCE_BYTES :]
    try:
        return _cipher(keys[key_id]).decrypt(nonce, ciphertext, header + aad.encode())
    except InvalidTag:
        # Without the cause: a traceback must have nothing to show.
        raise SecretError(
            f"Does not open with key {key_id} for {aad}: another key, another row, or altered."
        ) from None


def sealed_key_id(sealed: bytes) -> int:
    """The id of the key under which a value was sealed: what is left to seal again."""
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"A key must have {KEY_BYTES} bytes, not {len(key)}.")
    return AESGCM(key)
