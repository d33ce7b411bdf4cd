"""UUIDv7: real ones, ordered by time, read back strictly."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ids import parse_uuid7, uuid7, uuid7_text, uuid7_time_ms

TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.integers(0, 2**80 - 1)


@given(TIMES, RANDOM)
def test_it_is_a_uuid_of_version_7(now_ms: int, rand: int) -> None:
    value = uuid7(now_ms, rand)
    known = UUID(int=value)
    assert (known.version, known.variant) == (7, "specified in RFC 4122")
    assert uuid7_time_ms(value) == now_ms
    assert uuid7_text(now_ms, rand) == str(known)
    assert parse_uuid7(str(known)) == parse_uuid7(str(known).upper()) == value


def test_the_example_of_the_rfc() -> None:
    value = parse_uuid7("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
    assert uuid7_time_ms(value) == 0x17F22E279B0
    assert uuid7(0x17F22E279B0, (0xCC3 << 62) | 0x18C4DC0C0C07398F) == value


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_it_orders_by_time_and_keeps_74_bits_of_chance(a: int, b: int, x: int, y: int) -> None:
    if a < b:
        assert uuid7(a, x) < uuid7(b, y)
    assert (uuid7(a, x) == uuid7(a, y)) == (x % 2**74 == y % 2**74)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "017f22e279b07cc398c4dc0c0c07398f",
        "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "017f22e2-79b0-7cc3-98c4-dc0c0c0739_f",
        "+17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398\u0665",
        "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2_79b0-7cc3-98c4-dc0c0c07398f",
        str(uuid4()),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="version 7"):
        parse_uuid7(text)
