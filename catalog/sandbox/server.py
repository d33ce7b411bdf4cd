"""The ASGI application: from a request to the reply, its record and its faults.

1. The path says which wire is spoken; a missing key gets 401 in that wire's shape.
2. The body is read and checked; whatever is wrong gets 400 naming the field.
3. The faults are put together and chance is asked: how long, and whether it fails.
4. The call is written to the ledger, then the answer is made and sent.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from random import Random

from catalog.sandbox import anthropic_wire, delivery, faults, openai_reply
from catalog.sandbox.control import METHODS, Control
from catalog.sandbox.endpoints import PAID
from catalog.sandbox.errors import RequestError
from catalog.sandbox.exchange import Exchange, Receive, Scope, Send, Sleep
from catalog.sandbox.faults import Faults, Rules
from catalog.sandbox.ledger import Call, Ledger
from catalog.sandbox.models import BY_NAME, SandboxModel, Wire
from catalog.sandbox.reply import Accepted, Stamp
from catalog.sandbox.tokens import CACHED_PREFIX_TOKENS_MIN, Prefixes

_MODELS = "/v1/models"


class Sandbox:
    """The provider as an ASGI application. Chance, clock and pauses are handed in."""

    def __init__(
        self,
        *,
        rng: Random | None = None,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = Ledger()
        self.rules = Rules(monotonic)
        self._prefixes = Prefixes()
        self._control = Control(self.ledger, self.rules, self._prefixes)
        self._rng = rng or Random()  # noqa: S311 - practice faults, not secrets
        self._sleep = sleep
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        identity = f"{self._rng.getrandbits(96):024x}"
        exchange = Exchange(scope, receive, send, sleep=self._sleep, identity=identity)
        wire = _wire(exchange)
        if wire == "anthropic":
            exchange.request_id_header = b"request-id"
        try:
            await self._route(exchange, wire)
        except RequestError as error:
            await delivery.send_error(exchange, wire, error)
        finally:
            exchange.close()

    async def _route(self, exchange: Exchange, wire: Wire) -> None:
        path = exchange.path
        if path in PAID:
            _need_method(exchange, "POST")
            _need_key(exchange, wire)
            await self._call(exchange, wire)
        elif path == _MODELS or path.startswith(f"{_MODELS}/"):
            _need_method(exchange, "GET")
            _need_key(exchange, wire)
            await exchange.respond(200, _models(path[len(_MODELS) + 1 :], wire))
        elif path in METHODS:
            _need_method(exchange, METHODS[path])
            body = await exchange.body()
            answer = self._control.answer(exchange.method, path, exchange.query, body)
            await exchange.respond(200, answer)
        else:
            message = f'There is no "{path[:100]}" here. GET /sandbox lists what there is.'
            raise RequestError(404, message)

    async def _call(self, exchange: Exchange, wire: Wire) -> None:
        accepted = PAID[exchange.path][1](await exchange.body())
        model = accepted.model
        header = exchange.headers.get(b"x-sandbox")
        asked = faults.merged(
            self.rules.of(model.name),
            faults.parse_header(header) if header else faults.NONE,
            accepted.faults,
        )
        # An error inside a 200 is its own fault; `status` then only says which error.
        is_inband = asked.inband_error or asked.error_after_chunks is not None
        error = None if is_inband else faults.failure(asked, model, self._rng.random)
        first_byte_ms = self._first_token_ms(model)
        request_id = exchange.headers.get(b"x-client-request-id")
        record = self.ledger.append(
            model.name,
            request_id=request_id.decode("latin-1") if request_id else None,
            status=error.status if error else 200,
            stream=accepted.stream,
            input_tokens=accepted.input_tokens,
        )
        if error is None:
            await self._answer(exchange, accepted, asked, record, own_ms=first_byte_ms)
        else:
            await delivery.wait_for_first_byte(exchange, asked, own_ms=first_byte_ms, stream=False)
            await delivery.send_error(exchange, wire, error)
            record.finished = True

    async def _answer(
        self,
        exchange: Exchange,
        accepted: Accepted,
        asked: Faults,
        record: Call,
        *,
        own_ms: float,
    ) -> None:
        model, stream = accepted.model, accepted.stream
        reply = accepted.build(self._stamp(exchange, accepted), asked.tokens)
        pace_ms = delivery.ms_per_token(asked, model)
        await delivery.wait_for_first_byte(exchange, asked, own_ms=own_ms, stream=stream)
        if stream:
            await delivery.send_stream(
                exchange, accepted.wire, reply, faults=asked, record=record, pace_ms=pace_ms
            )
        else:
            await exchange.pause(pace_ms * reply.paced_tokens / 1000)
            await delivery.send_document(
                exchange, accepted.wire, reply, faults=asked, record=record
            )

    def _stamp(self, exchange: Exchange, accepted: Accepted) -> Stamp:
        cached = kept = 0
        if accepted.caches and accepted.input_tokens >= CACHED_PREFIX_TOKENS_MIN:
            cached, kept = self._prefixes.remember(accepted.model.name, accepted.texts)
        seed = self._rng.getrandbits(32)
        return Stamp(exchange.identity, seed, int(self._now()), cached, kept)

    def _first_token_ms(self, model: SandboxModel) -> float:
        return model.first_token_ms * math.exp(self._rng.gauss(0.0, model.sigma))


def _wire(exchange: Exchange) -> Wire:
    if exchange.path in PAID:
        return PAID[exchange.path][0]
    headers = exchange.headers
    has_only_its_key = b"x-api-key" in headers and b"authorization" not in headers
    is_anthropic = b"anthropic-version" in headers or has_only_its_key
    return "anthropic" if is_anthropic else "openai"


def _need_method(exchange: Exchange, allowed: str) -> None:
    if exchange.method not in allowed.split(", "):
        message = f"{exchange.method} is not for {exchange.path}. Use {allowed}."
        raise RequestError(405, message, code="method_not_allowed")


def _need_key(exchange: Exchange, wire: Wire) -> None:
    # Anthropic's documentation says x-api-key; its own client (2.11) sends a bearer.
    if wire == "anthropic" and exchange.headers.get(b"x-api-key", b"").strip():
        return
    scheme, _, key = exchange.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        if wire == "anthropic":
            raise RequestError(401, "x-api-key header is required. Any value will do here.")
        message = (
            "You didn't provide an API key. Send `Authorization: Bearer KEY`; any key will do here."
        )
        raise RequestError(401, message, code="invalid_api_key")


def _models(name: str, wire: Wire) -> bytes:
    if not name:
        return anthropic_wire.models() if wire == "anthropic" else openai_reply.models()
    model = BY_NAME.get(name)
    if model is None or model.wire != wire:
        message = f'Sandbox: model "{name[:100]}" does not exist.'
        raise RequestError(404, message, param="model", code="model_not_found")
    return anthropic_wire.model(model) if wire == "anthropic" else openai_reply.model(model)
