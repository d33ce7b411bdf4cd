"""A question of the playground: read from its form, asked through the gateway, and what came back.

1. ``read_question`` gives the question and, for each field that is wrong, what to do.
2. ``stream`` asks one model and yields pieces of text as they come, and last the ``Outcome``.
3. The outcome is told from the call's own record, so that it says what the ledger will say.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.http import QueryDict

from analytics.call_rows import latency, told_of
from analytics.models import Call
from analytics.story import Story, Told, tell
from lib.figures import duration
from lib.money import format_usd
from preferences.core import Priority
from routing.incoming import Incoming, Reply
from routing.member_gateway import MemberGateway
from routing.model import AUTO
from routing.wire.sse import event_end, payload

MODELS_MAX = 3
TEMPERATURE_MAX = 2.0
TOKENS_MAX = 1_000_000
MODEL_CHARS_MAX = 256
TEXT_CHARS_MAX = 200_000
ANSWER_CHARS_MAX = 200_000

Errors = dict[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of whom. Texts are as they were typed, so that a form can show them again."""

    models: tuple[str, ...] = (AUTO,)
    system: str = ""
    prompt: str = ""
    messages: str = ""
    temperature: str = ""
    max_tokens: str = ""
    priority: str = ""

    @property
    def slots(self) -> list[str]:
        """The models with empty places for the rest."""
        return [*self.models, *[""] * (MODELS_MAX - len(self.models))]

    def body(self, model: str, *, stream: bool) -> bytes:
        """The request to one model; only a question without errors has one."""
        said: dict[str, Any] = {"model": model, "messages": self._said()}
        if self.temperature:
            said["temperature"] = float(self.temperature)
        if self.max_tokens:
            said["max_tokens"] = int(self.max_tokens)
        if stream:
            said |= {"stream": True, "stream_options": {"include_usage": True}}
        return orjson.dumps(said)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the request asks of the router."""
        return [(b"x-router-priority", self.priority.encode())] if self.priority else []

    def _said(self) -> Any:
        if self.messages:
            return orjson.loads(self.messages)
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking one model; ``id`` is the call's, empty where there was none."""

    asked: str
    id: str
    answered_by: str
    is_sandbox: bool
    first_token: str
    latency: str
    input_tokens: int
    output_tokens: int
    cost: str
    is_estimate: bool
    why: str
    status: int
    error: str = ""
    code: str = ""
    text: str = ""


@dataclass(slots=True)
class _Heard:
    """What a stream said so far."""

    rest: bytearray = field(default_factory=bytearray)
    error: Mapping[str, Any] | None = None

    def take(self, piece: bytes) -> str:
        """The text of the whole events that end in ``piece``."""
        self.rest += piece
        said = []
        start = 0
        while (end := event_end(self.rest, start)) >= 0:
            said.append(self._event(payload(bytes(self.rest[start:end]))))
            start = end
        del self.rest[:start]
        return "".join(said)

    def _event(self, data: bytes) -> str:
        if not data or data == b"[DONE]":
            return ""
        event = orjson.loads(data)
        if "error" in event:
            self.error = event["error"]
            return ""
        return "".join(_text_of(choice.get("delta")) for choice in event.get("choices") or ())


def read_question(form: QueryDict) -> tuple[Question, Errors]:
    """The question of a form or an address, and a message for each field that is wrong."""
    models = [text.strip() for text in form.getlist("model") if text.strip()]
    question = Question(
        models=tuple(models[:MODELS_MAX]) or (AUTO,),
        system=form.get("system", "").strip(),
        prompt=form.get("prompt", "").strip(),
        messages=form.get("messages", "").strip(),
        temperature=form.get("temperature", "").strip(),
        max_tokens=form.get("max_tokens", "").strip(),
        priority=form.get("priority", "").strip(),
    )
    checks = {
        "model": _model_flaw(models),
        "messages": _messages_flaw(question.messages),
        "temperature": _temperature_flaw(question.temperature),
        "max_tokens": _tokens_flaw(question.max_tokens),
        "priority": _priority_flaw(question.priority),
    }
    if not question.prompt and not question.messages:
        checks["prompt"] = "Write what to ask."
    for name in ("system", "prompt", "messages"):
        if len(getattr(question, name)) > TEXT_CHARS_MAX:
            checks[name] = f"Here is room for {TEXT_CHARS_MAX:,} characters."
    return question, {name: flaw for name, flaw in checks.items() if flaw}


async def stream(
    gateway: MemberGateway, question: Question, model: str
) -> AsyncIterator[str | Outcome]:
    """Pieces of the answer as they come, then the outcome; leaving it early ends the call."""
    reply = await _call(gateway, question, model, streamed=True)
    if reply.stream is None:
        yield outcome_of(gateway, model, error=_error_of(reply))
        return
    heard = _Heard()
    async with aclosing(reply.stream) as pieces:
        async for piece in pieces:
            if text := heard.take(piece):
                yield text
    yield outcome_of(gateway, model, error=heard.error)


