"""Tokens the sandbox's way: pieces of at most seven letters, and a memory of long prefixes."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable

CACHED_PREFIX_TOKENS_MIN = 1024  # as OpenAI and Anthropic have it
CACHED_PREFIX_STEP_TOKENS = 128
CACHED_PREFIX_TOKENS_MAX = 65_536
PREFIXES_MAX = 16_384

# Every character falls into a piece, so that the pieces joined are the text again.
_PIECE = re.compile(r"\s*\w{1,7}|\s*[^\w\s]|\s+")
_SLICE_CHARS = 65_536


def split(text: str) -> list[str]:
    """The text's tokens; joined they are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens a text has. Long texts are counted in slices, to keep memory flat."""
    if len(text) <= _SLICE_CHARS:
        return len(_PIECE.findall(text))
    return sum(
        len(_PIECE.findall(text[start : start + _SLICE_CHARS]))
        for start in range(0, len(text), _SLICE_CHARS)
    )


class Prefixes:
    """Remembers long prompt beginnings, so that a repeated one is reported as cached."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def clear(self) -> None:
        """Forget every prompt."""
        self._seen.clear()

    def remember(self, model: str, texts: Iterable[str]) -> tuple[int, int]:
        """(tokens that were already known, tokens known from now on) of this prompt's beginning."""
        pieces: list[str] = []
        for text in texts:
            pieces += split(text[: _SLICE_CHARS * 8])
            if len(pieces) >= CACHED_PREFIX_TOKENS_MAX:
                break
        known = kept = 0
        digest = hashlib.blake2b(model.encode(), digest_size=16)
        start, end = 0, CACHED_PREFIX_TOKENS_MIN
        while end <= min(len(pieces), CACHED_PREFIX_TOKENS_MAX):
            digest.update("\0".join(pieces[start:end]).encode())
            key = digest.digest()
            if key in self._seen:
                known = end
                self._seen.move_to_end(key)
            self._seen[key] = None
            kept = end
            start, end = end, end + CACHED_PREFIX_STEP_TOKENS
        while len(self._seen) > PREFIXES_MAX:
            self._seen.popitem(last=False)
        return known, kept
