"""Calls that were turned away before they were anybody's: kept for whoever waits for a first one.

A refused call of a known key on a known path is in the ledger. These are not: a key that is
missing, mistyped, revoked, expired or from a forbidden network, and a wrong address.

1. ``note`` puts a refusal into a short queue; the caller does not wait.
2. A few times a second the queue is settled: whose key it was is looked up in memory.
3. A key that nobody has is compared with the marks that waiting pages left in Redis: the part of
   their keys that is shown anyway (first and last characters), and the address that their browser
   comes from. Marks end a minute after the page is closed.
4. Each organization keeps its last twenty for an hour. Without Redis they are lost.

Of a stranger's key nothing is kept. By the address alone no more is told than that a call from
there came without a key, or with one that is not known.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import hiredis
import orjson

from lib.errors import RouterError
from lib.hashing import digest, looks_like_key
from routing.incoming import Incoming, client_address, read_headers
from routing.redis_pipe import RedisDown, RedisPipe
from routing.snapshot import SnapshotStore

SETTLE_AFTER_S = 0.2
PENDING_MAX = 256
KEPT = 20
KEPT_S = 3600
SHOWN_CHARS = 4
_STRANGERS = frozenset({"missing_api_key", "invalid_api_key"})


@dataclass(frozen=True, slots=True)
class _Turned:
    at_ms: int
    incoming: Incoming
    refused: RouterError


class Rejections:
    """The queue of one process."""

    def __init__(
        self, pipe: RedisPipe, store: SnapshotStore, *, pepper: bytes, proxies: int
    ) -> None:
        self._pipe = pipe
        self._store = store
        self._pepper = pepper
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Turned] = deque(maxlen=PENDING_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._settling: set[asyncio.Task[None]] = set()

    def note(self, incoming: Incoming, refused: RouterError) -> None:
        """Takes a refusal; when more come than can be settled, the oldest are dropped."""
        self._pending.append(_Turned(time.time_ns() // 1_000_000, incoming, refused))
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE_AFTER_S, self._start)

    def _start(self) -> None:
        self._timer = None
        task = self._loop.create_task(self.settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def settle(self) -> None:
        """Writes what is pending to the organizations that it concerns."""
        pending, self._pending = list(self._pending), deque(maxlen=PENDING_MAX)
        try:
            found = await self._attribute(pending)
            await asyncio.gather(*(self._keep(org, told) for org, told in found.items()))
        except (RedisDown, hiredis.ReplyError):
            return

    async def _attribute(self, pending: Sequence[_Turned]) -> dict[str, list[bytes]]:
        """What to tell each organization, the oldest first."""
        found: dict[str, list[bytes]] = defaultdict(list)
        strangers: list[tuple[_Turned, list[str], str]] = []
        for turned in pending:
            wanted = read_headers(turned.incoming.headers)
            known = None
            if looks_like_key(wanted.secret):
                known = self._store.find(digest(self._pepper, wanted.secret))
            if known is not None:
                found[known[0].organization_id].append(_told(turned, "key"))
                continue
            address = client_address(turned.incoming.client, wanted.forwarded, self._proxies)
            strangers.append((turned, key_marks(wanted.secret), address_mark(address)))
        marks = sorted({m for _, alike, near in strangers for m in (*alike, near)})
        if not marks:
            return found
        waiting = dict(zip(marks, await self._pipe.send("MGET", *marks), strict=True))
        for turned, alike, near in strangers:
            owner = next((waiting[mark] for mark in alike if waiting[mark]), None)
            if owner is not None:
                found[owner.decode()].append(_told(turned, "likeness"))
            elif waiting[near] and turned.refused.code in _STRANGERS:
                found[waiting[near].decode()].append(_told(turned, "address"))
        return found

    async def _keep(self, organization_id: str, told: Sequence[bytes]) -> None:
        key = list_key(organization_id)
        await asyncio.gather(
            self._pipe.send("LPUSH", key, *told[-KEPT:]),
            self._pipe.send("LTRIM", key, 0, KEPT - 1),
            self._pipe.send("EXPIRE", key, KEPT_S),
        )


def list_key(organization_id: str) -> str:
    """The Redis list of an organization's refusals, the newest first."""
    return f"er:{{{organization_id}}}:rejected"


def key_marks(secret: bytes) -> list[str]:
    """How a waiting page may know a key: by its first characters, or by its last."""
    start, _, rest = secret[:256].rpartition(b"_")
    if not start.startswith(b"er_") or not secret.isascii():
        return []
    shown, last = rest[:SHOWN_CHARS].decode(), rest[-SHOWN_CHARS:].decode()
    return [mark(f"{start.decode()}_{shown}"), mark(last, kind="last")]


def mark(shown: str, *, kind: str = "first") -> str:
    """The Redis key that says which organization waits for a key that begins, or ends, so."""
    return f"er:waiting:{kind}:{shown}"


def address_mark(address: str) -> str:
    """The Redis key that says which organization's page is open at an address."""
    return f"er:waiting:from:{address[:64]}"


def _told(turned: _Turned, by: str) -> bytes:
    """A refusal as it is kept; ``by`` is how it was known whose it is."""
    return orjson.dumps(
        {
            "at_ms": turned.at_ms,
            "status": turned.refused.status,
            "code": turned.refused.code,
            "message": turned.refused.message,
            "by": by,
        }
    )
