"""What was asked and answered in one call, sealed for the journal.

Only calls of organizations that store bodies have one. Nothing in clear reaches the disk.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import orjson

from analytics.core import ANSWER, BODY_KEY_ID, REQUEST, body_bound_to
from lib.secretbox import NONCE_BYTES, seal
from routing.journal import Journal
from routing.record import Record

KEPT_BYTES_MAX = 256 * 1024
NONCES_BYTES = 2 * NONCE_BYTES


class Tape:
    """The beginning of a request and of its answer, and how long each was."""

    __slots__ = ("_answer", "_request", "answer_bytes", "request_bytes")

    def __init__(self, request: bytes) -> None:
        self._request = request[:KEPT_BYTES_MAX]
        self.request_bytes = len(request)
        self._answer = bytearray()
        self.answer_bytes = 0

    def add(self, piece: bytes) -> None:
        """A further piece of the answer."""
        self.answer_bytes += len(piece)
        left = KEPT_BYTES_MAX - len(self._answer)
        if left > 0:
            self._answer += piece[:left]

    def sealed(self, record: Record, *, key: bytes, nonces: bytes) -> bytes:
        """The journal's record of it; ``nonces`` are ``NONCES_BYTES`` fresh random bytes."""
        nonce = {REQUEST: nonces[:NONCE_BYTES], ANSWER: nonces[NONCE_BYTES:]}
        identifier = record.id.replace("-", "")

        def closed(part: str, plain: bytes) -> str:
            bound = body_bound_to(record.organization_id, identifier, part)
            sealed = seal({BODY_KEY_ID: key}, plain, aad=bound, nonce=nonce[part])
            return b64encode(sealed).decode()

        return orjson.dumps(
            {
                "k": "b",
                "id": record.id,
                "organization_id": record.organization_id,
                "created_ms": record.created_ms,
                "request": closed(REQUEST, self._request),
                "answer": closed(ANSWER, bytes(self._answer)),
                "request_bytes": self.request_bytes,
                "answer_bytes": self.answer_bytes,
            }
        )


class Keeper:
    """Seals tapes and writes them to the journal, where the disk takes them."""

    def __init__(
        self, journal: Journal, *, key: bytes, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._journal = journal
        self._key = key
        self._random_bytes = random_bytes

    def keep(self, record: Record, tape: Tape) -> None:
        """Keeps what was said; a call counts with or without it, so nothing fails on it."""
        nonces = self._random_bytes(NONCES_BYTES)
        self._journal.append_if_possible(tape.sealed(record, key=self._key, nonces=nonces))
