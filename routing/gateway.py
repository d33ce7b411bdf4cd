"""The story of one call: who, what, may it, where, go, write down.

1. Who: the key's digest leads to the organization's snapshot in memory.
2. What: the body is read once; the fields that routing does not need pass through untouched.
3. May it: one trip to Redis for the epoch and the health of the deployments in question.
4. Where: ``decide`` orders the deployments that may answer, and says why.
5. Go: ``attempts`` walks that order until one answers; see ``routing.attempt``.
6. Write down: one journal record before the first dispatch, one after the last byte.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from lib.errors import RouterError
from lib.hashing import digest
from lib.ids import uuid7_text
from lib.money import dollars
from preferences.core import tighten
from routing import listing
from routing.attempt import Answered, Attempter, Streaming
from routing.core import Failure, attempts, decide
from routing.facts import call_of, counted, prompt_estimate
from routing.incoming import (
    Incoming,
    Reply,
    Wanted,
    check_key,
    client_address,
    preferences_of,
    refuse_stranger,
    unknown_key,
)
from routing.journal import Journal, JournalFull
from routing.live import Admission, Live
from routing.model import Decision, Refusal
from routing.record import CLIENT_LEFT, Record
from routing.rejections import Rejections
from routing.replies import as_error, bug, error_reply
from routing.snapshot import DatabaseDown, Key, Snapshot, SnapshotStore
from routing.tape import Keeper, Tape
from routing.wire.base import Request
from routing.wire.request import model_asked, parse_chat, parse_embeddings

log = logging.getLogger(__name__)

RELOADS_MAX = 3

_PARSE: dict[str, Callable[[bytes], Request]] = {
    "chat": parse_chat,
    "embeddings": parse_embeddings,
}


@dataclass(slots=True)
class Caller:
    """Who calls, and the configuration that holds for this call."""

    snapshot: Snapshot
    key: Key
    wanted: Wanted


class Gateway:
    """Answers calls; one per process."""

    def __init__(
        self,
        *,
        store: SnapshotStore,
        live: Live,
        journal: Journal,
        attempter: Attempter,
        pepper: bytes,
        trusted_proxies: int,
        random_bits: Callable[[int], int],
        keeper: Keeper,
        rejections: Rejections | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._journal = journal
        self._attempter = attempter
        self._pepper = pepper
        self._proxies = trusted_proxies
        self._random_bits = random_bits
        self._keeper = keeper
        self._rejections = rejections

    async def call(self, incoming: Incoming, operation: str) -> Reply:
        """The answer to one call; every refusal is an OpenAI-shaped error, never an exception."""
        began_ns = time.monotonic_ns()
        try:
            caller = await self.who(incoming)
        except RouterError as refused:
            return self.turned_away(incoming, refused)
        record = self._new_record(caller.key, caller.snapshot, operation)
        reply = await self._answered(incoming, caller, record, began_ns)
        if caller.snapshot.stores_bodies and reply.stream is None:
            tape = Tape(incoming.body)
            tape.add(reply.body)
            self._keeper.keep(record, tape)
        return reply

    async def _answered(
        self, incoming: Incoming, caller: Caller, record: Record, began_ns: int
    ) -> Reply:
        try:
            return await self._serve(incoming, caller, record, began_ns)
        except RouterError as refused:
            self._write_down(record, began_ns, status=refused.status, error_code=refused.code)
            return error_reply(refused, self._told(record, began_ns))
        except asyncio.CancelledError as why:
            self._settle_cancelled(record)
            status, code = _ended_by(why)
            self._write_down(record, began_ns, status=status, error_code=code)
            raise
        except Exception:
            # The one handler of bugs: the call is written down, its caller told, the trace kept.
            log.exception("call %s failed inside the router", record.id)
            self._write_down(record, began_ns, status=500, error_code="internal_error")
            return error_reply(bug(record.id), self._told(record, began_ns))

    def turned_away(self, incoming: Incoming, refused: RouterError) -> Reply:
        """The error for a call that is nobody's yet; it is not in the ledger."""
        if self._rejections is not None:
            self._rejections.note(incoming, refused)
        return error_reply(refused)

    # 1. Who

    async def who(self, incoming: Incoming, scope: str = "gateway") -> Caller:
        """The key's organization; raises ``RouterError`` when the key may not be used."""
        wanted = refuse_stranger(incoming.headers)
        hashed = digest(self._pepper, wanted.secret)
        found = self._store.find(hashed)
        if found is None:
            try:
                found = await self._store.look_up(hashed)
            except DatabaseDown:
                raise RouterError(
                    503,
                    "configuration_unavailable",
                    "This key's configuration cannot be read right now. Try again in a moment.",
                    type="server_error",
                    retry_after_s=1.0,
                ) from None
            except Exception as bug:
                log.exception("a key's configuration cannot be read")
                raise RouterError(
                    500,
                    "internal_error",
                    "The router failed on this key's configuration. Tell its operator the time.",
                    type="server_error",
                ) from bug
        if found is None:
            raise unknown_key()
        snapshot, key = found
        address = client_address(incoming.client, wanted.forwarded, self._proxies)
        check_key(key, scope=scope, address=address, now_s=time.time())
        return Caller(snapshot, key, wanted)

    def _new_record(self, key: Key, snapshot: Snapshot, operation: str) -> Record:
        now_ms = time.time_ns() // 1_000_000
        return Record(
            id=uuid7_text(now_ms, self._random_bits(74)),
            organization_id=snapshot.organization_id,
            created_ms=now_ms,
            operation=operation,
            api_key_id=key.id,
            user_id=key.user_id,
        )

    async def _serve(
        self, incoming: Incoming, caller: Caller, record: Record, began_ns: int
    ) -> Reply:
        try:
            request = _PARSE[record.operation](incoming.body)
        except RouterError:
            record.model_requested = model_asked(incoming.body)
            raise
        record.model_requested = request.model
        record.stream = request.stream
        record.prompt_estimate = prompt_estimate(request)
        decision = await self._decide(incoming, caller, request, record)
        record.decision = decision
        if isinstance(decision, Refusal):
            raise as_error(decision)
        answered = await self._go(caller.snapshot, decision, request, record)
        if isinstance(answered, Failure):
            raise as_error(answered)
        if isinstance(answered, Streaming):
            tape = Tape(incoming.body) if caller.snapshot.stores_bodies else None
            return await self._stream_reply(caller.snapshot, answered, record, began_ns, tape)
        self._write_down(record, began_ns, status=200, error_code="")
        headers = [(b"content-type", b"application/json"), *self._told(record, began_ns)]
        return Reply(200, headers, answered.body)

    # 3. May it, 4. Where

    async def admit(
        self, incoming: Incoming, caller: Caller, model: str, operation: str
    ) -> Admission:
        """One trip to Redis; where it tells of another epoch, the configuration is read again.

        ``caller`` is brought up to date. Raises ``RouterError`` when the key is gone by then.
        """
        for turn in range(RELOADS_MAX):
            ids = caller.snapshot.candidates(model, operation).ids
            admission = await self._live.admit(
                caller.snapshot.live_key, ids, time.time_ns() // 1_000_000
            )
            if not admission.reachable or admission.epoch == caller.snapshot.epoch:
                return admission
            try:
                await self._store.reload(caller.snapshot.organization_id)
            except DatabaseDown:
                return admission
            renewed = await self.who(incoming)
            caller.snapshot, caller.key = renewed.snapshot, renewed.key
            if turn and (admission.epoch or 0) > caller.snapshot.epoch:
                # Read twice since Redis said so, and Postgres commits before Redis hears of it:
                # Redis remembers another Postgres, such as one before it was restored.
                await self._live.correct_epoch(
                    caller.snapshot.live_key, admission.epoch or 0, caller.snapshot.epoch
                )
        return admission

    async def _decide(
        self, incoming: Incoming, caller: Caller, request: Request, record: Record
    ) -> Decision | Refusal:
        wishes = None
        if caller.wanted.router:
            wishes, record.metadata = preferences_of(caller.wanted.router)
        admission = await self.admit(incoming, caller, request.model, record.operation)
        snapshot = caller.snapshot
        found = snapshot.candidates(request.model, record.operation)
        candidates = found.deployments
        wanted = caller.key.wanted if wishes is None else tighten(caller.key.wanted, wishes)
        call = call_of(request, record.operation, found.foreign_wires)
        for _ in range(2):
            decision = decide(
                call,
                candidates,
                wanted,
                health=admission.health,
                now_ms=record.created_ms,
                served=snapshot.served(record.operation) if not candidates else (),
            )
            if not decision.wants_count:
                break
            call = await counted(call, request)
        return decision

    async def list_models(self, incoming: Incoming) -> Reply:
        """GET /v1/models: every model that a call may name, and ``auto``."""
        try:
            caller = await self.who(incoming)
            await self.admit(incoming, caller, "", "")
        except RouterError as refused:
            return self.turned_away(incoming, refused)
        return listing.all_models(caller.snapshot)

    async def show_model(self, incoming: Incoming, model: str) -> Reply:
        """GET /v1/models/{id}."""
        try:
            caller = await self.who(incoming)
            await self.admit(incoming, caller, "", "")
            return listing.one_model(caller.snapshot, model)
        except RouterError as refused:
            return error_reply(refused)

    # 5. Go

    async def _go(
        self, snapshot: Snapshot, decision: Decision, request: Request, record: Record
    ) -> Answered | Streaming | Failure:
        plan = attempts(decision, jitter=self._random_bits(16) / 65536)
        candidate, wait_s = next(plan)
        self._journal_admission(record, candidate)
        while True:
            if wait_s:
                record.waited_ns += int(wait_s * 1e9)
                await asyncio.sleep(wait_s)
            outcome = await self._attempter.attempt(candidate, request, record, snapshot.live_key)
            if not isinstance(outcome, Failure):
                return outcome
            try:
                candidate, wait_s = plan.send(outcome)
            except StopIteration:
                return outcome
            record.pass_over(decision.ranked, candidate)

    # 6. Write down

    def _journal_admission(self, record: Record, candidate: object) -> None:
        try:
            self._journal.append(record.admission(candidate))  # type: ignore[arg-type]
        except JournalFull:
            raise RouterError(
                503,
                "accounting_unavailable",
                "The router cannot write calls down right now, so it makes none. Try again soon.",
                type="server_error",
                retry_after_s=5.0,
            ) from None

    def _write_down(self, record: Record, began_ns: int, *, status: int, error_code: str) -> None:
        total_ns = time.monotonic_ns() - began_ns
        self._journal.append_later(
            record.outcome(
                status=status,
                error_code=error_code,
                latency_ms=total_ns // 1_000_000,
                overhead_us=max(0, total_ns - record.waited_ns) // 1000,
            )
        )

    def _settle_cancelled(self, record: Record) -> None:
        if record.admitted and record.usage is None and record.answered_by is not None:
            self._attempter.abandon(record)

    def _told(self, record: Record, began_ns: int) -> list[tuple[bytes, bytes]]:
        overhead_ns = max(0, time.monotonic_ns() - began_ns - record.waited_ns)
        headers = [
            (b"x-router-call-id", record.id.encode()),
            (b"x-router-attempts", b"%d" % len(record.attempts)),
            (b"x-router-overhead-ms", b"%.3f" % (overhead_ns / 1e6)),
            (b"x-router-cost", dollars(record.cost_nano).encode()),
        ]
        if record.answered_by is not None:
            answered = record.answered_by.deployment
            headers.append((b"x-router-provider", answered.provider.encode()))
            headers.append((b"x-router-model", answered.model.encode()))
        return headers

    async def _stream_reply(
        self,
        snapshot: Snapshot,
        streaming: Streaming,
        record: Record,
        began_ns: int,
        tape: Tape | None,
    ) -> Reply:
        # The cost of a stream is known at its end; until then the header holds the estimate.
        assert record.answered_by is not None
        record.cost_nano = record.answered_by.estimate_nano or 0
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._told(record, began_ns),
            (b"x-router-cost-estimated", b"true"),
        ]
        record.cost_nano = 0
        stream = self._relay(snapshot, streaming, record, began_ns, tape)
        # Begun here: closing a generator that nobody began would write nothing down.
        await anext(stream)
        return Reply(200, headers, stream=stream)

    async def _relay(
        self,
        snapshot: Snapshot,
        streaming: Streaming,
        record: Record,
        began_ns: int,
        tape: Tape | None,
    ) -> AsyncGenerator[bytes, None]:
        """Passes a stream on and writes it down, however it ends."""
        status, code = CLIENT_LEFT, "client_left"
        try:
            yield b""
            async for piece in self._attempter.relay(streaming, record, snapshot.live_key):
                if tape is not None:
                    tape.add(piece)
                yield piece
            failure = streaming.failure
            status, code = (200, "") if failure is None else (failure.status, failure.code)
        except asyncio.CancelledError as why:
            status, code = _ended_by(why)
            raise
        finally:
            # Also when the client left or the task was cancelled: nothing here waits. Who leaves
            # on [DONE] has the whole answer.
            if streaming.decoder.done and streaming.failure is None:
                status, code = 200, ""
            self._attempter.end(streaming, record)
            self._write_down(record, began_ns, status=status, error_code=code)
            if tape is not None:
                self._keeper.keep(record, tape)


def _ended_by(why: asyncio.CancelledError) -> tuple[int, str]:
    """Who ended a call: its client, or a process that stops, whose server says so."""
    return (503, "router_stopped") if why.args else (CLIENT_LEFT, "client_left")
