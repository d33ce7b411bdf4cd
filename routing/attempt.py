"""One try at one deployment, and the passing on of a stream.

A stream's first bytes are held back until real content has come, so that a provider which fails
early is replaced unseen. After that a failure ends the stream with an explicit error event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from catalog.pricing import cost_nano, upper_bound_nano
from catalog.usage import Usage
from lib.errors import RouterError
from lib.money import dollars
from routing.core import Failure
from routing.failures import (
    EMPTY_STREAM,
    ERROR_BYTES_MAX,
    NO_CONTENT,
    NO_STREAM,
    as_upstream,
    broken,
    in_band,
    refused,
)
from routing.live import Live
from routing.model import Candidate
from routing.record import CLIENT_LEFT, Record
from routing.upstream import Response, Upstream, UpstreamError
from routing.wire import WIRES
from routing.wire.base import Request, Stream, Wire
from routing.wire.sse import DONE_EVENT, error_event

CONNECT_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 600.0
FIRST_EVENT_TIMEOUT_S = 60.0
# A provider may say that it still thinks, in comments, but not without end.
FIRST_CONTENT_TIMEOUT_S = 600.0
IDLE_TIMEOUT_S = 60.0
AFTER_DONE_S = 1.0
ANSWER_BYTES_MAX = 64 * 2**20
BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class Answered:
    """A whole answer."""

    body: bytes


@dataclass(slots=True)
class Streaming:
    """A stream whose first content is in ``held``; ``failure`` says how it broke, if it did."""

    response: Response
    decoder: Stream
    held: bytes
    failure: Failure | None = None


class Attempter:
    """Calls deployments, and notes for each what came of it."""

    def __init__(self, upstream: Upstream, live: Live) -> None:
        self._upstream = upstream
        self._live = live

    async def attempt(
        self, candidate: Candidate, request: Request, record: Record, live_key: str
    ) -> Answered | Streaming | Failure:
        """What one deployment made of the call; ``record`` gets the attempt and its figures."""
        began_ns = time.monotonic_ns()
        record.answered_by = candidate
        deployment = candidate.deployment
        # Without a status until it ended, so that a call given up meanwhile tells of it too.
        told: dict[str, Any] = {
            "provider": deployment.provider,
            "model": deployment.model,
            "at_ms": max(0, time.time_ns() // 1_000_000 - record.created_ms),
        }
        record.attempts.append(told)
        try:
            outcome = await self._send(candidate, request, record)
        finally:
            took_ms = told["ms"] = (time.monotonic_ns() - began_ns) // 1_000_000
        if isinstance(outcome, Failure):
            told["status"] = outcome.answered
            told["error"] = outcome.code
            told["message"] = outcome.message[:300]
            if outcome.scope == "wire":
                # Nothing was sent: it is told of, and is no attempt.
                record.attempts.remove(told)
                record.passed_over.append(told)
            if outcome.scope in ("deployment", "credential"):
                self._live.failed(
                    live_key,
                    deployment.id,
                    status=outcome.status if outcome.scope == "deployment" else 401,
                    retry_after_s=outcome.retry_after_s,
                )
            return outcome
        told["status"] = 200
        if isinstance(outcome, Streaming):
            record.first_token_ms = took_ms
            # Whether it succeeded is known at its end.
            told["first_token_ms"] = took_ms
        else:
            self._live.succeeded(live_key, deployment.id, latency_ms=took_ms, first_ms=None)
        return outcome

    async def _send(
        self, candidate: Candidate, request: Request, record: Record
    ) -> Answered | Streaming | Failure:
        deployment = candidate.deployment
        assert deployment.target is not None
        wire = WIRES[deployment.wire]
        try:
            body = wire.encode(
                request,
                model=deployment.upstream_model,
                max_output_tokens=deployment.max_output_tokens,
            )
        except RouterError as why:
            # Another deployment may speak a format that has it; this one is not to blame.
            return Failure(
                why.status, why.code, why.message, scope="wire", type=why.type, param=why.param
            )
        response: Response | None = None
        asked_ns = time.monotonic_ns()
        try:
            response = await self._upstream.send(
                deployment.target,
                body,
                extra_headers=b"x-client-request-id: %b\r\n" % record.id.encode(),
                connect_timeout_s=CONNECT_TIMEOUT_S,
                first_byte_timeout_s=FIRST_EVENT_TIMEOUT_S if request.stream else WHOLE_TIMEOUT_S,
                idle_timeout_s=IDLE_TIMEOUT_S,
            )
            if response.status != 200:
                return await refused(wire, response)
            if request.stream:
                return await self._open_stream(wire, response, candidate, request, record)
            raw = await response.read(ANSWER_BYTES_MAX)
        except UpstreamError as why:
            return broken(why)
        finally:
            record.waited_ns += time.monotonic_ns() - asked_ns
            if response is not None and not request.stream and not response.complete:
                response.abort()
        answer = wire.decode_answer(
            raw, id=record.id, created=record.created_ms // 1000, model=deployment.model
        )
        if answer.error is not None:
            return in_band(answer.error)
        self._price(record, candidate, answer.usage, len(raw))
        return Answered(answer.body)

    async def _open_stream(
        self,
        wire: Wire,
        response: Response,
        candidate: Candidate,
        request: Request,
        record: Record,
    ) -> Streaming | Failure:
        kind = response.headers.get(b"content-type", b"")
        if kind.startswith(b"application/json"):
            raw = await response.read(ERROR_BYTES_MAX)
            answer = wire.decode_answer(raw, id="", created=0, model="")
            return in_band(answer.error or NO_STREAM)
        decoder = wire.new_stream(
            id=record.id,
            created=record.created_ms // 1000,
            model=candidate.deployment.model,
            include_usage=request.include_usage,
        )
        held = b""
        opened = False
        give_up = time.monotonic() + FIRST_CONTENT_TIMEOUT_S
        try:
            while not (decoder.has_content or decoder.done):
                piece = await response.chunk()
                if not piece:
                    held += decoder.finish()
                    break
                held += decoder.feed(piece)
                if decoder.error is not None:
                    return in_band(decoder.error)
                if time.monotonic() > give_up:
                    return in_band(NO_CONTENT)
            if not (decoder.has_content or decoder.done):
                return in_band(EMPTY_STREAM)
            opened = True
            return Streaming(response, decoder, held)
        finally:
            if not opened:
                response.abort()

    async def relay(
        self, streaming: Streaming, record: Record, live_key: str
    ) -> AsyncGenerator[bytes, None]:
        """The stream's bytes, ending in an error event when it breaks; then its cost is known."""
        decoder, response = streaming.decoder, streaming.response
        if streaming.held:
            yield self._told_cost(streaming, streaming.held, record)
        try:
            while not decoder.done and decoder.error is None:
                asked_ns = time.monotonic_ns()
                piece = await response.chunk()
                record.waited_ns += time.monotonic_ns() - asked_ns
                out = decoder.feed(piece) if piece else decoder.finish()
                if out:
                    yield self._told_cost(streaming, out, record) if decoder.done else out
                if not piece:
                    break
            if decoder.done and not response.complete:
                await _finish(response)
        except UpstreamError as why:
            if not decoder.done:
                streaming.failure = broken(why)
        if decoder.error is not None:
            streaming.failure = in_band(decoder.error)
        elif not decoder.done and streaming.failure is None:
            streaming.failure = Failure(502, "upstream_cut", "The provider ended the stream early.")
        if streaming.failure is not None:
            self._note_broken(streaming.failure, record, live_key)
            yield error_event(as_upstream(streaming.failure))
            return
        assert record.answered_by is not None
        self._live.succeeded(
            live_key,
            record.answered_by.deployment.id,
            latency_ms=0,
            first_ms=record.first_token_ms or 0,
        )

    def _told_cost(self, streaming: Streaming, out: bytes, record: Record) -> bytes:
        """The last piece of a stream, with what the call cost as a comment before its end."""
        if not streaming.decoder.done or not out.endswith(DONE_EVENT):
            return out
        self.end(streaming, record)
        cost = b": x-router-cost %b\n\n" % dollars(record.cost_nano).encode()
        return out[: -len(DONE_EVENT)] + cost + DONE_EVENT

    def _note_broken(self, failure: Failure, record: Record, live_key: str) -> None:
        told = record.attempts[-1]
        told["status"] = failure.answered
        told["error"] = failure.code
        told["message"] = failure.message[:300]
        assert record.answered_by is not None
        self._live.failed(
            live_key,
            record.answered_by.deployment.id,
            status=failure.status,
            retry_after_s=failure.retry_after_s,
        )

    def end(self, streaming: Streaming, record: Record) -> None:
        """Settles a stream once, wherever it stopped: by its usage, else by what went by."""
        decoder = streaming.decoder
        if not decoder.done and not streaming.response.complete:
            streaming.response.abort()
        if record.usage is None:
            assert record.answered_by is not None
            self._price(
                record,
                record.answered_by,
                decoder.usage,
                decoder.output_bytes,
                decoder.partial_usage,
            )

    def _price(
        self,
        record: Record,
        candidate: Candidate,
        usage: Usage | None,
        output_bytes: int,
        partial: Usage | None = None,
    ) -> None:
        """Cost from the provider's own figures; without them from what was sent and seen."""
        if usage is None:
            usage = Usage(
                input_tokens=partial.input_tokens if partial else record.prompt_estimate,
                output_tokens=max(
                    partial.output_tokens if partial else 0, -(-output_bytes // BYTES_PER_TOKEN)
                ),
                cached_tokens=partial.cached_tokens if partial else 0,
            )
            record.cost_estimated = True
        record.usage = usage
        price = candidate.deployment.price
        record.cost_nano = 0 if price is None else cost_nano(usage, price)

    def abandon(self, record: Record) -> None:
        """A call given up: where a provider was working on it, its input counts as used."""
        told: dict[str, Any] = record.attempts[-1] if record.attempts else {"status": 0}
        if "status" in told:
            return
        told["status"] = CLIENT_LEFT
        told["error"] = "client_left"
        assert record.answered_by is not None
        record.usage = Usage(input_tokens=record.prompt_estimate)
        record.cost_estimated = True
        price = record.answered_by.deployment.price
        if price is not None:
            record.cost_nano = upper_bound_nano(record.prompt_estimate, 0, 1, price)


async def _finish(response: Response) -> None:
    """Reads what is left behind [DONE], so that the connection can be used again; not for long."""
    try:
        async with asyncio.timeout(AFTER_DONE_S):
            while await response.chunk():
                pass
    except TimeoutError:
        response.abort()
