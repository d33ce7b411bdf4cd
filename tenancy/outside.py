"""What another server says, for a request that is carried out in one transaction.

1. Whoever needs it calls ``outside``, before anything is changed. Usually that just asks.
2. Where the whole request runs in a transaction, because it is carried out once, what is not known
   yet raises ``AskFirstError``: the transaction is rolled back, the question is asked, and the
   request begins anew, with the answer known. No transaction waits for another server.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
QUESTIONS_MAX = 3

_known: ContextVar[dict[str, Any] | None] = ContextVar("known", default=None)


class AskFirstError(Exception):
    """A question that a transaction may not wait for."""

    def __init__(self, name: str, ask: Callable[[], Any]) -> None:
        super().__init__(name)
        self.name = name
        self.ask = ask


def outside(name: str, ask: Callable[[], T]) -> T:
    """What ``ask`` says, which may take seconds; ``name`` tells questions apart."""
    known = _known.get()
    if known is None:
        return ask()
    if name not in known:
        raise AskFirstError(name, ask)
    found: T = known[name]
    return found


def asking_outside(run: Callable[[], T]) -> T:
    """What ``run`` gives, which is a transaction: its questions are asked before it begins."""
    known: dict[str, Any] = {}
    for _ in range(QUESTIONS_MAX + 1):
        before = _known.set(known)
        try:
            return run()
        except AskFirstError as question:
            first = question
        finally:
            _known.reset(before)
        known[first.name] = first.ask()
    raise AssertionError(f"more than {QUESTIONS_MAX} questions")
