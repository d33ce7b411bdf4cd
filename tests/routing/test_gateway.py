"""Calls through the whole gateway to a real provider process: answers, headers and errors."""

from __future__ import annotations

import re
from typing import Any

import pytest

from routing.journal import JournalFull
from tenancy.core import Scope
from tests.catalog.sandbox_process import WEATHER
from tests.routing.gateway_house import (
    BODY_BYTES_MAX,
    CHAT,
    COST_FIRST,
    EMBEDDINGS,
    Answer,
    Firm,
    House,
    ask,
    firm,
    house,
    in_database,
    sandbox,
)

__all__ = ["firm", "house", "sandbox"]
TOLD = ("call-id", "attempts", "overhead-ms", "cost", "provider", "model")


def told(answer: Answer) -> dict[str, str]:
    """The router's own headers without their prefix."""
    return {
        name.removeprefix("x-router-"): value
        for name, value in answer.headers.items()
        if name.startswith("x-router-")
    }


async def test_a_plain_chat(house: House) -> None:
    answer = await house.chat(max_tokens=50)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json
    assert body["object"] == "chat.completion"
    assert body["model"] == "sandbox-fast"
    assert body["choices"][0]["message"]["content"]
    headers = told(answer)
    assert set(headers) == set(TOLD)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}", headers["call-id"])
    assert (headers["provider"], headers["model"], headers["attempts"]) == (
        "sandbox",
        "sandbox-fast",
        "1",
    )
    usage = body["usage"]
    nano = usage["prompt_tokens"] * 100 + usage["completion_tokens"] * 400
    assert float(headers["cost"]) == pytest.approx(nano / 1e9, abs=1e-9)
    assert float(headers["overhead-ms"]) > 0
    row = house.last
    assert row["id"].replace("-", "") == headers["call-id"].replace("-", "")
    assert (row["status"], row["success"], row["cost_nano"]) == (200, True, nano)
    assert (row["cost_estimated"], row["fallback_used"], row["attempts"]) == (False, False, 1)
    assert row["input_tokens"] == usage["prompt_tokens"]
    assert row["api_key_id"] == house.firm.key.key.id.hex
    (call,) = await house.upstream_calls()
    assert (call["model"], call["finished"]) == ("sandbox-fast", True)
    assert call["request_id"] == headers["call-id"]


async def test_a_streamed_chat(house: House) -> None:
    answer = await house.chat(stream=True, max_tokens=30, sandbox={"tokens": 20})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers
    assert answer.text
    # Nothing of the beginning is lost, and nothing of the end said twice.
    assert answer.events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert answer.data[-1] == "[DONE]"
    assert answer.data.count("[DONE]") == 1
    assert {event["model"] for event in answer.events} == {"sandbox-fast"}
    assert not any(event.get("usage") for event in answer.events)  # not asked for
    headers = told(answer)
    assert set(headers) == {*TOLD, "cost-estimated"}
    row = house.last
    assert (row["status"], row["stream"], row["output_tokens"]) == (200, True, 20)
    assert row["first_token_ms"] is not None
    cost = re.search(rb"^: x-router-cost ([0-9.]+)$", answer.body, re.MULTILINE)
    assert cost is not None
    assert float(cost[1]) == pytest.approx(row["cost_nano"] / 1e9)


async def test_a_stream_tells_its_usage_when_asked(house: House) -> None:
    answer = await house.chat(stream=True, stream_options={"include_usage": True})
    usage = answer.events[-1]["usage"]
    row = house.last
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
        row["input_tokens"],
        row["output_tokens"],
    )
    assert row["cost_estimated"] is False


async def test_embeddings(house: House) -> None:
    answer = await house.post({"model": "sandbox-embed", "input": ["a", "b"]}, EMBEDDINGS)
    assert answer.status == 200
    assert [one["index"] for one in answer.json["data"]] == [0, 1]
    assert set(told(answer)) == set(TOLD)
    assert house.last["task_type"] == "embeddings"
    assert house.last["output_tokens"] == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_of_another_wire(house: House, stream: bool) -> None:
    answer = await house.chat("sandbox-claude", stream=stream, max_tokens=40)
    assert answer.status == 200
    if stream:
        assert answer.data[-1] == "[DONE]"
        assert answer.text
    else:
        assert answer.json["object"] == "chat.completion"
        assert answer.json["choices"][0]["message"]["content"]
    assert told(answer)["provider"] == "sandbox-claude"
    assert house.last["cost_nano"] > 0


