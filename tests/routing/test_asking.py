"""What a question of the playground is, and what is wrong with one. Without a database."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.http import QueryDict

from routing.asking import MODELS_MAX, TEXT_CHARS_MAX, Question, _Heard, read_question
from routing.replay import _words


def read(**fields: Any) -> tuple[Question, dict[str, str]]:
    form = QueryDict(mutable=True)
    for name, value in fields.items():
        form.setlist(name, value if isinstance(value, list) else [value])
    return read_question(form)


def body(question: Question, *, stream: bool = False) -> Any:
    return orjson.loads(question.body("m", stream=stream))


def test_a_question_becomes_a_request() -> None:
    question, errors = read(
        model=["a", "", " b "], system="Be short.", prompt="Hi", temperature="0.5", max_tokens="9"
    )
    assert errors == {}
    assert question.models == ("a", "b")
    assert question.slots == ["a", "b", ""]
    assert body(question) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
    }
    assert body(question, stream=True)["stream_options"] == {"include_usage": True}


def test_messages_stand_for_system_message_and_prompt() -> None:
    said = [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Go on"}]
    question, errors = read(model="m", prompt="", messages=orjson.dumps(said).decode())
    assert errors == {}
    assert body(question)["messages"] == said


def test_the_priority_is_asked_of_the_router() -> None:
    assert read(priority="cost")[0].headers() == [(b"x-router-priority", b"cost")]
    assert read()[0].headers() == []


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"model": "m"}, "prompt"),
        ({"model": "", "prompt": "x"}, "model"),
        ({"model": ["m"] * (MODELS_MAX + 1), "prompt": "x"}, "model"),
        ({"model": "m" * 257, "prompt": "x"}, "model"),
        ({"model": "m", "prompt": "x" * (TEXT_CHARS_MAX + 1)}, "prompt"),
        ({"model": "m", "messages": "{"}, "messages"),
        ({"model": "m", "messages": "{}"}, "messages"),
        ({"model": "m", "messages": "[]"}, "messages"),
        ({"model": "m", "messages": "[1]"}, "messages"),
        ({"model": "m", "prompt": "x", "temperature": "hot"}, "temperature"),
        ({"model": "m", "prompt": "x", "temperature": "nan"}, "temperature"),
        ({"model": "m", "prompt": "x", "temperature": "2.1"}, "temperature"),
        ({"model": "m", "prompt": "x", "max_tokens": "0"}, "max_tokens"),
        ({"model": "m", "prompt": "x", "max_tokens": "1.5"}, "max_tokens"),
        ({"model": "m", "prompt": "x", "max_tokens": "9" * 5000}, "max_tokens"),
        ({"model": "m", "prompt": "x", "priority": "haste"}, "priority"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], name: str) -> None:
    assert list(read(**fields)[1]) == [name]


def test_text_is_heard_however_a_stream_is_cut() -> None:
    events = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"delta": {"content": "Grüße, "}}]},
        {"choices": [{"delta": {"content": "Welt"}}]},
        {"choices": [], "usage": {"total_tokens": 3}},
    ]
    raw = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    raw += b": a comment\n\ndata: [DONE]\n\n"
    for size in (1, 7, len(raw)):
        heard = _Heard()
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert "".join(heard.take(piece) for piece in pieces) == "Grüße, Welt"
        assert heard.error is None


def test_an_error_in_a_stream_is_kept() -> None:
    heard = _Heard()
    assert heard.take(b'data: {"error": {"message": "broke", "code": "x"}}\n\n') == ""
    assert heard.error == {"message": "broke", "code": "x"}


def test_tools_that_a_model_calls_are_named() -> None:
    heard = _Heard()
    call = {"tool_calls": [{"function": {"name": "get_weather", "arguments": ""}}]}
    raw = b"data: " + orjson.dumps({"choices": [{"delta": call}]}) + b"\n\n"
    assert heard.take(raw) == "[calls get_weather]"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": "Hi"}], {"prompt": "Hi"}),
        (
            [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}],
            {"system": "Be short.", "prompt": "Hi"},
        ),
        ("nonsense", {}),
        ([1], {}),
    ],
)
def test_a_short_conversation_fills_the_plain_fields(messages: Any, words: dict[str, str]) -> None:
    assert _words(messages) == words


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        [{"role": "user", "content": "Hi", "name": "nora"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    ],
)
def test_any_other_conversation_is_kept_whole(messages: Any) -> None:
    (kept,) = _words(messages).values()
    assert orjson.loads(kept) == messages
