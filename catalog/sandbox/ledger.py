"""What the sandbox was asked, counted: the other side of the router's own books."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

import msgspec

CALLS_KEPT_MAX = 200_000


class Call(msgspec.Struct, gc=False):
    """One accepted request. ``finished`` once the whole answer was handed over."""

    n: int
    request_id: str | None
    model: str
    status: int
    stream: bool
    finished: bool
    input_tokens: int
    output_tokens: int


class Ledger:
    """The latest calls, numbered from 1, and the exact count of all."""

    def __init__(self) -> None:
        self.count = 0
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT_MAX)

    def append(
        self, model: str, *, request_id: str | None, status: int, stream: bool, input_tokens: int
    ) -> Call:
        """Count a call before it is answered; the record is completed as the answer goes out."""
        self.count += 1
        call = Call(self.count, request_id, model, status, stream, False, input_tokens, 0)
        self._calls.append(call)
        return call

    def since(self, n: int) -> Iterator[Call]:
        """The kept calls numbered above ``n``, oldest first."""
        forgotten = self.count - len(self._calls)
        return islice(self._calls, max(0, n - forgotten), None)

    def reset(self) -> None:
        """Start again at zero."""
        self.count = 0
        self._calls.clear()
