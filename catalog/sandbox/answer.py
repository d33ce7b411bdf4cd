"""What a sandbox model says: a question in one shape for both wires, an answer as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from catalog.sandbox.models import SandboxModel
from catalog.sandbox.schema_example import example
from catalog.sandbox.tokens import count, split

QUOTE_CHARS_MAX = 160
CALL_OVERHEAD_TOKENS = 6

Finish = Literal["stop", "length", "tool_calls", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for."""

    name: str
    schema: Any


@dataclass(frozen=True, slots=True)
class Question:
    """A chat request, whichever wire it came by.

    ``texts`` is the whole prompt in order; ``tools`` holds only those that may be called;
    ``tool_result`` is the text of a tool's answer if the prompt ends in one; ``schema`` is None
    when the answer may be prose.
    """

    texts: tuple[str, ...]
    input_tokens: int
    user_text: str
    tool_result: str | None
    tools: tuple[Tool, ...]
    must_call: bool
    parallel: bool
    schema: Any
    stop: tuple[str, ...]
    limit_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request to run a tool; arguments are JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. ``output_tokens`` includes the reasoning tokens."""

    pieces: tuple[str, ...]
    calls: tuple[ToolCall, ...]
    finish: Finish
    stop_sequence: str | None
    reasoning_tokens: int
    output_tokens: int

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


def answer(
    model: SandboxModel, question: Question, *, seed: int, tokens: int | None = None
) -> Choice:
    """The model's answer: the same for the same seed and question. ``tokens`` sets its length."""
    digest = _digest(model, question, seed)
    # A tight limit would otherwise be spent on reasoning alone.
    reasoning = min(question.reasoning_tokens, question.limit_tokens // 2)
    limit = question.limit_tokens - reasoning
    called = _called(question) if tokens is None else ()
    if called:
        return _calls(called, digest, limit=limit, reasoning=reasoning)
    if tokens is not None:
        text = _of_length(model, question, digest, tokens=tokens)
    elif question.schema is not None:
        text = msgspec.json.encode(_document(model, question)).decode()
    else:
        text = _prose(model, question, digest)
    finish: Finish = "stop"
    stopped_at, stop_sequence = _first_stop(text, question.stop)
    if stop_sequence is not None:
        text, finish = text[:stopped_at], "stop_sequence"
    pieces = split(text)
    if len(pieces) > limit:
        pieces, finish, stop_sequence = pieces[:limit], "length", None
    return Choice(tuple(pieces), (), finish, stop_sequence, reasoning, len(pieces) + reasoning)


def _digest(model: SandboxModel, question: Question, seed: int) -> bytes:
    digest = hashlib.blake2b(f"{model.name}\0{seed}".encode(), digest_size=32)
    for text in question.texts:
        digest.update(b"\0")
        digest.update(text.encode())
    return digest.digest()


def _called(question: Question) -> tuple[Tool, ...]:
    if not question.tools or question.tool_result is not None:
        return ()
    said = question.user_text.lower()
    mentioned = tuple(tool for tool in question.tools if tool.name.lower() in said)
    if not mentioned and question.must_call:
        mentioned = question.tools[:1]
    return mentioned if question.parallel else mentioned[:1]


def _calls(tools: tuple[Tool, ...], digest: bytes, *, limit: int, reasoning: int) -> Choice:
    calls: list[ToolCall] = []
    used, finish = 0, "tool_calls"
    for at, tool in enumerate(tools):
        schema = tool.schema or {"type": "object"}
        pieces = split(msgspec.json.encode(example(schema, name="value")).decode())
        overhead = CALL_OVERHEAD_TOKENS + count(tool.name)
        room = limit - used - overhead
        if room < len(pieces):
            pieces, finish = pieces[: max(room, 0)], "length"
        used = min(used + overhead + len(pieces), limit)
        identity = hashlib.blake2b(digest + bytes([at % 256]), digest_size=12).hexdigest()
        calls.append(ToolCall(identity, tool.name, "".join(pieces)))
        if finish == "length":
            break
    return Choice(
        (), tuple(calls), "length" if finish == "length" else "tool_calls", None,
        reasoning, used + reasoning,
    )  # fmt: skip


def _document(model: SandboxModel, question: Question) -> Any:
    if question.schema is True:
        return {"source": "sandbox", "model": model.name, "you_asked": _quoted(question.user_text)}
    return example(question.schema)


_OPENINGS = (
    "Hello from {model}, a practice model in the sandbox.",
    "This is {model}, answering from the sandbox.",
    "Greetings from the sandbox; {model} here.",
    "You have reached {model} in the sandbox.",
)
_SENTENCES = (
    "No real provider was called and nothing was spent.",
    "A real model would answer in its own words here; this text only has the same shape.",
    "Tokens, latency and price of this call are recorded just as they would be for a real one.",
    "Try the same question on another sandbox model to compare price, speed and quality.",
    'Add "stream": true to watch the words arrive one by one.',
    'Ask for a fault, such as "sandbox": {{"status": 429}}, to watch the router fall back.',
    "The same seed and the same prompt always give this same answer.",
    "When you are ready, connect a provider of your own and change nothing but the model's name.",
)


def _prose(model: SandboxModel, question: Question, digest: bytes) -> str:
    sentences = [_OPENINGS[digest[0] % len(_OPENINGS)].format(model=model.name)]
    if question.tool_result is not None:
        sentences.append(f"The tool answered: “{_quoted(question.tool_result)}”.")
    elif question.user_text:
        sentences.append(f"You asked: “{_quoted(question.user_text)}”.")
    # The better the model is said to be, the more it has to say.
    wanted = 1 + round(model.quality * 3)
    start, step = digest[1], (1, 3, 5, 7)[digest[2] % 4]  # coprime to 8: no sentence twice
    sentences += [
        _SENTENCES[(start + step * at) % len(_SENTENCES)].format() for at in range(wanted)
    ]
    return " ".join(sentences)


def _of_length(model: SandboxModel, question: Question, digest: bytes, *, tokens: int) -> str:
    pieces = split(_prose(model, question, digest))
    more = split(" " + " ".join(sentence.format() for sentence in _SENTENCES))
    while len(pieces) < tokens:
        pieces += more
    return "".join(pieces[:tokens])


def _quoted(text: str) -> str:
    line = " ".join(text[: QUOTE_CHARS_MAX * 4].split())
    return line if len(line) <= QUOTE_CHARS_MAX else line[: QUOTE_CHARS_MAX - 1] + "…"


def _first_stop(text: str, stops: tuple[str, ...]) -> tuple[int, str | None]:
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    return min(found) if found else (len(text), None)
