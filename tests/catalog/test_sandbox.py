"""The sandbox speaks both wires as the real providers do, to their real clients."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import jsonschema
import openai
import pytest

from catalog.sandbox.models import MODELS
from catalog.sandbox.schema_example import example
from catalog.sandbox.tokens import count, split
from tests.openai_shape import conforms

from . import sandbox_process
from .sandbox_process import (
    AT_ONCE,
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    WEATHER,
    Answer,
    Server,
    user,
)

shared = sandbox_process.shared
server = sandbox_process.server

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
OTHER = {"type": "function", "function": {"name": "get_time"}}
LONG = "All work and no play makes a dull router. " * 200
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture
def ai(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="x", max_retries=0, default_headers=AT_ONCE
    ) as client:
        yield client


def arguments(answer: Answer) -> list[tuple[str, Any]]:
    calls = answer.json["choices"][0]["message"].get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def test_each_model_has_its_own_price_and_pace() -> None:
    prices = [Decimal(m.input_usd_per_mtok) for m in MODELS]
    assert len({m.name for m in MODELS}) == len(MODELS) == len(set(prices))
    assert all(Decimal(m.cached_usd_per_mtok) <= p for m, p in zip(MODELS, prices, strict=True))
    assert all(m.name.startswith("sandbox-") and 0 <= m.quality <= 1 for m in MODELS)


@pytest.mark.parametrize("text", ["", "Hello, world", "  a\n\n", "naïve 漢字 🙂🙂", LONG])
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split(text)) == text
    assert len(split(text)) == count(text)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "logprobs": True, "top_logprobs": 2},
        {"n": 2, "max_tokens": 5},
        {"tools": [TOOL, OTHER], "tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"model": "sandbox-reasoning"},
    ],
)
def test_chat_is_as_openai_describes_it(server: Server, fields: dict[str, Any]) -> None:
    plain = server.chat(**fields, seed=1).json
    conforms(plain, "CreateChatCompletionResponse")
    streamed = server.chat(**fields, seed=1, stream=True, stream_options={"include_usage": True})
    assert streamed.data[-1] == "[DONE]"
    for event in streamed.events:
        conforms(event, "CreateChatCompletionStreamResponse")
    assert streamed.events[-1]["usage"] == plain["usage"]
    assert all(event["usage"] is None for event in streamed.events[:-1])
    finishes = [c["finish_reason"] for e in streamed.events for c in e["choices"]]
    assert [f for f in finishes if f] == [c["finish_reason"] for c in plain["choices"]]
    usage = plain["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    without = server.chat(**fields, stream=True)
    assert all("usage" not in event and event["choices"] for event in without.events)


def test_other_documents_are_as_openai_describes_them(server: Server) -> None:
    vectors = server.post(EMBEDDINGS, {"model": "sandbox-embed", "input": ["a", "b"]})
    conforms(vectors.json, "CreateEmbeddingResponse")
    listed = server.call("GET", "/v1/models", authorization="Bearer x")
    conforms(listed.json, "ListModelsResponse")
    error = server.chat(sandbox={"status": 429})
    conforms(error.json, "ErrorResponse")


def test_openais_client_chats(ai: openai.OpenAI) -> None:
    plain = ai.chat.completions.create(model="sandbox-fast", messages=user("Why blue?"), seed=7)
    said = plain.choices[0].message.content
    assert "sandbox" in said
    assert "Why blue?" in said
    with ai.chat.completions.stream(
        model="sandbox-fast", messages=user("Why blue?"), seed=7
    ) as stream:
        assert stream.get_final_completion().choices[0].message.content == said


def test_openais_client_runs_a_tool(ai: openai.OpenAI) -> None:
    messages = user("Please use get_weather for Oslo")
    asked = ai.chat.completions.create(model="sandbox-fast", messages=messages, tools=[TOOL])
    assert asked.choices[0].finish_reason == "tool_calls"
    (call,) = asked.choices[0].message.tool_calls or ()
    jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    result = {"role": "tool", "tool_call_id": call.id, "content": "11 degrees"}
    messages += [asked.choices[0].message.to_dict(), result]
    told = ai.chat.completions.create(model="sandbox-fast", messages=messages, tools=[TOOL])
    assert "11 degrees" in (told.choices[0].message.content or "")


NAMED = {"type": "function", "function": {"name": "get_time"}}
MAX = "max_tokens"
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


@pytest.mark.parametrize(
    ("text", "fields", "called"),
    [
        ("Hello", {}, []),
        ("get_weather now", {}, ["get_weather"]),
        ("get_weather and get_time", {}, ["get_weather", "get_time"]),
        ("get_weather and get_time", {"parallel_tool_calls": False}, ["get_weather"]),
        ("get_weather now", {"tool_choice": "none"}, []),
        ("Hello", {"tool_choice": "required"}, ["get_weather"]),
        ("Hello", {"tool_choice": NAMED}, ["get_time"]),
        ("Hello", {"tool_choice": ALLOWED}, ["get_time"]),
    ],
)  # fmt: skip
def test_tools_are_called_when_asked_for(
    server: Server, text: str, fields: dict[str, Any], called: list[str]
) -> None:
    answer = server.chat(text, tools=[TOOL, OTHER], **fields)
    assert [name for name, _ in arguments(answer)] == called


TREE = {
    "type": "object",
    "properties": {
        "kind": {"const": "tree"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2},
        "left": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/leaf"}]},
        "size": {"type": "number", "exclusiveMinimum": 5, "multipleOf": 2.5},
        "few": {"type": "number", "maximum": 2, "multipleOf": 2.5},
        "low": {"type": "integer", "maximum": -4},
        "both": {"allOf": [{"$ref": "#/$defs/leaf"}, {"required": ["x"]}]},
    },
    "required": ["kind", "at", "tags", "left", "size", "few", "low", "both"],
    "$defs": {
        "leaf": {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}, "x": {"type": ["null", "integer"]}},
            "required": ["ok"],
        }
    },
}


@pytest.mark.parametrize("schema", [WEATHER, TREE])
def test_json_answers_follow_their_schema(server: Server, schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    jsonschema.validate(json.loads(server.chat(response_format=wanted).text), schema)
    streamed = server.chat(response_format=wanted, stream=True)
    jsonschema.validate(json.loads(streamed.text), schema)
    config = {"format": {"type": "json_schema", "schema": schema}}
    jsonschema.validate(json.loads(server.message(output_config=config).text), schema)


def test_hostile_schemas_end() -> None:
    wide: dict[str, Any] = {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}}
    assert isinstance(example(wide), list)
    assert example({"$ref": "#/nowhere"}) == {}
    assert example({"type": "string", "minLength": "x", "required": 3}) == "sandbox"


def test_seed_fixes_the_text(server: Server) -> None:
    again = {server.chat(seed=5).text for _ in range(3)}
    assert len(again) == 1
    assert len({server.chat(seed=seed).text for seed in range(8)}) > 1


def test_stop_and_limits(server: Server) -> None:
    assert "sandbox" not in server.chat(stop=["sandbox"]).text
    short = server.chat(max_completion_tokens=3).json
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 3
    assert server.chat(sandbox={"tokens": 321}).json["usage"]["completion_tokens"] == 321


def test_reasoning_is_counted(server: Server) -> None:
    usage = server.chat(model="sandbox-reasoning", reasoning_effort="high").json["usage"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning < usage["completion_tokens"]


def test_pictures_go_to_models_that_see(server: Server) -> None:
    messages = user([{"type": "text", "text": "What is it?"}, PIXEL])
    assert "What is it?" in server.chat(model="sandbox-vision", messages=messages).text
    refused = server.chat(messages=messages)
    assert refused.status == 400
    assert refused.json["error"]["param"] == "messages[0].content[1]"


def test_a_repeated_long_prompt_is_cached(server: Server) -> None:
    def cached(text: str) -> int:
        return server.chat(text).json["usage"]["prompt_tokens_details"]["cached_tokens"]

    assert [cached(LONG), cached(LONG) >= 1024, cached("Hi"), cached("Hi")] == [0, True, 0, 0]
    block = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    first, second = (server.message(system=[block]).json["usage"] for _ in range(2))
    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] >= 1024
    assert first["input_tokens"] == second["input_tokens"] > 0
    assert server.message(LONG).json["usage"]["cache_read_input_tokens"] == 0


def test_embeddings_are_unit_vectors_of_their_text(ai: openai.OpenAI, server: Server) -> None:
    texts = ["a cat sat on the mat", "the cat sat on a mat", "stock exchange rates"]
    found = ai.embeddings.create(model="sandbox-embed", input=texts)  # base64 on the wire
    cat, mat, money = (one.embedding for one in found.data)
    assert math.isclose(sum(x * x for x in cat), 1, rel_tol=1e-5)
    assert len(cat) == 1536

    def near(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert near(cat, mat) > 0.8 > 0.3 > near(cat, money)
    body = {"model": "sandbox-embed", "input": texts[0], "dimensions": 8}
    (plain,) = server.post(EMBEDDINGS, body).json["data"]
    coded = server.post(EMBEDDINGS, {**body, "encoding_format": "base64"}).json["data"][0]
    assert struct.unpack("<8f", base64.b64decode(coded["embedding"])) == pytest.approx(
        plain["embedding"]
    )
    tokens = server.post(EMBEDDINGS, {**body, "input": [[1, 2, 3], [4]]}).json
    assert (len(tokens["data"]), tokens["usage"]["prompt_tokens"]) == (2, 4)


def test_openais_client_lists_the_models(ai: openai.OpenAI) -> None:
    listed = {model.id for model in ai.models.list()}
    assert listed == {model.name for model in MODELS if model.wire == "openai"}
    assert ai.models.retrieve("sandbox-smart").id == "sandbox-smart"
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("gpt-9")


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS, MESSAGES, "/v1/models"])
def test_a_missing_key_is_refused(server: Server, path: str) -> None:
    method = "GET" if path == "/v1/models" else "POST"
    answer = server.call(method, path, None if method == "GET" else {})
    assert answer.status == 401
    if path == MESSAGES:
        assert answer.json["error"]["type"] == "authentication_error"
        assert "x-api-key" in answer.json["error"]["message"]
        assert answer.json["request_id"] == answer.headers["request-id"]
    else:
        assert answer.json["error"]["code"] == "invalid_api_key"
    assert server.calls() == []


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        (CHAT, b"{", 400, None),
        (CHAT, {"model": "sandbox-fast"}, 400, "messages"),
        (CHAT, {"model": "gpt-9", "messages": user("x")}, 404, "model"),
        (CHAT, {"model": "sandbox-claude", "messages": user("x")}, 404, "model"),
        (CHAT, {"model": "sandbox-fast", "messages": user("x"), "n": 9}, 400, "n"),
        (CHAT, {"model": "sandbox-fast", "messages": user("x") * 2001}, 400, "messages"),
        (CHAT, {"model": "sandbox-fast", "messages": [{"role": "x"}]}, 400, "messages[0].role"),
        (CHAT, {"model": "sandbox-fast", "messages": user("x"), "stop": 5}, 400, "stop"),
        (CHAT, {"model": "sandbox-fast", "messages": user("x"), "max_tokens": 10**6}, 400, MAX),
        (CHAT, {"model": "sandbox-fast", "messages": user("a " * 130_000)}, 400, "messages"),
        (EMBEDDINGS, {"model": "sandbox-embed", "input": []}, 400, "input"),
        (EMBEDDINGS, {"model": "sandbox-embed", "input": "x", "dimensions": 0}, 400, "dimensions"),
        (MESSAGES, {"model": "sandbox-claude", "messages": user("x")}, 400, None),
        (CHAT, b" " * (10 * 1024 * 1024 + 1), 413, None),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(
    server: Server, path: str, body: Any, status: int, param: str | None
) -> None:
    answer = server.post(path, body)
    assert answer.status == status
    assert answer.json["error"]["message"]
    assert answer.json["error"].get("param") == param
    assert server.calls() == []


def test_paths_and_methods(server: Server) -> None:
    assert server.call("GET", "/nowhere").status == 404
    assert server.call("GET", CHAT).status == 405
    assert server.call("GET", "/health").json == {"status": "ok"}
    told = server.call("GET", "/sandbox").json
    assert {model["model"] for model in told["models"]} == {model.name for model in MODELS}
    assert all(server.call("GET", link, authorization="Bearer x").status == 200
               for link in told["links"])  # fmt: skip
