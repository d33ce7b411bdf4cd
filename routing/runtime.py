"""The gateway of one process: put together at start, taken apart at the end."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from routing.attempt import Attempter
from routing.compiler import DatabaseLoader
from routing.door import Door
from routing.gateway import Gateway
from routing.journal import Journal
from routing.live import Live
from routing.member_gateway import MemberGateway
from routing.redis_pipe import RedisPipe
from routing.rejections import Rejections
from routing.snapshot import DatabaseDown, Snapshot, SnapshotStore
from routing.tape import Keeper
from routing.upstream import Upstream

LOADER_THREADS = 2
DRAIN_GRACE_S = 60.0
# Each takes some 10 ms, and readiness waits for them.
PRELOADED_MAX = 20


class Runtime:
    """Everything that the gateway holds open."""

    def __init__(
        self,
        *,
        redis_url: str,
        journal_dir: Path,
        pepper: bytes,
        trusted_proxies: int,
        body_bytes_max: int,
        body_key: bytes,
    ) -> None:
        """Call inside a running event loop; raises OSError when the journal cannot be opened."""
        self._threads = ThreadPoolExecutor(LOADER_THREADS, thread_name_prefix="snapshot")
        self._pipe = RedisPipe(redis_url)
        self.live = Live(self._pipe)
        self.journal = Journal(journal_dir, uuid4().hex)
        self.upstream = Upstream()
        self.store = SnapshotStore(
            DatabaseLoader(), run=self._run, clock=time.monotonic, published=self._publish
        )
        self.rejections = Rejections(self._pipe, self.store, pepper=pepper, proxies=trusted_proxies)
        self._attempter = Attempter(self.upstream, self.live)
        self._keeper = Keeper(self.journal, key=body_key, random_bytes=os.urandom)
        # Seeded from the operating system; ids need to be unique, not unguessable.
        self._random_bits = random.Random(uuid4().int).getrandbits  # noqa: S311
        self.gateway = Gateway(
            store=self.store,
            live=self.live,
            journal=self.journal,
            attempter=self._attempter,
            pepper=pepper,
            trusted_proxies=trusted_proxies,
            random_bits=self._random_bits,
            keeper=self._keeper,
            rejections=self.rejections,
        )
        self.door = Door(self.gateway, body_bytes_max=body_bytes_max)
        self._watching = asyncio.ensure_future(self.store.watch())
        self._warming: asyncio.Future[None] | None = None
        self.is_warm = False
        _running.append(self)
        # What exists now lives as long as the process; collecting it again and again costs tails.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def warm(self) -> None:
        """Begins to read what the first calls would wait for; ``is_warm`` says when it is there."""
        self._warming = asyncio.ensure_future(self._warm())

    async def _warm(self) -> None:
        try:
            self.upstream.warm()
            await self.store.preload(PRELOADED_MAX)
        except DatabaseDown:
            # Readiness asks for Postgres itself; what is not here is read when it is needed.
            return
        finally:
            self.is_warm = True
        gc.collect()
        gc.freeze()

    def _run(self, function: Callable[..., Any], *args: object) -> Awaitable[object]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _publish(self, snapshot: Snapshot) -> None:
        await self.live.publish_epoch(snapshot.live_key, snapshot.epoch)

    def member_gateway(self, organization_id: str, user_id: str) -> MemberGateway:
        """The gateway for one call of a signed-in member; ids are 32 hexadecimal digits."""
        return MemberGateway(
            organization_id,
            user_id,
            store=self.store,
            live=self.live,
            journal=self.journal,
            attempter=self._attempter,
            random_bits=self._random_bits,
            keeper=self._keeper,
        )

    async def close(self) -> None:
        """Lets open calls finish for a while, then gives everything back."""
        give_up = time.monotonic() + DRAIN_GRACE_S
        while self.door.open_calls and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self._watching.cancel()
        if self._warming is not None:
            self._warming.cancel()
        _running.remove(self)
        await self.live.settle()
        self._pipe.close()
        # The last to wait: its turn of the loop closes the socket to Redis as well.
        await self.upstream.close()
        self.journal.close()
        self._threads.shutdown(wait=False)


_running: list[Runtime] = []


def current() -> Runtime | None:
    """The gateway of this process, where one was started."""
    return _running[-1] if _running else None


def running() -> Runtime:
    """The gateway of this process; an assertion where none was started."""
    assert _running, "the gateway starts with the ASGI lifespan"
    return _running[-1]
