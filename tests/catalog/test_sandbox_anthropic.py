"""The sandbox's Messages endpoint, seen by Anthropic's own client and its recorded streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema
import pytest
from pydantic import TypeAdapter

from catalog.sandbox.models import MODELS

from . import sandbox_process
from .sandbox_process import AT_ONCE, MESSAGES, PROTOCOL, WEATHER, Answer, Server, user

shared = sandbox_process.shared
server = sandbox_process.server


@pytest.fixture
def claude(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=server.url, api_key="x", max_retries=0, default_headers=AT_ONCE
    ) as client:
        yield client


def test_anthropics_client_lists_the_models(claude: anthropic.Anthropic) -> None:
    listed = {model.id for model in claude.models.list()}
    assert listed == {model.name for model in MODELS if model.wire == "anthropic"}
    assert claude.models.retrieve("sandbox-claude").display_name == "Sandbox Claude"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("sandbox-fast")


def test_messages_are_as_anthropics_client_types_them(server: Server) -> None:
    """The client itself does not check what it reads; its types can."""
    event = TypeAdapter(anthropic.types.RawMessageStreamEvent)
    for tools in ([], [{"name": "get_weather", "input_schema": WEATHER}]):
        plain = server.message("get_weather", tools=tools)
        anthropic.types.Message.model_validate_json(plain.body)
        for one in server.message("get_weather", tools=tools, stream=True).events:
            if one["type"] != "ping":
                event.validate_python(one)


@pytest.mark.parametrize("key", [{"x_api_key": "k"}, {"authorization": "Bearer k"}])
def test_anthropics_key_comes_either_way(server: Server, key: dict[str, str]) -> None:
    body = {"model": "sandbox-claude-mini", "max_tokens": 1, "messages": user("Hi")}
    assert server.call("POST", MESSAGES, body, **key).status == 200


def test_anthropics_client_talks(claude: anthropic.Anthropic) -> None:
    about: dict[str, Any] = {
        "model": "sandbox-claude-mini",
        "max_tokens": 300,
        "messages": user("Why blue?"),
        "extra_body": {"temperature": 0},
    }
    plain = claude.messages.create(**about)
    assert (plain.stop_reason, plain.usage.input_tokens > 0) == ("end_turn", True)
    assert "sandbox" in plain.content[0].text
    with claude.messages.stream(**about) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == plain.content[0].text
    assert final.usage.output_tokens == plain.usage.output_tokens
    cut = claude.messages.create(**{**about, "max_tokens": 2})
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)
    stopped = claude.messages.create(**about, stop_sequences=["blue"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "blue")


def test_anthropics_client_runs_a_tool(claude: anthropic.Anthropic) -> None:
    about: dict[str, Any] = {
        "model": "sandbox-claude",
        "max_tokens": 300,
        "tools": [{"name": "get_weather", "input_schema": WEATHER}],
    }
    messages = user("get_weather please")
    with claude.messages.stream(**about, messages=messages) as stream:
        asked = stream.get_final_message()
    assert asked.stop_reason == "tool_use"
    jsonschema.validate(asked.content[0].input, WEATHER)
    forced = claude.messages.create(**about, messages=user("Hi"), tool_choice={"type": "any"})
    assert forced.content[0].input == asked.content[0].input
    result = {"type": "tool_result", "tool_use_id": asked.content[0].id, "content": "11 degrees"}
    messages += [{"role": "assistant", "content": asked.to_dict()["content"]}, *user([result])]
    told = claude.messages.create(**about, messages=messages)
    assert "11 degrees" in told.content[0].text


@pytest.mark.parametrize("name", ["basic_response.txt", "tool_use_response.txt"])
def test_anthropic_events_have_the_recorded_shape(server: Server, name: str) -> None:
    path = PROTOCOL / "anthropic_streams" / name
    if not path.exists():
        pytest.skip(f"shared/data/protocol/anthropic_streams/{name} is not here")
    tools = [{"name": "get_weather", "input_schema": WEATHER}] if "tool" in name else []
    mine = shapes(server.message("get_weather", tools=tools, stream=True).events)
    # The recorded tool call follows a block of text; ours comes alone.
    block = 1 if tools else 0
    events = Answer(200, {}, path.read_bytes(), False).events
    theirs = shapes([event for event in events if event.get("index", block) == block])
    assert list(mine) == list(theirs)
    assert all(keys <= mine[kind] for kind, keys in theirs.items())


def shapes(events: list[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """The keys of each kind of event, in the order of their first coming; pings come anywhere."""
    found: dict[tuple[str, str], set[str]] = {}
    for event in events:
        inner = event.get("message") or event.get("delta") or event.get("content_block") or {}
        if event["type"] != "ping":
            keys = {*event, *inner, *inner.get("usage", ()), *event.get("usage", ())}
            found.setdefault((event["type"], inner.get("type", "")), keys - {"caller"})
    return found
