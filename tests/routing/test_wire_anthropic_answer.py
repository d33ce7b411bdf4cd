"""Anthropic answers in OpenAI's shape."""

import json

import pytest

from catalog.usage import Usage
from routing.wire import WIRES
from tests.openai_shape import conforms

IDS = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": "claude"}
WIRE = WIRES["anthropic"]


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Two. "},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "text", "text": "Done.", "citations": None},
        {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1.10, "b": "é"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
}


def answer_of(**fields):
    answer = WIRE.decode_answer(json.dumps({**MESSAGE, **fields}).encode(), **IDS)
    body = json.loads(answer.body)
    conforms(body, "CreateChatCompletionResponse")
    return answer, body["choices"][0]


def test_an_answer():
    answer, choice = answer_of()
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert message["content"] == "Two. Done."
    assert message["reasoning_content"] == "Let me see."
    assert message["refusal"] is None
    (call,) = message["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("t", "add")
    assert json.loads(call["function"]["arguments"]) == {"a": 1.10, "b": "é"}
    assert answer.usage == Usage(input_tokens=7, output_tokens=5, cached_tokens=4)
    assert json.loads(answer.body)["usage"]["total_tokens"] == 12
    assert answer.error is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("new_reason", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons(reason, finish):
    assert answer_of(stop_reason=reason, content=[])[1]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("details", "says"),
    [
        (None, "declined"),
        ({"type": "refusal", "category": "cyber", "explanation": None}, "cyber"),
        ({"type": "refusal", "category": "cyber", "explanation": "Against policy."}, "policy"),
    ],
)
def test_a_refusal_says_so(details, says):
    _, choice = answer_of(stop_reason="refusal", stop_details=details, content=[])
    assert choice["message"]["content"] is None
    assert says in choice["message"]["refusal"]


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b'{"type":"error","error":{"type":"api_error","message":"m"}}', 500, "event"),
        (b'{"type":"list"}', 502, "protocol"),
        (b'{"type":"message","content":3}', 502, "protocol"),
        (b"<html>", 502, "protocol"),
        (b"", 502, "protocol"),
    ],
)
def test_a_200_that_is_no_message(raw, status, kind):
    failure = WIRE.decode_answer(raw, **IDS).error
    assert (failure.status, failure.kind) == (status, kind)
