"""A sealed secret opens in its own row with its own key, and nowhere else."""

from __future__ import annotations

import pytest

from lib.secretbox import SecretError, open_, seal, sealed_key_id

KEY, NEWER = b"k" * 32, b"n" * 32
NONCE = bytes(range(12))
ROW = "catalog_credential|secret|acme|1"
SECRET = b"sk-very-secret"


def test_it_opens_where_it_was_sealed() -> None:
    sealed = seal({1: KEY}, SECRET, aad=ROW, nonce=NONCE)
    assert SECRET not in sealed
    assert sealed[:3] == b"\x01\x00\x01"
    assert open_({1: KEY}, sealed, aad=ROW) == SECRET
    assert open_({1: KEY}, seal({1: KEY}, b"", aad=ROW, nonce=NONCE), aad=ROW) == b""


@pytest.mark.parametrize(
    "aad",
    [
        "catalog_credential|secret|rival|1",
        "catalog_credential|secret|acme|2",
        "catalog_credential|other|acme|1",
        "webhook|secret|acme|1",
        "",
    ],
)
def test_it_does_not_open_in_another_row(aad: str) -> None:
    sealed = seal({1: KEY}, SECRET, aad=ROW, nonce=NONCE)
    with pytest.raises(SecretError) as caught:
        open_({1: KEY}, sealed, aad=aad)
    assert "very-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_altered_byte_goes_unnoticed() -> None:
    sealed = seal({1: KEY}, SECRET, aad=ROW, nonce=NONCE)
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(SecretError):
            open_({0: KEY, 1: KEY, 257: KEY}, bytes(altered), aad=ROW)
    for length in range(len(sealed)):
        with pytest.raises(SecretError):
            open_({1: KEY}, sealed[:length], aad=ROW)


def test_keys_rotate() -> None:
    old = seal({1: KEY}, SECRET, aad=ROW, nonce=NONCE)
    both = {1: KEY, 2: NEWER}
    new = seal(both, SECRET, aad=ROW, nonce=NONCE)
    assert (sealed_key_id(old), sealed_key_id(new)) == (1, 2)
    assert open_(both, old, aad=ROW) == open_(both, new, aad=ROW) == SECRET
    with pytest.raises(SecretError, match="Key 1"):
        open_({2: NEWER}, old, aad=ROW)
    with pytest.raises(SecretError):
        open_({1: NEWER}, old, aad=ROW)


def test_keys_and_nonces_have_one_length() -> None:
    with pytest.raises(ValueError, match="32"):
        seal({1: b"short"}, SECRET, aad=ROW, nonce=NONCE)
    with pytest.raises(ValueError, match="12"):
        seal({1: KEY}, SECRET, aad=ROW, nonce=b"short")
    with pytest.raises(ValueError, match="at least one"):
        seal({}, SECRET, aad=ROW, nonce=NONCE)
