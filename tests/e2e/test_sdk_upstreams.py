"""The openai package over Anthropic's wire format and over llama.cpp's server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from tests.e2e import upstreams
from tests.e2e.asking import CHUNK, CLAUDE, COMPLETION, TOOL, data_of, says, sync
from tests.e2e.conftest import Caller
from tests.openai_shape import conforms

pytestmark = pytest.mark.e2e


@pytest.mark.usefixtures("aimock")
class TestClaudeThroughOpenai:
    """The same client over aimock's Anthropic endpoint: the gateway translates."""

    def test_a_completion_is_translated(self, caller: Caller) -> None:
        with sync(caller) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=CLAUDE, messages=says("Tell me about rivers."), max_tokens=100
            )
        got = raw.parse()
        assert got.choices[0].message.content == upstreams.SAYS
        assert got.choices[0].finish_reason == "stop"
        conforms(json.loads(raw.text), COMPLETION)
        row = caller.row()
        assert raw.headers["x-router-provider"] == row["provider"] == "aimock-claude"
        assert got.usage is not None
        assert row["output_tokens"] == got.usage.completion_tokens
        assert row["cost_nano"] > 0

    def test_a_stream_is_translated(self, caller: Caller) -> None:
        with (
            sync(caller) as client,
            client.chat.completions.with_streaming_response.create(
                model=CLAUDE, messages=says("Tell me about rivers."), stream=True
            ) as raw,
        ):
            data = data_of(list(raw.iter_lines()))
        chunks = [json.loads(chunk) for chunk in data[:-1]]
        assert data[-1] == "[DONE]"
        told = [c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]]
        assert "".join(told) == upstreams.SAYS
        for chunk in chunks:
            conforms(chunk, CHUNK)
        assert caller.row()["success"]

    def test_a_tool_call_is_translated(self, caller: Caller) -> None:
        with sync(caller) as client:
            got = client.chat.completions.create(
                model=CLAUDE, messages=says("How is the weather in Oslo?"), tools=[TOOL]
            )
        calls = got.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].type == "function"
        assert json.loads(calls[0].function.arguments) == upstreams.WEATHER
        assert got.choices[0].finish_reason == "tool_calls"


@pytest.mark.usefixtures("llama")
class TestLlama:
    """The same client over llama.cpp's server."""

    def test_a_completion_with_logprobs(self, caller: Caller) -> None:
        with sync(caller) as client:
            got = client.chat.completions.create(
                model="tiny",
                messages=says("Say hello"),
                max_tokens=8,
                logprobs=True,
                top_logprobs=2,
                temperature=0,
            )
        choice = got.choices[0]
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
        assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)
        assert got.usage is not None
        row = caller.row()
        assert (row["provider"], row["model_used"]) == ("llama", "tiny")
        assert row["input_tokens"] == got.usage.prompt_tokens
        assert row["output_tokens"] == got.usage.completion_tokens == 8

    def test_what_only_this_server_says_passes_through(self, caller: Caller) -> None:
        with sync(caller) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="tiny", messages=says("Say hello"), max_tokens=8
            )
        assert json.loads(raw.text)["timings"]["predicted_n"] == 8

    def test_a_stream_says_what_the_whole_answer_says(self, caller: Caller) -> None:
        asked: Any = {"model": "tiny", "messages": says("Say hello"), "max_tokens": 16}
        with sync(caller) as client:
            whole = client.chat.completions.create(**asked, temperature=0)
            chunks = list(client.chat.completions.create(**asked, temperature=0, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content
        assert {row["output_tokens"] for row in caller.rows(2)} == {16}
        for chunk in chunks:
            conforms(chunk.model_dump(exclude_unset=True), CHUNK)

    def test_json_schema_reaches_the_model(self, caller: Caller) -> None:
        class Place(BaseModel):
            city: str
            is_capital: bool

        with sync(caller) as client:
            got = client.chat.completions.parse(
                model="tiny",
                messages=says("Name a place."),
                response_format=Place,
                max_tokens=900,
                temperature=0,
                # Random weights would go on with a string for ever; the end of it must be likely.
                extra_body={"logit_bias": [['"', 8]]},
            )
        assert isinstance(got.choices[0].message.parsed, Place)

    def test_embeddings(self, caller: Caller) -> None:
        with sync(caller) as client:
            got = client.embeddings.create(
                model="tiny-embed", input=["one", "two"], encoding_format="float"
            )
        assert [item.index for item in got.data] == [0, 1]
        assert all(len(item.embedding) == 32 for item in got.data)
        row = caller.row()
        assert (row["task_type"], row["provider"]) == ("embeddings", "llama-embed")
        assert row["input_tokens"] == got.usage.prompt_tokens > 0
