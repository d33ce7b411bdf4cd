"""Made-up calls that look like an organization's: for demonstrations, benchmarks and tests. Pure.

1. ``moments`` spreads calls over a time: fewer at night and at the weekend in the organization's
   zone, growing a little.
2. ``sample_calls`` gives every moment a caller, a model, tokens, a latency and an ending. Most are
   answered at the first attempt; some after a fallback; one provider has a bad afternoon.
3. Every row is what the gateway would have written down, with its metadata saying it is a sample.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from math import cos, exp, log, pi
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from catalog.pricing import Price, cost_nano
from catalog.usage import Usage
from lib.ids import uuid7_text

LABEL = ("seeded", "true")
_SLOT = timedelta(minutes=15)
_NIGHT_SHARE = 0.12
_WEEKEND_SHARE = 0.35
_GROWTH_A_DAY = 1.006


@dataclass(frozen=True, slots=True)
class Model:
    """A model at a provider. Latencies are about ``base_ms`` and ``token_ms`` per output token."""

    provider: str
    name: str
    weight: float
    base_ms: float
    token_ms: float
    price: Price
    region: str = ""
    operation: str = "chat"


@dataclass(frozen=True, slots=True)
class Caller:
    """An application: the key it calls with, for whom, and what it says about its calls."""

    key_id: UUID
    user_id: UUID | None
    weight: float
    metadata: tuple[tuple[str, tuple[str, ...]], ...]
    input_tokens: int
    output_tokens: int
    priority: str = "balanced"


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which most attempts at one provider fail."""

    provider: str
    start: datetime
    end: datetime


