"""How a reply goes out: at the model's pace, with the faults that were asked for."""

from __future__ import annotations

import asyncio
from itertools import chain

from catalog.sandbox import errors
from catalog.sandbox.errors import RequestError
from catalog.sandbox.exchange import Exchange
from catalog.sandbox.faults import Faults
from catalog.sandbox.ledger import Call
from catalog.sandbox.models import SandboxModel, Wire
from catalog.sandbox.reply import Reply

EVENTS_AT_ONCE_MAX = 64

_GARBAGE = b"<html><body><h1>Welcome to the sandbox proxy</h1></body></html>\n"
_STREAM_TYPE = b"text/event-stream; charset=utf-8"


async def wait_for_first_byte(
    exchange: Exchange, faults: Faults, *, own_ms: float, stream: bool
) -> None:
    """Pause as long as the model, or the faults, take before the first byte."""
    wait_ms = own_ms if faults.latency_ms is None else faults.latency_ms
    if faults.stall_ms is not None and not (stream and faults.stall_after_chunks is not None):
        wait_ms += faults.stall_ms
    await exchange.pause(wait_ms / 1000)


def ms_per_token(faults: Faults, model: SandboxModel) -> float:
    """The pause between tokens; a set latency means that the rest comes at once."""
    if faults.ms_per_token is not None:
        return faults.ms_per_token
    return model.ms_per_token if faults.latency_ms is None else 0.0


async def send_error(exchange: Exchange, wire: Wire, error: RequestError) -> None:
    """Answer with an error status in the wire's shape."""
    body = errors.body(wire, error, exchange.request_id)
    await exchange.respond(error.status, body, headers=errors.headers(error))


async def send_document(
    exchange: Exchange, wire: Wire, reply: Reply, *, faults: Faults, record: Call
) -> None:
    """Send a plain reply, and note in the record that it was finished."""
    if faults.garbage:
        await exchange.respond(200, _GARBAGE, content_type=b"text/html")
        return
    if faults.inband_error or faults.error_after_chunks is not None:
        error = errors.asked_for(_inband_status(faults, wire))
        await exchange.respond(200, errors.body(wire, error, exchange.request_id))
        return
    record.output_tokens = reply.output_tokens
    if faults.cut_after_chunks is not None:
        await exchange.start(200, b"application/json", length=len(reply.body))
        await exchange.write(reply.body[: len(reply.body) // 2])
        return
    if not exchange.is_gone:
        await exchange.respond(200, reply.body)
        record.finished = True


async def send_stream(
    exchange: Exchange, wire: Wire, reply: Reply, *, faults: Faults, record: Call, pace_ms: float
) -> None:
    """Send a reply's events, and note in the record how far it came."""
    exchange.watch()
    await exchange.start(200, _STREAM_TYPE)
    if faults.garbage:
        await exchange.write(b"data: " + _GARBAGE + b"\n")
        await exchange.end()
        return
    for sent, event in enumerate(chain(reply.events or (), (reply.last,))):
        is_last = event is reply.last
        # A fault later than the stream is long still happens: just before its end.
        if _is_due(faults.cut_after_chunks, sent, is_last):
            return
        if _is_due(0 if faults.inband_error else faults.error_after_chunks, sent, is_last):
            error = errors.asked_for(_inband_status(faults, wire))
            await exchange.write(errors.event(wire, error, exchange.request_id))
            await exchange.end()
            return
        if faults.stall_ms is not None and _is_due(faults.stall_after_chunks, sent, is_last):
            await exchange.pause(faults.stall_ms / 1000)
        if event.tokens and record.output_tokens:
            await exchange.pause(pace_ms / 1000)
        if sent % EVENTS_AT_ONCE_MAX == 0:
            await asyncio.sleep(0)  # sends do not pause by themselves; others want to go on too
        if exchange.is_gone:
            return
        await exchange.write(event.payload)
        record.output_tokens += event.tokens
    await exchange.end()
    # Reasoning and the frame of a tool call are paid for but never streamed.
    record.output_tokens = reply.output_tokens
    record.finished = True


def _is_due(after: int | None, sent: int, is_last: bool) -> bool:
    return after is not None and (sent == after or (is_last and sent < after))


def _inband_status(faults: Faults, wire: Wire) -> int:
    return faults.status or (529 if wire == "anthropic" else 500)