async def ask(gateway: MemberGateway, question: Question, model: str) -> Outcome:
    """The whole answer at once."""
    reply = await _call(gateway, question, model, streamed=False)
    if reply.status != 200:
        return outcome_of(gateway, model, error=_error_of(reply))
    choices = orjson.loads(reply.body).get("choices") or ()
    text = "".join(_text_of(choice.get("message")) for choice in choices)
    return outcome_of(gateway, model, text=text[:ANSWER_CHARS_MAX])


def outcome_of(
    gateway: MemberGateway,
    asked: str,
    *,
    error: Mapping[str, Any] | None = None,
    text: str = "",
) -> Outcome:
    """What the call's record tells of it."""
    record = gateway.record
    used = record.usage if record else None
    told = Told(
        status=gateway.status,
        error_code=gateway.error_code,
        input_tokens=used.input_tokens if used else 0,
        output_tokens=used.output_tokens if used else 0,
        decision=record.explain() if record else {},
    )
    story = tell(told)
    answered = record.answered_by.deployment if record and record.answered_by else None
    first_ms = record.first_token_ms if record else None
    return Outcome(
        asked=asked,
        id=record.id if record else "",
        answered_by=f"{answered.provider} / {answered.model}" if answered else "",
        is_sandbox=answered is not None and answered.provider.startswith("sandbox"),
        first_token="" if first_ms is None else duration(first_ms),
        latency=duration(gateway.latency_ms),
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        cost=format_usd(record.cost_nano if record else 0),
        is_estimate=record.cost_estimated if record else False,
        why=" ".join(part for part in (*_lead(story), story.because) if part),
        status=gateway.status or int(error["status"] if error else 0),
        error=str(error.get("message", "")) if error else "",
        code=str(error.get("code") or "") if error else "",
        text=text,
    )


def recorded(call: Call) -> Outcome:
    """What the ledger tells of a call whose end nobody waited for."""
    story = tell(told_of(call))
    first_ms = call.first_token_ms
    return Outcome(
        asked=call.model_requested,
        id=str(call.id),
        answered_by=f"{call.provider} / {call.model_used}" if call.model_used else "",
        is_sandbox=call.provider.startswith("sandbox"),
        first_token="" if first_ms is None else duration(first_ms),
        latency=latency(call),
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        cost=format_usd(call.cost_nano),
        is_estimate=call.cost_estimated,
        why=" ".join(part for part in (*_lead(story), story.because) if part),
        status=call.status,
    )


async def _call(gateway: MemberGateway, question: Question, model: str, *, streamed: bool) -> Reply:
    body = question.body(model, stream=streamed)
    return await gateway.call(Incoming(question.headers(), body, ""), "chat")


def _lead(story: Story) -> tuple[str, ...]:
    return (story.lead, f"{story.answered_by}.") if story.answered_by else (story.lead,)


def _error_of(reply: Reply) -> dict[str, Any]:
    return {"status": reply.status, **orjson.loads(reply.body)["error"]}


def _text_of(part: Mapping[str, Any] | None) -> str:
    """The words in a message or a delta; what is no text is named."""
    if not part:
        return ""
    text = str(part.get("content") or part.get("refusal") or "")
    calls = part.get("tool_calls") or ()
    named = [str(call.get("function", {}).get("name") or "") for call in calls]
    return text + "".join(f"[calls {name}]" for name in named if name)


def _model_flaw(models: list[str]) -> str:
    if not models:
        return f"Name a model, or {AUTO}."
    if len(models) > MODELS_MAX:
        return f"At most {MODELS_MAX} models at once."
    long = any(len(model) > MODEL_CHARS_MAX for model in models)
    return f"A model's name has at most {MODEL_CHARS_MAX} characters." if long else ""


def _messages_flaw(text: str) -> str:
    wanted = 'Write a JSON list such as [{"role": "user", "content": "Hello"}].'
    if not text:
        return ""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return wanted
    is_list = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    return "" if is_list else wanted


def _temperature_flaw(text: str) -> str:
    try:
        value = float(text) if text else 0.0
    except ValueError:
        value = math.nan
    # A comparison with NaN is false.
    return "" if 0 <= value <= TEMPERATURE_MAX else f"From 0 to {TEMPERATURE_MAX:g}."


def _tokens_flaw(text: str) -> str:
    if not text:
        return ""
    is_number = text.isascii() and text.isdigit() and len(text) <= 8
    fits = is_number and 1 <= int(text) <= TOKENS_MAX
    return "" if fits else f"A whole number from 1 to {TOKENS_MAX:,}."


def _priority_flaw(text: str) -> str:
    return "" if not text or text in set(Priority) else f"One of: {', '.join(Priority)}."
