"""A recorded call as a question of the playground: its model and priority, its words where kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from analytics import selectors
from analytics.bodies import bodies, may_read
from analytics.models import Call
from preferences.core import Priority
from routing.asking import Question
from routing.model import AUTO
from tenancy.pages import Member

NOT_CHAT = "Only chat requests can be repeated here; this one was for embeddings."
NOT_STORED = "Its prompt was not stored, so write it again."
CUT = "Only the beginning of its prompt was stored, so write it again."


def question_of(member: Member, call_id: UUID) -> tuple[Question, str] | None:
    """The question that a call asked, and a note on what is missing; None without such a call.

    Who may not read the words gets the model and the priority alone.
    """
    call = selectors.call(member.organization_id, call_id)
    if call is None:
        return None
    if call.task_type != "chat":
        return Question(), NOT_CHAT
    asked = Question(
        models=(call.model_requested or AUTO,),
        priority=call.priority if call.priority in set(Priority) else "",
    )
    kept = bodies(member.organization_id, call_id) if may_read(member, call) else None
    if kept is None:
        return asked, f"{_about(call)} {NOT_STORED}"
    if kept.request.is_cut:
        return asked, f"{_about(call)} {CUT}"
    try:
        said = orjson.loads(kept.request.text)
    except orjson.JSONDecodeError:
        return asked, f"{_about(call)} {NOT_STORED}"
    return _with_words(asked, said), f"This repeats the request {call.id}."


def _about(call: Call) -> str:
    return f"Model and priority are those of the request {call.id}."


def _with_words(asked: Question, said: Any) -> Question:
    if not isinstance(said, dict):
        return asked
    words = _words(said.get("messages"))
    return replace(
        asked,
        system=words.get("system", ""),
        prompt=words.get("prompt", ""),
        messages=words.get("messages", ""),
        temperature=_number(said.get("temperature")),
        max_tokens=_number(said.get("max_tokens")),
    )


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else ""


def _words(messages: Any) -> dict[str, str]:
    """System message and prompt where a conversation is no more than that; else all as JSON."""
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        return {}
    texts = [one.get("content") for one in messages]
    plain = all(
        isinstance(text, str) and set(one) == {"role", "content"}
        for one, text in zip(messages, texts, strict=True)
    )
    roles = [one.get("role") for one in messages]
    if plain and roles == ["user"]:
        return {"prompt": texts[0]}
    if plain and roles == ["system", "user"]:
        return {"system": texts[0], "prompt": texts[1]}
    return {"messages": orjson.dumps(messages, option=orjson.OPT_INDENT_2).decode()}
