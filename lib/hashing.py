"""Keys, digests and choices made by hash.

An API key is ``er_<environment>_<43 characters of 256 random bits><6 characters of CRC32>``, all in
base 62. The checksum is of everything before it, so a typo or garbage is refused without a lookup.
What is stored is the HMAC-SHA-256 of the key: with 256 random bits a slow hash would add nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any
from zlib import crc32

SECRET_BYTES = 32
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_SECRET_CHARS = 43
_CHECKSUM_CHARS = 6
_ENVIRONMENT_CHARS_MAX = 16
_TAIL_CHARS = _SECRET_CHARS + _CHECKSUM_CHARS
_BLOCK_BYTES = 64
_KEY_CHARS_MAX = 4 + _ENVIRONMENT_CHARS_MAX + _TAIL_CHARS


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The parts of a well-formed key that may be shown."""

    environment: str
    prefix: str
    last_four: str


def base62(value: int, width: int) -> str:
    """``value`` in base 62 (0-9A-Za-z), padded with zeros; ValueError if wider than ``width``."""
    if not 0 <= value < 62**width:
        raise ValueError(f"{value} does not fit {width} characters of base 62.")
    out = []
    for _ in range(width):
        value, digit = divmod(value, 62)
        out.append(_ALPHABET[digit])
    return "".join(reversed(out))


def make_api_key(secret: bytes, environment: str = "live") -> str:
    """The key that carries ``secret`` (32 random bytes); it is shown once and never stored."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"A key needs {SECRET_BYTES} random bytes, not {len(secret)}.")
    if not _is_environment(environment):
        raise ValueError(
            f'"{environment}" cannot be in a key. Use 1 to {_ENVIRONMENT_CHARS_MAX} of a-z and 0-9.'
        )
    body = f"er_{environment}_{base62(int.from_bytes(secret, 'big'), _SECRET_CHARS)}"
    return body + _checksum(body.encode())


def parse_api_key(key: str) -> ApiKey | None:
    """The parts of a key, or None when it was mistyped or never one of ours."""
    if not looks_like_key(key.encode("utf-8", "replace")):
        return None
    environment = key[3 : -_TAIL_CHARS - 1]
    if not _is_environment(environment):
        return None
    return ApiKey(environment=environment, prefix=key[: -_TAIL_CHARS + 4], last_four=key[-4:])


def looks_like_key(key: bytes) -> bool:
    """Whether the bytes have the form and the checksum of a key; cheapest check first."""
    return (
        _TAIL_CHARS + 5 <= len(key) <= _KEY_CHARS_MAX
        and key[:3] == b"er_"
        and key[-_TAIL_CHARS - 1] == 95
        and key[-_TAIL_CHARS:].isalnum()
        and key[-_CHECKSUM_CHARS:] == _checksum(key[:-_CHECKSUM_CHARS]).encode()
    )


def _checksum(body: bytes) -> str:
    # Two digits at a time: this runs for every call.
    rest, low = divmod(crc32(body), 3844)
    high, middle = divmod(rest, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _is_environment(text: str) -> bool:
    return (
        1 <= len(text) <= _ENVIRONMENT_CHARS_MAX
        and text.isascii()
        and text.isalnum()
        and text == text.lower()
    )


def digest(pepper: bytes, key: bytes) -> bytes:
    """HMAC-SHA-256 of a key (RFC 2104), 32 bytes: what is stored and looked up."""
    # From states that hold the pepper already: 1.8 us a call where hmac.digest takes 3.9.
    started, wrapped = _keyed(pepper)
    inner = started.copy()
    inner.update(key)
    outer = wrapped.copy()
    outer.update(inner.digest())
    hashed: bytes = outer.digest()
    return hashed


@cache
def _keyed(pepper: bytes) -> tuple[Any, Any]:
    block = (sha256(pepper).digest() if len(pepper) > _BLOCK_BYTES else pepper).ljust(
        _BLOCK_BYTES, b"\0"
    )
    return sha256(bytes(b ^ 0x36 for b in block)), sha256(bytes(b ^ 0x5C for b in block))


def same(left: bytes, right: bytes) -> bool:
    """Whether both are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(left, right)


def fraction(salt: str, unit: str) -> float:
    """A number in [0, 1) that is always the same for this salt and unit, and evenly spread.

    The salt (say, of an experiment) keeps two choices about the same unit independent.
    """
    # The length keeps ("a", "bc") apart from ("ab", "c"). 53 bits are what a float holds exactly.
    hashed = sha256(f"{len(salt)}:{salt}{unit}".encode()).digest()
    return (int.from_bytes(hashed[:7], "big") >> 3) / (1 << 53)
