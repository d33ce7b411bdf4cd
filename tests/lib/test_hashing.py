"""Keys are long, checked and never guessed; choices by hash are stable and fair."""

from __future__ import annotations

import hashlib
import hmac
import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.hashing import (
    base62,
    digest,
    fraction,
    looks_like_key,
    make_api_key,
    parse_api_key,
    same,
)

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET = bytes(range(32))


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["live", "test", "a1"]))
def test_a_key_has_its_form_and_carries_all_its_bits(secret: bytes, environment: str) -> None:
    key = make_api_key(secret, environment)
    assert re.fullmatch(rf"er_{environment}_[0-9A-Za-z]{{49}}", key)
    body, checksum = key[:-6], key[-6:]
    assert _number(body[-43:]) == int.from_bytes(secret, "big")
    assert _number(checksum) == crc32(body.encode())
    parts = parse_api_key(key)
    assert parts is not None
    assert (parts.environment, parts.last_four) == (environment, key[-4:])
    assert key.startswith(parts.prefix)
    assert len(parts.prefix) == len(f"er_{environment}_") + 4


def test_every_slip_of_the_pen_is_noticed() -> None:
    key = make_api_key(SECRET)
    for at in range(len(key)):
        other = key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :]
        assert parse_api_key(other) is None
        assert not looks_like_key((key[:at] + key[at + 1 :]).encode())
        if at and key[at - 1] != key[at]:
            swapped = key[: at - 1] + key[at] + key[at - 1] + key[at + 1 :]
            assert parse_api_key(swapped) is None


@pytest.mark.parametrize(
    "key",
    ["", "er_", "sk-abc", "er_live_" + "0" * 49, "x" * 100_000, "er_live_\u0665" + "0" * 48],
)
def test_garbage_is_no_key(key: str) -> None:
    assert parse_api_key(key) is None


def test_a_key_is_made_of_enough_chance() -> None:
    with pytest.raises(ValueError, match="32"):
        make_api_key(b"short")
    for environment in ("", "LIVE", "a_b", "a" * 17, "\u00e9"):
        with pytest.raises(ValueError, match="a-z"):
            make_api_key(SECRET, environment)


def test_base62_has_a_width() -> None:
    assert base62(0, 3) == "000"
    assert base62(62**3 - 1, 3) == "zzz"
    for value in (-1, 62**3):
        with pytest.raises(ValueError, match="base 62"):
            base62(value, 3)


def test_digests_are_hmac_sha_256_and_compared_in_constant_time() -> None:
    expected = hmac.new(b"pepper", b"key", hashlib.sha256).digest()
    assert digest(b"pepper", b"key") == expected
    assert same(expected, digest(b"pepper", b"key"))
    assert not same(expected, digest(b"other", b"key"))


def test_a_choice_by_hash_never_moves() -> None:
    # Recorded once: an assignment must stay the same across releases.
    assert fraction("ab-test-1", "user-42") == pytest.approx(0.5378447161076385, abs=1e-15)
    assert fraction("a", "bc") != fraction("ab", "c")


def test_choices_are_even_and_independent_between_salts() -> None:
    units = [f"user-{n}" for n in range(4000)]
    first = [fraction("one", unit) for unit in units]
    second = [fraction("two", unit) for unit in units]
    assert all(0 <= x < 1 for x in first)
    for tenth in range(10):
        assert 330 <= sum(tenth <= x * 10 < tenth + 1 for x in first) <= 470
    both = sum(x < 0.5 and y < 0.5 for x, y in zip(first, second, strict=True))
    assert 900 <= both <= 1100


def _number(text: str) -> int:
    value = 0
    for char in text:
        value = value * 62 + ALPHABET.index(char)
    return value


@pytest.mark.parametrize("pepper", [b"", b"pepper", b"p" * 64, b"p" * 65])
def test_the_digest_is_hmac_sha256(pepper: bytes) -> None:
    assert digest(pepper, b"a key") == hmac.digest(pepper, b"a key", "sha256")
