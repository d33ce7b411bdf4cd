"""One immutable ``Snapshot`` of an organization's configuration in memory, found by key digest.

1. A key's digest leads to its snapshot and key; that is two dictionary look-ups.
2. A digest that is not known asks the loader once, off the event loop; a stranger's is remembered
   for five seconds, so that guessing costs the database next to nothing.
3. When admission reports another epoch, the snapshot is loaded again before the call goes on.
4. Twice a second the store asks what changed, so that news which Redis lost arrives all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from preferences.core import DEFAULT, Preferences
from routing.model import AUTO, Deployment

log = logging.getLogger(__name__)

SNAPSHOTS_MAX = 20_000
UNKNOWN_TTL_S = 5.0
UNKNOWN_MAX = 10_000
WATCH_EVERY_S = 0.5
# Against news that got lost for good, such as rows changed by hand; a load costs about 10 ms.
AGE_MAX_S = 6 * 3600.0
AGED_PER_LOOK_MAX = 1
LOADS_MAX = 64


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the gateway needs it; ``wanted`` is organization ← user ← key."""

    id: str
    name: str
    user_id: str | None
    scopes: frozenset[str]
    networks: tuple[IPv4Network | IPv6Network, ...]
    expires_at_s: float | None
    revoked: bool
    wanted: Preferences


@dataclass(frozen=True, slots=True)
class Candidates:
    """The deployments that serve one name, and their ids as Redis knows them.

    ``foreign_wires`` are their wire formats that are not OpenAI's own.
    """

    deployments: tuple[Deployment, ...]
    ids: tuple[str, ...]
    foreign_wires: tuple[str, ...] = ()

    @classmethod
    def of(cls, deployments: tuple[Deployment, ...]) -> Candidates:
        """Pairs the deployments with their ids."""
        foreign = sorted({d.wire for d in deployments} - {"openai"})
        return cls(deployments, tuple(d.id for d in deployments), tuple(foreign))


NOBODY = Candidates((), ())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a call of this organization needs to know, as of ``epoch``.

    ``prices_end_s`` is when a listed price changes next, by the clock of ``loaded_at_s``.
    ``wanted`` is what holds for members without preferences of their own, who are in ``members``.
    """

    organization_id: str
    live_key: str
    epoch: int
    loaded_at_s: float
    keys: Mapping[bytes, Key]
    by_name: Mapping[str, Candidates]
    auto: Mapping[str, Candidates]
    models: tuple[Deployment, ...]
    wanted: Preferences = DEFAULT
    members: Mapping[str, Preferences] = field(default_factory=dict)
    stores_bodies: bool = False
    prices_end_s: float = math.inf

    def candidates(self, model: str, operation: str) -> Candidates:
        """Who serves ``model``: a model's name, ``provider/model``, or ``auto``."""
        if model == AUTO:
            return self.auto.get(operation, NOBODY)
        return self.by_name.get(model, NOBODY)

    def served(self, operation: str) -> list[str]:
        """The names of the models of one operation, in order."""
        return sorted({d.model for d in self.models if d.operation == operation})


class Loader(Protocol):
    """What the store needs of the database; every method blocks and runs off the event loop."""

    def organization_of(self, digest: bytes) -> str | None:
        """The organization that a key's digest belongs to."""

    def load(self, organization_id: str) -> Snapshot | None:
        """The organization's snapshot as of now, or None when it is gone."""

    def to_begin_with(self, most: int) -> Sequence[str]:
        """Some organizations that may well call soon."""

    def changed(self) -> Mapping[str, int]:
        """Epochs of the organizations that changed since the last look, and some from before."""


class DatabaseDown(Exception):
    """The database did not answer; what is in memory stands."""


