"""UUIDv7 as integers (RFC 9562, section 5.7): made from a given time and chance, read back."""

from __future__ import annotations

_RANDOM_LOW = (1 << 62) - 1
_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_FIXED_BITS = (0xF << 76) | (0b11 << 62)


def uuid7(now_ms: int, rand: int) -> int:
    """A UUIDv7 as a 128-bit integer: ``now_ms`` since the epoch and the low 74 bits of ``rand``."""
    return (
        (now_ms & 0xFFFFFFFFFFFF) << 80
        | (rand >> 62 & 0xFFF) << 64
        | _VERSION_AND_VARIANT
        | rand & _RANDOM_LOW
    )


def uuid7_time_ms(value: int) -> int:
    """The milliseconds since the epoch at which a UUIDv7 was made."""
    return value >> 80


def uuid7_text(now_ms: int, rand: int) -> str:
    """A UUIDv7 in its usual text: 36 characters, lower case."""
    text = f"{uuid7(now_ms, rand):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid7(text: str) -> int:
    """The integer of a UUIDv7 in its usual text; raises ValueError for anything else."""
    digits = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
    if (
        len(text) == 36
        and text[8] == text[13] == text[18] == text[23] == "-"
        # Because int() also takes signs, underscores, spaces and the digits of other scripts.
        and digits.isascii()
        and digits.isalnum()
    ):
        try:
            value = int(digits, 16)
        except ValueError:
            pass
        else:
            if value & _FIXED_BITS == _VERSION_AND_VARIANT:
                return value
    raise ValueError(f'"{text[:40]}" is not a UUID of version 7.')
