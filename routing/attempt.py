"""One try at one deployment, and the passing on of a stream.

A stream's first bytes are held back until real content has come, so that a provider which fails
early is replaced unseen. After that a failure ends the stream with an explicit error event.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from catalog.pricing import cost_nano, upper_bound_nano
from catalog.usage import Usage
from lib.money import dollars
from routing.core import RETRYABLE, Failure
from routing.live import Live
from routing.model import Candidate
from routing.record import CLIENT_LEFT, Record
from routing.upstream import Response, Upstream, UpstreamError
from routing.wire import WIRES
from routing.wire.base import Request, Stream, UpstreamFailure, Wire
from routing.wire.sse import DONE_EVENT, error_event

CONNECT_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 600.0
FIRST_EVENT_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 60.0
ANSWER_BYTES_MAX = 64 * 2**20
ERROR_BYTES_MAX = 256 * 2**10
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
        told: dict[str, Any] = {"provider": deployment.provider, "model": deployment.model}
        record.attempts.append(told)
        try:
            outcome = await self._send(candidate, request, record)
        finally:
            took_ms = told["ms"] = (time.monotonic_ns() - began_ns) // 1_000_000
        if isinstance(outcome, Failure):
            told["status"] = outcome.status
            told["error"] = outcome.code
            told["message"] = outcome.message[:300]
            if outcome.scope != "call":
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
            told["first_token_ms"] = took_ms
            self._live.succeeded(live_key, deployment.id, latency_ms=0, first_ms=took_ms)
        else:
            self._live.succeeded(live_key, deployment.id, latency_ms=took_ms, first_ms=None)
        return outcome

    async def _send(
        self, candidate: Candidate, request: Request, record: Record
    ) -> Answered | Streaming | Failure:
        deployment = candidate.deployment
        assert deployment.target is not None
        wire = WIRES[deployment.wire]
        body = wire.encode(
            request,
            model=deployment.upstream_model,
            max_output_tokens=deployment.max_output_tokens,
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
                return await _refused(wire, response)
            if request.stream:
                return await self._open_stream(wire, response, candidate, request, record)
            raw = await response.read(ANSWER_BYTES_MAX)
        except UpstreamError as why:
            return _broken(why)
        finally:
            record.waited_ns += time.monotonic_ns() - asked_ns
            if response is not None and not request.stream and not response.complete:
                response.abort()
        answer = wire.decode_answer(
            raw, id=record.id, created=record.created_ms // 1000, model=deployment.model
        )
        if answer.error is not None:
            return _in_band(answer.error)
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
            return _in_band(answer.error or _NO_STREAM)
        decoder = wire.new_stream(
            id=record.id,
            created=record.created_ms // 1000,
            model=candidate.deployment.model,
            include_usage=request.include_usage,
        )
        held = b""
        opened = False
        try:
            while not (decoder.has_content or decoder.done):
                piece = await response.chunk()
                if not piece:
                    held += decoder.finish()
                    break
                held += decoder.feed(piece)
                if decoder.error is not None:
                    return _in_band(decoder.error)
            if not (decoder.has_content or decoder.done):
                return _in_band(_EMPTY_STREAM)
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
                # [DONE] came; what is left of the body is a few bytes at most.
                while await response.chunk():
                    pass
        except UpstreamError as why:
            if not decoder.done:
                streaming.failure = _broken(why)
        if decoder.error is not None:
            streaming.failure = _in_band(decoder.error)
        elif not decoder.done and streaming.failure is None:
            streaming.failure = Failure(502, "upstream_cut", "The provider ended the stream early.")
        if streaming.failure is not None:
            self._note_broken(streaming.failure, record, live_key)
            yield error_event(_as_failure(streaming.failure))

    def _told_cost(self, streaming: Streaming, out: bytes, record: Record) -> bytes:
        """The last piece of a stream, with what the call cost as a comment before its end."""
        if not streaming.decoder.done or not out.endswith(DONE_EVENT):
            return out
        self.end(streaming, record)
        cost = b": x-router-cost %b\n\n" % dollars(record.cost_nano).encode()
        return out[: -len(DONE_EVENT)] + cost + DONE_EVENT

    def _note_broken(self, failure: Failure, record: Record, live_key: str) -> None:
        told = record.attempts[-1]
        told["status"] = failure.status
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


_EMPTY_STREAM = UpstreamFailure(
    status=502,
    code="upstream_empty",
    type="upstream_error",
    message="The provider's stream ended before any content.",
)
_NO_STREAM = UpstreamFailure(
    status=502,
    code="upstream_protocol",
    type="upstream_error",
    message="The provider answered a streaming request without a stream.",
)
_TIMEOUTS = {"first_byte": "before the first byte", "body": "in the middle", "connect": ""}


async def _refused(wire: Wire, response: Response) -> Failure:
    """A provider's error answer as a failure: whose fault, and what the client is told."""
    body = await response.read(ERROR_BYTES_MAX)
    told = wire.decode_error(response.status, body, response.headers, now=time.time())
    status = response.status
    if status in (401, 403):
        return Failure(
            502,
            "provider_credential_refused",
            f"The provider refused its credential ({status}). Renew it under Providers.",
            scope="credential",
        )
    if status == 404 or status in RETRYABLE or status >= 500 or status < 400:
        return _deployment_failure(status, told)
    return Failure(
        status,
        told.code or "invalid_request",
        told.message,
        scope="call",
        type=told.type,
        param=told.param,
        retry_after_s=told.retry_after_s,
    )


def _deployment_failure(status: int, told: UpstreamFailure) -> Failure:
    if status == 429:
        return Failure(
            429,
            told.code or "upstream_rate_limited",
            f"The provider is limiting calls: {told.message}",
            type="rate_limit_error",
            retry_after_s=told.retry_after_s,
        )
    timed_out = status in (408, 504)
    return Failure(
        504 if timed_out else 502,
        "upstream_timeout" if timed_out else "upstream_error",
        f"The provider answered {status}: {told.message}",
        retry_after_s=told.retry_after_s,
        # A model that is not there now is not there in half a second either.
        may_pass=status != 404,
    )


def _in_band(told: UpstreamFailure) -> Failure:
    if told.status in (401, 403):
        return Failure(
            502,
            "provider_credential_refused",
            "The provider refused its credential. Renew it under Providers.",
            scope="credential",
        )
    return _deployment_failure(told.status if told.status != 200 else 502, told)


def _broken(why: UpstreamError) -> Failure:
    """A connection that failed, as a failure; the message names no address."""
    if why.kind == "timeout":
        when = _TIMEOUTS.get(why.phase, "")
        message = f"The provider took too long {when}".strip() + "."
        return Failure(504, "upstream_timeout", message, may_pass=not why.sent)
    code = {
        "connect": "upstream_unreachable",
        "dns": "upstream_unreachable",
        "tls": "upstream_unreachable",
        "forbidden_address": "upstream_address_refused",
        "too_large": "upstream_too_large",
        "reset": "upstream_cut",
    }.get(why.kind, "upstream_protocol")
    return Failure(502, code, _BROKEN_WORDS[code])


_BROKEN_WORDS = {
    "upstream_unreachable": "The provider cannot be reached.",
    "upstream_address_refused": "The provider's address is not one that may be called.",
    "upstream_too_large": "The provider's answer is larger than the router takes.",
    "upstream_cut": "The provider cut the connection.",
    "upstream_protocol": "The provider's answer is not understood.",
}


def _as_failure(failure: Failure) -> UpstreamFailure:
    return UpstreamFailure(
        status=failure.status, code=failure.code, type=failure.type, message=failure.message
    )