class SnapshotStore:
    """The snapshots of this process."""

    def __init__(
        self,
        loader: Loader,
        *,
        run: Callable[..., Awaitable[object]],
        clock: Callable[[], float],
        published: Callable[[Snapshot], Awaitable[None]],
    ) -> None:
        """``run`` calls a blocking function elsewhere; ``published`` tells Redis a new epoch."""
        self._loader = loader
        self._run = run
        self._clock = clock
        self._published = published
        self._by_digest: dict[bytes, tuple[Snapshot, Key]] = {}
        self._by_organization: OrderedDict[str, Snapshot] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._loading: dict[str, asyncio.Future[Snapshot | None]] = {}
        self._cold = asyncio.Semaphore(LOADS_MAX)

    def find(self, digest: bytes) -> tuple[Snapshot, Key] | None:
        """The snapshot and key of a digest, if they are in memory."""
        return self._by_digest.get(digest)

    def of(self, organization_id: str) -> Snapshot | None:
        """The snapshot of an organization, if it is in memory."""
        return self._by_organization.get(organization_id)

    async def look_up(self, digest: bytes) -> tuple[Snapshot, Key] | None:
        """As ``find``, asking the database for a digest that is not in memory.

        Raises ``DatabaseDown``.
        """
        now = self._clock()
        unknown_until = self._unknown.get(digest)
        if unknown_until is not None and unknown_until > now:
            return None
        async with self._cold:
            organization_id = await self._run(self._loader.organization_of, digest)
        if isinstance(organization_id, str):
            await self.reload(organization_id)
            if digest not in self._by_digest:
                # That load may have begun before the key was made.
                await self.reload(organization_id)
        found = self._by_digest.get(digest)
        if found is None:
            self._unknown[digest] = now + UNKNOWN_TTL_S
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
        return found

    async def reload(self, organization_id: str) -> Snapshot | None:
        """The organization's configuration as of now; concurrent callers share one load.

        A load that had begun before this call may miss the change that the caller heard of, so
        the caller compares epochs and asks again. Raises ``DatabaseDown``.
        """
        running = self._loading.get(organization_id)
        if running is None:
            running = asyncio.ensure_future(self._load(organization_id))
            self._loading[organization_id] = running
            running.add_done_callback(lambda _: self._loading.pop(organization_id, None))
        return await asyncio.shield(running)

    async def _load(self, organization_id: str) -> Snapshot | None:
        loaded = await self._run(self._loader.load, organization_id)
        if not isinstance(loaded, Snapshot):
            self._drop(organization_id)
            return None
        self._keep(loaded)
        await self._published(loaded)
        return loaded

    def _keep(self, snapshot: Snapshot) -> None:
        known = self._by_organization.get(snapshot.organization_id)
        if known is not None and known.epoch > snapshot.epoch:
            return
        self._drop(snapshot.organization_id)
        self._by_organization[snapshot.organization_id] = snapshot
        for digest, key in snapshot.keys.items():
            self._by_digest[digest] = (snapshot, key)
            self._unknown.pop(digest, None)
        if len(self._by_organization) > SNAPSHOTS_MAX:
            self._drop(next(iter(self._by_organization)))

    def _drop(self, organization_id: str) -> None:
        known = self._by_organization.pop(organization_id, None)
        if known is not None:
            for digest in known.keys:
                self._by_digest.pop(digest, None)

    async def preload(self, most: int) -> None:
        """Loads some organizations before their first call; raises ``DatabaseDown``."""
        found = await self._run(self._loader.to_begin_with, most)
        assert isinstance(found, Sequence)
        for organization_id in found:
            await self._try_reload(organization_id)

    async def watch(self) -> None:
        """Keeps snapshots in step with Postgres; runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.catch_up()
            except DatabaseDown:
                continue
            except Exception:
                # A bug here must not end the watch: without Redis it alone ends revoked keys.
                log.exception("what changed cannot be read")

    async def catch_up(self) -> None:
        """Reloads what changed, what has another price from now on, and what is old."""
        changed = await self._run(self._loader.changed)
        assert isinstance(changed, Mapping)
        now = self._clock()
        known = self._by_organization.values()
        there = ((self._by_organization.get(id_), epoch) for id_, epoch in changed.items())
        stale = [s for s, epoch in there if s is not None and epoch > s.epoch]
        stale += [s for s in known if s.prices_end_s <= now]
        # Few at a time, so that news never waits for long behind them.
        stale += [s for s in known if s.loaded_at_s < now - AGE_MAX_S][:AGED_PER_LOOK_MAX]
        for organization_id in {s.organization_id: None for s in stale}:
            await self._try_reload(organization_id)

    async def _try_reload(self, organization_id: str) -> None:
        try:
            await self.reload(organization_id)
        except DatabaseDown:
            raise
        except Exception:
            # One organization that cannot be read must not keep news from the others.
            log.exception("organization %s cannot be read", organization_id)