def moments(
    calls: int, start: datetime, end: datetime, *, zone: ZoneInfo, chance: Random
) -> Iterator[int]:
    """Exactly ``calls`` moments from ``start`` until ``end``, ascending, in milliseconds."""
    slots = max(1, -((start - end) // _SLOT))
    weights = [
        _weight(start + i * _SLOT, start, zone) * exp(chance.gauss(0, 0.18)) for i in range(slots)
    ]
    sums = list(accumulate(weights))
    begin, until = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
    slot_ms = round(_SLOT.total_seconds() * 1000)
    made = 0
    for i, total in enumerate(sums):
        due = round(calls * total / sums[-1])
        first = begin + i * slot_ms
        last = min(first + slot_ms, until)
        yield from sorted(chance.randrange(first, last) for _ in range(due - made))
        made = due


def sample_calls(
    times: Iterator[int],
    organization_id: UUID,
    *,
    models: Sequence[Model],
    callers: Sequence[Caller],
    outages: Sequence[Outage] = (),
    chance: Random,
) -> Iterator[dict[str, Any]]:
    """A ledger row for each moment, as ``analytics.ledger.Ledger.write`` takes them."""
    house = _House(organization_id, models, callers, outages, chance)
    for at_ms in times:
        yield house.call(at_ms)


def _weight(at: datetime, start: datetime, zone: ZoneInfo) -> float:
    local = at.astimezone(zone)
    hour = local.hour + local.minute / 60
    # The middle of the day is 14:00.
    day = (1 + cos((hour - 14) / 24 * 2 * pi)) / 2
    week = _WEEKEND_SHARE if local.weekday() >= 5 else 1.0
    growth: float = _GROWTH_A_DAY ** ((at - start) / timedelta(days=1))
    return (_NIGHT_SHARE + (1 - _NIGHT_SHARE) * day * day) * week * growth


@dataclass(slots=True)
class _Attempt:
    """How one try at one model went; status 200 when it answered."""

    model: Model
    status: int
    error: str
    ms: int

    def told(self) -> dict[str, Any]:
        told = {
            "provider": self.model.provider,
            "model": self.model.name,
            "ms": self.ms,
            "status": self.status,
        }
        return (
            told
            if self.status == 200
            else told | {"error": self.error, "message": _SAID[self.error]}
        )


_SAID = {
    "upstream_rate_limited": "The provider is limiting calls.",
    "upstream_error": "The provider answered 503: Service unavailable.",
    "invalid_request": "The last message has no content.",
    "upstream_timeout": "The provider took too long to begin its answer.",
}
# An attempt's failures with their status, and how often each happens in a thousand.
_FAILURES = (
    ("upstream_rate_limited", 429, 9),
    ("upstream_error", 503, 5),
    ("upstream_timeout", 504, 2),
)
_FAILING = sum(often for _, _, often in _FAILURES)
_OUTAGE_SHARE = 0.7
# What ends a call without any attempt at another model, with how often in a thousand.
_REFUSED = 0.004
_INVALID = 0.003
_LEFT = 0.004
_CACHED = 0.22
_STREAMED = 0.45


class _House:
    """What stays the same from call to call."""

    def __init__(
        self,
        organization_id: UUID,
        models: Sequence[Model],
        callers: Sequence[Caller],
        outages: Sequence[Outage],
        chance: Random,
    ) -> None:
        self._organization = str(organization_id)
        self._chance = chance
        self._models = models
        self._callers = callers
        self._model_sums = list(accumulate(m.weight for m in models))
        self._caller_sums = list(accumulate(c.weight for c in callers))
        self._outages = [
            (o.provider, round(o.start.timestamp() * 1000), round(o.end.timestamp() * 1000))
            for o in outages
        ]
        self._prices = {id(m): m.price.record() for m in models}

    def call(self, at_ms: int) -> dict[str, Any]:
        """One call of the ledger."""
        chance = self._chance
        caller = self._callers[bisect(self._caller_sums, chance.random() * self._caller_sums[-1])]
        first = self._pick(None)
        usage = self._usage(first, caller)
        row = self._row(at_ms, caller, first, usage)
        fate = chance.random()
        if fate < _REFUSED:
            return row | self._ended(400, "max_cost_exceeded", attempts=[], left=[first])
        attempts = self._attempts(first, usage, at_ms)
        answered = attempts[-1] if attempts[-1].status == 200 else None
        if answered is None:
            last = attempts[-1]
            status = {429: 429, 504: 504}.get(last.status, 502)
            return row | self._ended(status, last.error, attempts=attempts)
        if fate < _REFUSED + _INVALID:
            answered.status, answered.error = 400, "invalid_request"
            answered.ms = 80 + answered.ms // 20
            return row | self._ended(400, "invalid_request", attempts=attempts)
        return row | self._answered(answered.model, usage, attempts, left=fate > 1 - _LEFT)

    def _pick(self, but: Model | None) -> Model:
        """Any model; after ``but`` one of another provider, or the same where there is none."""
        if but is not None and but.operation != "chat":
            return but
        while True:
            point = self._chance.random() * self._model_sums[-1]
            model = self._models[bisect(self._model_sums, point)]
            if but is None or (model.provider != but.provider and model.operation == "chat"):
                return model

    def _usage(self, model: Model, caller: Caller) -> Usage:
        chance = self._chance
        count = max(8, round(chance.lognormvariate(log(caller.input_tokens), 0.8)))
        if model.operation == "embeddings":
            return Usage(input_tokens=count)
        written = max(1, round(chance.lognormvariate(log(caller.output_tokens), 0.7)))
        cached = count * 3 // 4 if count > 1500 and chance.random() < _CACHED else 0
        thought = written // 2 if "pro" in model.name or "gpt-5" in model.name else 0
        return Usage(
            input_tokens=count,
            output_tokens=written,
            cached_tokens=cached,
            reasoning_tokens=thought,
        )

    def _attempts(self, first: Model, usage: Usage, at_ms: int) -> list[_Attempt]:
        """One or two attempts; the second is at another provider."""
        attempts = [self._attempt(first, usage, at_ms)]
        if attempts[0].status != 200:
            attempts.append(self._attempt(self._pick(first), usage, at_ms))
        return attempts

    def _attempt(self, model: Model, usage: Usage, at_ms: int) -> _Attempt:
        chance = self._chance
        is_out = any(model.provider == p and s <= at_ms < e for p, s, e in self._outages)
        if is_out and chance.random() < _OUTAGE_SHARE:
            return _Attempt(
                model, 503, "upstream_error", round(chance.lognormvariate(log(900), 0.5))
            )
        roll = chance.random() * 1000
        if roll < _FAILING:
            for error, status, often in _FAILURES:
                roll -= often
                if roll < 0:
                    ms = 10_000 if status == 504 else round(chance.lognormvariate(log(160), 0.4))
                    return _Attempt(model, status, error, ms)
        typical = model.base_ms + model.token_ms * usage.output_tokens
        return _Attempt(model, 200, "", max(1, round(typical * chance.lognormvariate(0, 0.42))))

    def _row(self, at_ms: int, caller: Caller, model: Model, usage: Usage) -> dict[str, Any]:
        chance = self._chance
        metadata = {name: chance.choice(values) for name, values in caller.metadata}
        metadata[LABEL[0]] = LABEL[1]
        auto = chance.random() < 0.6 and model.operation == "chat"
        return {
            "id": uuid7_text(at_ms, chance.getrandbits(74)),
            "organization_id": self._organization,
            "created_ms": at_ms,
            "task_type": model.operation,
            "api_key_id": str(caller.key_id),
            "user_id": str(caller.user_id) if caller.user_id else None,
            "model_requested": "auto" if auto else model.name,
            "stream": model.operation == "chat" and chance.random() < _STREAMED,
            "metadata": metadata,
            "priority": caller.priority,
            "overhead_us": round(chance.lognormvariate(log(900), 0.3)),
            "reasoning_tokens": usage.reasoning_tokens,
        }

    def _ended(
        self, status: int, code: str, *, attempts: list[_Attempt], left: Sequence[Model] = ()
    ) -> dict[str, Any]:
        """The columns of a call without an answer."""
        out = [
            {"provider": m.provider, "model": m.name, "reason": "max_cost", "detail": "over $0.05"}
            for m in left
        ]
        return {
            "provider": "",
            "model_used": "",
            "region": "",
            "price": None,
            "success": False,
            "status": status,
            "error_code": code,
            "latency_ms": 3 + sum(a.ms for a in attempts),
            "first_token_ms": None,
            "input_tokens": 0,
            "output_tokens": 0,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "usage": {},
            "cost_nano": 0,
            "cost_estimated": False,
            "fallback_used": len({id(a.model) for a in attempts}) > 1,
            "attempts": len(attempts),
            "decision": self._decision(attempts, out),
        }

    def _answered(
        self, model: Model, usage: Usage, attempts: list[_Attempt], *, left: bool
    ) -> dict[str, Any]:
        """The columns of a call with an answer; ``left``: the client did not wait for its end."""
        ms = 2 + sum(a.ms for a in attempts)
        return {
            "provider": model.provider,
            "model_used": model.name,
            "region": model.region,
            "price": self._prices[id(model)],
            "success": not left,
            "status": 499 if left else 200,
            "error_code": "client_left" if left else "",
            "latency_ms": ms,
            "first_token_ms": min(ms, round(model.base_ms) + sum(a.ms for a in attempts[:-1])),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "usage": {
                name: count
                for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
                if (count := getattr(usage, name))
            },
            "cost_nano": cost_nano(usage, model.price),
            "cost_estimated": left,
            "fallback_used": len({id(a.model) for a in attempts}) > 1,
            "attempts": len(attempts),
            "decision": self._decision(attempts, []),
        }

    def _decision(self, attempts: list[_Attempt], out: list[dict[str, Any]]) -> dict[str, Any]:
        ranked = [a.model for a in attempts]
        ranked = list({id(model): model for model in ranked}.values())
        if len(ranked) == 1 and (other := self._pick(ranked[0])) is not ranked[0]:
            ranked.append(other)
        score = 0.9
        candidates = []
        for model in ranked:
            candidates.append(
                {
                    "provider": model.provider,
                    "model": model.name,
                    "score": round(score, 4),
                    "p95_ms": round(model.base_ms * 3),
                }
            )
            score -= self._chance.random() * 0.3
        return {
            "policy": {"priority": "balanced"},
            "candidates": candidates,
            "out": out,
            "attempts": [a.told() for a in attempts],
        }
