"""Live numbers of an organization in Redis: its epoch, and the health of its deployments.

One hash per organization, ``er:{org}:live``, holds the epoch under ``e`` and each deployment's
health as JSON under its id, so that ``admit`` is one command and one round trip. What came of
calls is gathered in the process and settled by one script a few times a second, off every
caller's path.

A breaker opens after five failures in a row, or when half of at least twenty calls in thirty
seconds failed; it rests for 15 s, doubling to 5 min. After the rest each process lets one call a
second through; three successes close it. A 429 rests the deployment for as long as it asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import hiredis
import orjson

from routing.model import Health
from routing.redis_pipe import RedisDown, RedisPipe
from tenancy.core import RAISE_EPOCH

SETTLE_EVERY_S = 0.05
PROBE_EVERY_MS = 1000
MEASURE_TTL_MS = 600_000
LATENCIES_KEPT = 100
# A script of this many updates keeps Redis from others for about a millisecond.
ORGANIZATIONS_PER_SCRIPT = 50
LATENCIES_PER_BATCH_MAX = 100
COOLDOWN_MAX_S = 60.0
COOLDOWN_DEFAULT_S = 1.0
CREDENTIAL_REST_S = 60.0

_SETTLE = b"""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local kept, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
local updates = cjson.decode(ARGV[1])
local function percentiles(key, s, lo, hi)
  local all = redis.call('LRANGE', key, 0, kept - 1)
  if #all == 0 then return end
  for i = 1, #all do all[i] = tonumber(all[i]) end
  table.sort(all)
  s[lo] = all[math.ceil(#all * 0.50)]
  s[hi] = all[math.ceil(#all * 0.95)]
end
local function settle(live, u)
  local raw = redis.call('HGET', live, u.d)
  local s = raw and cjson.decode(raw) or {o=0, n=0, f=0, k=0, ws=0, wc=0, we=0, m=0, c=0}
  local resting = s.o > now
  if now - s.ws > 30000 then s.ws = now; s.wc = 0; s.we = 0 end
  s.wc = s.wc + u.ok + u.bad
  s.we = s.we + u.bad
  if u.ok > 0 then s.f = u.tail else s.f = s.f + u.tail end
  if s.n > 0 and not resting then
    if u.bad > 0 then s.k = 0 else s.k = s.k + u.ok end
    if s.k >= 3 then s.n = 0; s.k = 0; s.o = 0; s.r = nil end
  end
  local broken = s.f >= 5 or (s.wc >= 20 and s.we * 2 >= s.wc) or (s.n > 0 and u.bad > 0)
  if broken and not resting and u.bad > 0 then
    s.n = math.min(s.n + 1, 6)
    s.o = now + math.min(15000 * 2 ^ (s.n - 1), 300000)
    s.k = 0; s.f = 0; s.ws = now; s.wc = 0; s.we = 0
    s.r = 'failing'
  end
  if u.rest > 0 and now + u.rest > s.o then s.o = now + u.rest; s.r = u.why end
  for name, list in pairs({l=u.ms, f=u.first}) do
    if type(list) == 'table' and #list > 0 then
      local key = live .. ':' .. name .. ':' .. u.d
      redis.call('LPUSH', key, unpack(list))
      redis.call('LTRIM', key, 0, kept - 1)
      redis.call('PEXPIRE', key, ttl)
      if now - s.c >= 1000 or s.m == 0 then
        if name == 'l' then percentiles(key, s, 'p50', 'p95')
        else percentiles(key, s, 'f50', 'f95') end
      end
      s.m = now
    end
  end
  if now - s.c >= 1000 then s.c = now end
  redis.call('HSET', live, u.d, cjson.encode(s))
end
for at, live in ipairs(KEYS) do
  for _, u in ipairs(updates[at]) do settle(live, u) end
end
return now
"""


_CORRECT = b"""
if redis.call('HGET', KEYS[1], 'e') == ARGV[1] then redis.call('HSET', KEYS[1], 'e', ARGV[2]) end
return 1
"""


@dataclass(slots=True)
class Admission:
    """What one trip to Redis said. ``epoch`` is None when Redis did not know or did not answer."""

    epoch: int | None
    health: Mapping[str, Health]
    reachable: bool


@dataclass(slots=True)
class _Batch:
    """What came of the calls to one deployment since the last settlement."""

    ok: int = 0
    bad: int = 0
    tail: int = 0
    rest_ms: int = 0
    why: str = ""
    ms: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)

    def as_update(self, deployment_id: str) -> dict[str, object]:
        return {
            "d": deployment_id,
            "ok": self.ok,
            "bad": self.bad,
            "tail": self.tail,
            "rest": self.rest_ms,
            "why": self.why,
            "ms": self.ms[-LATENCIES_PER_BATCH_MAX:],
            "first": self.first[-LATENCIES_PER_BATCH_MAX:],
        }


class Live:
    """The process's view of live numbers, and what it has yet to settle."""

    def __init__(self, pipe: RedisPipe) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._parsed: dict[str, tuple[bytes, Health]] = {}
        self._pending: dict[str, dict[str, _Batch]] = {}
        self._probed_ms: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._script = b""

    async def admit(self, key: str, deployment_ids: Sequence[str], now_ms: int) -> Admission:
        """The organization's epoch and the health of the deployments in question, in one trip.

        Without Redis the health last seen stands, so that traffic goes on.
        """
        try:
            reply = await self._pipe.send("HMGET", key, "e", *deployment_ids)
        except (RedisDown, hiredis.ReplyError):
            known = {d: self._parsed[d][1] for d in deployment_ids if d in self._parsed}
            return Admission(epoch=None, health=known, reachable=False)
        health: dict[str, Health] = {}
        for deployment_id, raw in zip(deployment_ids, reply[1:], strict=True):
            if raw is not None:
                health[deployment_id] = self._health(deployment_id, raw, now_ms)
        return Admission(
            epoch=None if reply[0] is None else int(reply[0]), health=health, reachable=True
        )

    def _health(self, deployment_id: str, raw: bytes, now_ms: int) -> Health:
        known = self._parsed.get(deployment_id)
        if known is not None and known[0] == raw:
            health = known[1]
        else:
            health = parse_health(raw)
            self._parsed[deployment_id] = (raw, health)
        if health.opens and health.open_until_ms <= now_ms:
            return self._half_open(deployment_id, health, now_ms)
        if now_ms - health.measured_at_ms > MEASURE_TTL_MS:
            return Health(
                open_until_ms=health.open_until_ms, opens=health.opens, reason=health.reason
            )
        return health

    def _half_open(self, deployment_id: str, health: Health, now_ms: int) -> Health:
        """After its rest a deployment gets one call a second; the others see it resting still."""
        if now_ms - self._probed_ms.get(deployment_id, 0) >= PROBE_EVERY_MS:
            self._probed_ms[deployment_id] = now_ms
            return Health(reason="probe")
        return Health(open_until_ms=now_ms + PROBE_EVERY_MS, opens=health.opens, reason="failing")

    def succeeded(
        self, key: str, deployment_id: str, *, latency_ms: int, first_ms: int | None
    ) -> None:
        """Notes an answer; ``latency_ms`` counts for plain calls, ``first_ms`` for streams."""
        batch = self._batch(key, deployment_id)
        batch.ok += 1
        batch.tail = 0
        if first_ms is None:
            batch.ms.append(latency_ms)
        else:
            batch.first.append(first_ms)

    def failed(
        self, key: str, deployment_id: str, *, status: int, retry_after_s: float | None
    ) -> None:
        """Notes a failure of the deployment: a rest for 429, 401 and 403, else a mark."""
        batch = self._batch(key, deployment_id)
        if status == 429:
            asked = COOLDOWN_DEFAULT_S if retry_after_s is None else retry_after_s
            batch.rest_ms = max(batch.rest_ms, int(min(asked, COOLDOWN_MAX_S) * 1000))
            batch.why = "rate_limited"
        elif status in (401, 403):
            batch.rest_ms = max(batch.rest_ms, int(CREDENTIAL_REST_S * 1000))
            batch.why = "credential_refused"
        else:
            batch.bad += 1
            batch.tail += 1

    def _batch(self, key: str, deployment_id: str) -> _Batch:
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE_EVERY_S, self._start_settling)
        organization = self._pending.get(key)
        if organization is None:
            organization = self._pending[key] = {}
        batch = organization.get(deployment_id)
        if batch is None:
            batch = organization[deployment_id] = _Batch()
        return batch

    def _start_settling(self) -> None:
        self._timer = None
        task = self._loop.create_task(self.settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def settle(self) -> None:
        """Sends what is pending, many organizations at once. Lost health is not worth a retry."""
        pending, self._pending = list(self._pending.items()), {}
        for start in range(0, len(pending), ORGANIZATIONS_PER_SCRIPT):
            chunk = pending[start : start + ORGANIZATIONS_PER_SCRIPT]
            updates = [[b.as_update(d) for d, b in batches.items()] for _, batches in chunk]
            try:
                await self._evaluate([key for key, _ in chunk], orjson.dumps(updates))
            except (RedisDown, hiredis.ReplyError):
                return

    async def _evaluate(self, keys: Sequence[str], updates: bytes) -> None:
        arguments: tuple[bytes | str | int, ...] = (
            len(keys),
            *keys,
            updates,
            LATENCIES_KEPT,
            MEASURE_TTL_MS,
        )
        if not self._script:
            self._script = await self._pipe.send("SCRIPT", "LOAD", _SETTLE)
        try:
            await self._pipe.send("EVALSHA", self._script, *arguments)
        except hiredis.ReplyError as why:
            if not str(why).startswith("NOSCRIPT"):
                raise
            await self._pipe.send("EVAL", _SETTLE, *arguments)

    async def is_reachable(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._pipe.send("PING"))
        except (RedisDown, hiredis.ReplyError):
            return False

    async def correct_epoch(self, key: str, wrong: int, epoch: int) -> None:
        """Takes a wrong epoch back, unless it changed meanwhile."""
        try:
            await self._pipe.send("EVAL", _CORRECT, 1, key, wrong, epoch)
        except (RedisDown, hiredis.ReplyError):
            return

    async def publish_epoch(self, key: str, epoch: int) -> None:
        """Raises the epoch in Redis to what Postgres holds."""
        try:
            await self._pipe.send("EVAL", RAISE_EPOCH, 1, key, epoch)
        except (RedisDown, hiredis.ReplyError):
            return


def parse_health(raw: bytes) -> Health:
    """A deployment's health as the settle script wrote it."""
    state = orjson.loads(raw)
    return Health(
        open_until_ms=int(state["o"]),
        opens=int(state["n"]),
        p50_ms=state.get("p50"),
        p95_ms=state.get("p95"),
        first_p50_ms=state.get("f50"),
        first_p95_ms=state.get("f95"),
        measured_at_ms=int(state["m"]),
        reason=state.get("r") or "",
    )
