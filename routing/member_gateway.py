"""The gateway for a member who is signed in and brings no key: the same call, limits and record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lib.errors import RouterError
from lib.ids import uuid7_text
from routing.attempt import Attempter
from routing.gateway import Caller, Gateway
from routing.incoming import Incoming, read_headers
from routing.journal import Journal
from routing.live import Live
from routing.record import Record
from routing.snapshot import DatabaseDown, Key, Snapshot, SnapshotStore
from routing.tape import Keeper


class MemberGateway(Gateway):
    """Makes one call as a member of an organization; the ledger shows the user and no key.

    Whoever makes one has checked the session and the role. After the call ``record`` tells all
    that was written down of it, with ``status``, ``error_code`` and ``latency_ms``.
    """

    def __init__(
        self,
        organization_id: str,
        user_id: str,
        *,
        store: SnapshotStore,
        live: Live,
        journal: Journal,
        attempter: Attempter,
        random_bits: Callable[[int], int],
        keeper: Keeper,
    ) -> None:
        super().__init__(
            store=store,
            live=live,
            journal=journal,
            attempter=attempter,
            pepper=b"",
            trusted_proxies=0,
            random_bits=random_bits,
            keeper=keeper,
        )
        self._organization_id = organization_id
        self._user_id = user_id
        self.record: Record | None = None
        # Known before the call, so that whoever leaves it early finds it again.
        self._created_ms = time.time_ns() // 1_000_000
        self.call_id = uuid7_text(self._created_ms, random_bits(74))
        self.status = 0
        self.error_code = ""
        self.latency_ms = 0

    async def who(self, incoming: Incoming, scope: str = "gateway") -> Caller:
        """The member's organization, with their preferences and no key."""
        try:
            known = self._store.of(self._organization_id)
            snapshot = known or await self._store.reload(self._organization_id)
        except DatabaseDown:
            raise _unreadable() from None
        if snapshot is None:
            raise _unreadable()
        return Caller(snapshot, self._member(snapshot), read_headers(incoming.headers))

    def _member(self, snapshot: Snapshot) -> Key:
        return Key(
            id="",
            name="",
            user_id=self._user_id,
            scopes=frozenset({"gateway"}),
            networks=(),
            expires_at_s=None,
            revoked=False,
            wanted=snapshot.members.get(self._user_id, snapshot.wanted),
        )

    def _new_record(self, key: Key, snapshot: Snapshot, operation: str) -> Record:
        made = super()._new_record(key, snapshot, operation)
        self.record = replace(made, id=self.call_id, created_ms=self._created_ms)
        return self.record

    def _write_down(self, record: Record, began_ns: int, *, status: int, error_code: str) -> None:
        self.status, self.error_code = status, error_code
        self.latency_ms = (time.monotonic_ns() - began_ns) // 1_000_000
        super()._write_down(record, began_ns, status=status, error_code=error_code)


def _unreadable() -> RouterError:
    return RouterError(
        503,
        "configuration_unavailable",
        "This organization's configuration cannot be read right now. Try again in a moment.",
        type="server_error",
        retry_after_s=1.0,
    )
