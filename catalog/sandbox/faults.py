"""Faults on demand: one vocabulary for the body field, the header and the control endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from catalog.sandbox import errors
from catalog.sandbox.errors import RequestError
from catalog.sandbox.models import BY_NAME, SandboxModel

RULE_SECONDS_MAX = 86_400

Milliseconds = Annotated[float, Meta(ge=0, le=600_000)]
Chunks = Annotated[int, Meta(ge=0, le=1_000_000)]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shall go wrong with a call; None leaves it to the model.

    Chunks are events of the stream, the first (which carries no text) included.
    """

    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    retry_after_s: Annotated[float, Meta(ge=0, le=3_600)] | None = None
    error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    latency_ms: Milliseconds | None = None
    ms_per_token: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    stall_ms: Milliseconds | None = None
    stall_after_chunks: Chunks | None = None
    cut_after_chunks: Chunks | None = None
    error_after_chunks: Chunks | None = None
    inband_error: bool | None = None
    garbage: bool | None = None
    tokens: Annotated[int, Meta(ge=0, le=100_000)] | None = None


class Rule(Faults, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Faults for every call to a model ("*": to all), for a while (None: until deleted)."""

    model: str = "*"
    for_s: Annotated[float, Meta(gt=0, le=RULE_SECONDS_MAX)] | None = None


# What each field does, as told at GET /sandbox.
VOCABULARY = {
    "status": "answer with this error status (400 to 599); with an error inside a stream: which",
    "retry_after_s": "with an error status: the Retry-After header",
    "error_rate": "fail this share of calls (0 to 1), with `status` or else a 500, 429 or overload",
    "latency_ms": "first byte after this time instead of the model's own, then no pauses",
    "ms_per_token": "pause between tokens instead of the model's own",
    "stall_ms": "do nothing for so long, before the first byte or after `stall_after_chunks`",
    "stall_after_chunks": "where in a stream `stall_ms` happens, counted in events",
    "cut_after_chunks": "close the connection after so many events (plain calls: in mid-body)",
    "error_after_chunks": "an error event after so many events, then the stream ends",
    "inband_error": "status 200, but the first event (or the body) is an error",
    "garbage": "status 200, but not JSON",
    "tokens": "an answer of exactly this many tokens, if the call's limit allows",
}

NONE = Faults()


def parse_header(text: bytes) -> Faults:
    """Faults from the x-sandbox header. Raises RequestError naming the field."""
    try:
        return msgspec.json.decode(text, type=Faults)
    except msgspec.MsgspecError as error:
        refusal = errors.invalid(error)
        param = f"x-sandbox.{refusal.param}" if refusal.param else "x-sandbox"
        raise RequestError(400, f"x-sandbox header: {refusal.message}", param=param) from error


def parse_rule(text: bytes) -> Rule:
    """A rule from the control endpoint. Raises RequestError naming the field."""
    try:
        rule = msgspec.json.decode(text, type=Rule)
    except msgspec.MsgspecError as error:
        raise errors.invalid(error) from error
    if rule.model != "*" and rule.model not in BY_NAME:
        known = ", ".join(BY_NAME)
        raise RequestError(400, f'model: "{rule.model}" is not one of: *, {known}.', param="model")
    return rule


def merged(*layers: Faults) -> Faults:
    """The later layers' fields over the earlier ones'."""
    present = [layer for layer in layers if layer != NONE]
    if len(present) <= 1:
        return present[0] if present else NONE
    fields: dict[str, object] = {}
    for layer in present:
        for name in Faults.__struct_fields__:
            value = getattr(layer, name)
            if value is not None:
                fields[name] = value
    return msgspec.convert(fields, Faults)


def failure(faults: Faults, model: SandboxModel, draw: Callable[[], float]) -> RequestError | None:
    """The error status that this call gets, or None. ``draw`` gives numbers in [0, 1)."""
    rate = faults.error_rate
    if rate is None:
        rate = 1.0 if faults.status is not None else model.error_rate
    if rate <= 0 or draw() >= rate:
        return None
    if faults.status is not None:
        return errors.asked_for(faults.status, retry_after_s=faults.retry_after_s)
    overloaded = 529 if model.wire == "anthropic" else 503
    status = (500, 429, overloaded)[int(draw() * 3)]
    wait_s = faults.retry_after_s
    if wait_s is None and status == 429:
        wait_s = 1.0
    return errors.asked_for(status, retry_after_s=wait_s)


class Rules:
    """The faults set at the control endpoint: one rule per model and one for all."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rules: dict[str, tuple[Faults, float]] = {}

    def put(self, rule: Rule) -> None:
        """Set a rule; an earlier one for the same model is replaced."""
        plain = Faults(**{name: getattr(rule, name) for name in Faults.__struct_fields__})
        until = float("inf") if rule.for_s is None else self._now() + rule.for_s
        self._rules[rule.model] = (plain, until)

    def clear(self, model: str | None = None) -> int:
        """Drop the rule of a model, or all of them; how many there were."""
        if model is not None:
            return int(self._rules.pop(model, None) is not None)
        dropped = len(self._rules)
        self._rules.clear()
        return dropped

    def active(self) -> dict[str, tuple[Faults, float]]:
        """By model: the faults and the seconds left (infinite: until deleted)."""
        now = self._now()
        self._rules = {name: rule for name, rule in self._rules.items() if rule[1] > now}
        return {name: (faults, until - now) for name, (faults, until) in self._rules.items()}

    def of(self, model: str) -> Faults:
        """What the rules ask of a call to this model; its own rule goes before the one for all."""
        if not self._rules:
            return NONE
        active = self.active()
        return merged(*(active[name][0] for name in ("*", model) if name in active))