@pytest.mark.parametrize("model", ["sandbox-fast", "sandbox-claude"])
async def test_tools(house: House, model: str) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    answer = await house.chat(model, tools=[tool], tool_choice="required", max_tokens=200)
    assert answer.status == 200
    (called,) = answer.json["choices"][0]["message"]["tool_calls"]
    assert called["function"]["name"] == "weather"
    assert answer.json["choices"][0]["finish_reason"] == "tool_calls"


async def test_metadata_and_preferences_of_a_call_are_written_down(house: House) -> None:
    answer = await house.chat(
        "trio", headers={**COST_FIRST, "x-router-metadata": '{"team":"legal"}'}
    )
    assert told(answer)["provider"] == "one"
    row = house.last
    assert (row["metadata"], row["priority"]) == ({"team": "legal"}, "cost")
    assert [c["provider"] for c in row["decision"]["candidates"]] == ["one", "two", "three"]


async def test_a_call_may_be_pinned_to_a_provider(house: House) -> None:
    assert told(await house.chat("three/trio"))["provider"] == "three"
    narrowed = await house.chat("trio", headers={"x-router-providers": "two"})
    assert told(narrowed)["provider"] == "two"


LONG = {"model": "sandbox-fast", "messages": [{"role": "user", "content": "x" * 150_000 * 4}]}
HELLO = {"model": "sandbox-fast", "messages": [{"role": "user", "content": "Hello"}]}
# body, headers, status, code, param
ERRORS: dict[str, tuple[Any, dict[str, str], int, str, str | None]] = {
    "no JSON": (b"{nope", {}, 400, "invalid_json", None),
    "no object": (b"[]", {}, 400, "", None),
    "no messages": ({"model": "sandbox-fast"}, {}, 400, "", "messages"),
    "no model": ({"messages": HELLO["messages"]}, {}, 400, "", "model"),
    "too large": (LONG, {}, 413, "body_too_large", None),
    "unknown model": (HELLO | {"model": "nope"}, {}, 404, "model_not_found", "model"),
    "wrong endpoint": (HELLO | {"model": "sandbox-embed"}, {}, 400, "wrong_endpoint", "model"),
    "no price": (
        HELLO | {"model": "unpriced"},
        {"x-router-max-cost": "1"},
        400,
        "model_not_priced",
        "model",
    ),
    "over the maximum cost": (
        HELLO,
        {"x-router-max-cost": "0.000001"},
        400,
        "max_cost_exceeded",
        "max_tokens",
    ),
    "unknown header": (HELLO, {"x-router-cost": "1"}, 400, "unknown_header", "x-router-cost"),
    "bad header": (HELLO, {"x-router-priority": "x"}, 400, "invalid_header", "x-router-priority"),
    "provider not allowed": (
        HELLO,
        {"x-router-providers": "openai"},
        403,
        "provider_not_allowed",
        None,
    ),
    "compressed": (HELLO, {"content-encoding": "gzip"}, 415, "unsupported_encoding", None),
    "no key": (HELLO, {"authorization": ""}, 401, "missing_api_key", None),
    "a wrong checksum": (
        HELLO,
        {"authorization": "Bearer er_live_" + "0" * 49},
        401,
        "invalid_api_key",
        None,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_has_its_own_code_and_calls_nobody(house: House, name: str) -> None:
    body, headers, status, code, param = ERRORS[name]
    answer = await house.post(body, headers=headers)
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith((".", ".)"))
    if code:
        assert error["code"] == code
    assert error["param"] == param
    assert await house.upstream_calls() == []
    assert house.written("a") == []
    rows = house.written()
    assert [row["status"] for row in rows] == ([status] if status not in (401, 413, 415) else [])
    assert ("x-router-call-id" in answer.headers) is bool(rows)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (HELLO | {"max_tokens": -5}, "sandbox-fast"),
        (HELLO | {"messages": []}, "sandbox-fast"),
        (HELLO | {"model": "x" * 300}, "x" * 256),
        (HELLO | {"model": 5}, ""),
        (b'{"model": "auto"', ""),
    ],
)
async def test_a_request_that_cannot_be_read_still_names_its_model(
    house: House, body: Any, asked: str
) -> None:
    assert (await house.post(body)).status == 400
    assert house.last["model_requested"] == asked


async def test_the_maximum_cost_refuses_before_the_call_and_says_the_figures(house: House) -> None:
    refused = await house.chat(max_tokens=1000, headers={"x-router-max-cost": "0.000399"})
    assert refused.code == "max_cost_exceeded"
    assert "at most $0.000399" in refused.json["error"]["message"]
    assert await house.upstream_calls() == []
    # 1,000 tokens at $0.40 per million, and a handful of input.
    assert (
        await house.chat(max_tokens=1000, headers={"x-router-max-cost": "0.00041"})
    ).status == 200


async def test_a_body_in_parts_is_held_to_the_same_limit(house: House) -> None:
    part = b"x" * 50_000
    door = house.runtime.door
    for parts in ([part] * 5, [b"x" * (BODY_BYTES_MAX + 1)]):
        answer = await ask(door, "POST", CHAT, headers=house.firm.auth, parts=parts)
        assert (answer.status, answer.code) == (413, "body_too_large")
    raw = b'{"model":"sandbox-fast","messages":[{"role":"user","content":"Hello"}]}'
    whole = await ask(
        door, "POST", CHAT, headers=house.firm.auth, parts=[raw[:9], raw[9:40], raw[40:]]
    )
    assert whole.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", CHAT, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/completions", 404, "unknown_url"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
    ],
)
async def test_other_addresses(
    house: House, method: str, path: str, status: int, code: str
) -> None:
    answer = await ask(house.runtime.door, method, path, None, house.firm.auth)
    assert (answer.status, answer.code) == (status, code)


async def test_models_are_listed(house: House) -> None:
    answer = await ask(house.runtime.door, "GET", "/v1/models", None, house.firm.auth)
    names = [model["id"] for model in answer.json["data"]]
    assert {"auto", "trio", "one/trio", "sandbox-fast", "sandbox-embed"} <= set(names)
    one = await ask(house.runtime.door, "GET", "/v1/models/one/trio", None, house.firm.auth)
    assert (one.status, one.json["id"], one.json["owned_by"]) == (200, "one/trio", "one")


async def test_a_key_of_another_scope_calls_nobody(house: House) -> None:
    other = await in_database(house.firm.new_key, scopes=(Scope.ADMIN,))
    answer = await house.chat(headers={"authorization": f"Bearer {other.secret}"})
    assert (answer.status, answer.code) == (403, "scope_missing")
    assert await house.upstream_calls() == []


async def test_a_full_journal_stops_calls_before_they_are_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(payload: bytes) -> None:
        raise JournalFull("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(house.runtime.journal, "append", full)
        for stream in (False, True):
            answer = await house.chat(stream=stream)
            assert (answer.status, answer.code) == (503, "accounting_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert await house.upstream_calls() == []
    assert (await house.chat()).status == 200


async def test_a_bug_is_told_with_the_calls_id_and_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("routing.gateway.decide", broken)
        answer = await house.chat()
    assert (answer.status, answer.code) == (500, "internal_error")
    assert told(answer)["call-id"] in answer.json["error"]["message"]
    assert house.last["error_code"] == "internal_error"


async def test_every_admission_has_its_outcome(house: House, firm: Firm) -> None:
    await house.chat()
    await house.chat(stream=True)
    await house.chat("nope")
    await house.fault("sandbox-smart", status=503)
    await house.chat("sandbox-smart")
    admitted = [r["id"] for r in house.written("a")]
    ended = [r["id"] for r in house.written()]
    assert len(admitted) == 3
    assert len(set(ended)) == 4
    assert set(admitted) < set(ended)
    assert {r["organization_id"] for r in house.written()} == {firm.organization.id.hex}
