"""The openai package, unchanged but for address and key, over an upstream of another hand."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.e2e import upstreams
from tests.e2e.asking import CHUNK, CLAUDE, COMPLETION, MOCKED, TOOL, data_of, says, sync
from tests.e2e.conftest import Caller, Gateway
from tests.openai_shape import conforms

pytestmark = pytest.mark.e2e


@pytest.mark.usefixtures("aimock")
class TestOpenaiSync:
    """The openai package, synchronous, over aimock."""

    def test_a_completion_arrives_with_its_usage_and_its_row(self, caller: Caller) -> None:
        with sync(caller) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=MOCKED, messages=says("Tell me about rivers.")
            )
        got = raw.parse()
        assert got.choices[0].message.content == upstreams.SAYS
        assert got.choices[0].finish_reason == "stop"
        assert got.usage is not None
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (21, 17)
        row = caller.row()
        assert raw.headers["x-router-call-id"] == row["id"]
        assert raw.headers["x-router-provider"] == row["provider"] == "aimock"
        assert raw.headers["x-router-model"] == row["model_used"] == MOCKED
        assert raw.headers["x-router-attempts"] == "1"
        assert float(raw.headers["x-router-overhead-ms"]) >= 0
        assert (row["input_tokens"], row["output_tokens"]) == (21, 17)
        assert (row["status"], row["success"], row["stream"]) == (200, True, False)
        assert row["task_type"] == "chat"

    def test_the_body_is_as_openai_describes_it(self, caller: Caller) -> None:
        with sync(caller) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=MOCKED, messages=says("Tell me about rivers.")
            )
        conforms(json.loads(raw.text), COMPLETION)

    def test_a_stream_arrives_whole_and_in_order(self, caller: Caller) -> None:
        with sync(caller) as client:
            stream = client.chat.completions.create(
                model=MOCKED,
                messages=says("Tell me about rivers."),
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == upstreams.SAYS
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 17
        row = caller.row()
        assert row["stream"]
        assert row["output_tokens"] == 17
        assert row["first_token_ms"] is not None

    def test_usage_is_not_streamed_to_who_did_not_ask(self, caller: Caller) -> None:
        """The gateway asks for it in any case, for the ledger."""
        with sync(caller) as client:
            stream = client.chat.completions.create(
                model=MOCKED, messages=says("Tell me about rivers."), stream=True
            )
            chunks = list(stream)
        assert all(chunk.usage is None for chunk in chunks)
        assert all(chunk.choices for chunk in chunks)
        assert caller.row()["output_tokens"] == 17

    def test_every_chunk_is_as_openai_describes_it(self, caller: Caller) -> None:
        with (
            sync(caller) as client,
            client.chat.completions.with_streaming_response.create(
                model=MOCKED, messages=says("Tell me about rivers."), stream=True
            ) as raw,
        ):
            assert raw.headers["content-type"].startswith("text/event-stream")
            assert raw.headers["x-router-call-id"]
            data = data_of(list(raw.iter_lines()))
        assert data[-1] == "[DONE]"
        for chunk in data[:-1]:
            conforms(json.loads(chunk), CHUNK)

    def test_a_tool_is_called_and_its_result_answered(self, caller: Caller) -> None:
        messages = says("How is the weather in Oslo?")
        with sync(caller) as client:
            first = client.chat.completions.create(model=MOCKED, messages=messages, tools=[TOOL])
            message = first.choices[0].message
            assert first.choices[0].finish_reason == "tool_calls"
            assert message.tool_calls is not None
            call = message.tool_calls[0]
            assert call.type == "function"
            assert call.function.name == "get_weather"
            assert json.loads(call.function.arguments) == upstreams.WEATHER
            result = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 4}'}
            second = client.chat.completions.create(
                model=MOCKED,
                messages=[*messages, message.model_dump(exclude_none=True), result],
                tools=[TOOL],
            )
        assert second.choices[0].message.content == "It is 4 degrees in Oslo."
        assert [row["success"] for row in caller.rows(2)] == [True, True]

    def test_a_tool_call_is_streamed_in_pieces_that_make_json(self, caller: Caller) -> None:
        with sync(caller) as client:
            stream = client.chat.completions.create(
                model=MOCKED,
                messages=says("How is the weather in Oslo?"),
                tools=[TOOL],
                stream=True,
            )
            deltas = [c.choices[0].delta for c in stream if c.choices]
        pieces = [call for delta in deltas for call in delta.tool_calls or []]
        assert pieces[0].function is not None
        assert pieces[0].function.name == "get_weather"
        arguments = "".join((p.function.arguments or "") for p in pieces if p.function)
        assert json.loads(arguments) == upstreams.WEATHER

    def test_embeddings_keep_their_numbers(self, caller: Caller) -> None:
        """The client asks for base64 unless told otherwise, and decodes it."""
        with sync(caller) as client:
            raw = client.embeddings.with_raw_response.create(
                model="text-embedding-3-small", input="two rivers", encoding_format="float"
            )
            packed = client.embeddings.create(model="text-embedding-3-small", input="two rivers")
        assert raw.parse().data[0].embedding == upstreams.VECTOR
        assert packed.data[0].embedding == upstreams.VECTOR
        conforms(json.loads(raw.text), "CreateEmbeddingResponse")
        assert [row["task_type"] for row in caller.rows(2)] == ["embeddings", "embeddings"]

    def test_models_are_listed(self, caller: Caller) -> None:
        with sync(caller) as client:
            raw = client.models.with_raw_response.list()
            one = client.models.retrieve(MOCKED)
        assert {MOCKED, CLAUDE, "text-embedding-3-small"} <= {m.id for m in raw.parse().data}
        assert one.id == MOCKED
        conforms(json.loads(raw.text), "ListModelsResponse")

    def test_unknown_fields_reach_the_provider(self, caller: Caller, aimock: str) -> None:
        with sync(caller) as client:
            client.chat.completions.create(
                model=MOCKED,
                messages=says("Tell me about rivers."),
                extra_body={"seed": 11, "some_new_field": {"deep": [1, 2]}},
            )
        body = upstreams.asked_of_aimock(aimock)[-1]["body"]
        assert body["seed"] == 11
        assert body["some_new_field"] == {"deep": [1, 2]}


@pytest.mark.usefixtures("aimock")
class TestErrors:
    """Each refusal raises the class that the client's users catch, and is tried as often."""

    def test_an_unknown_model_is_not_found_at_once(self, caller: Caller) -> None:
        with sync(caller) as client, pytest.raises(openai.NotFoundError) as raised:
            client.chat.completions.create(model="gpt-99", messages=says("Hello"))
        assert raised.value.code == "model_not_found"
        assert raised.value.param == "model"
        row = caller.row()
        assert (row["status"], row["attempts"]) == (404, 0)

    def test_a_wrong_key_is_an_authentication_error_at_once(self, gateway: Gateway) -> None:
        sent: list[Any] = []
        http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
        client = openai.OpenAI(
            base_url=gateway.base_url, api_key="er_live_" + "0" * 40, http_client=http
        )
        with client, pytest.raises(openai.AuthenticationError) as raised:
            client.chat.completions.create(model=MOCKED, messages=says("Hello"))
        assert raised.value.status_code == 401
        assert len(sent) == 1

    def test_a_body_without_messages_is_a_bad_request_at_once(self, caller: Caller) -> None:
        nothing: Any = []
        with sync(caller) as client, pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model=MOCKED, messages=nothing)
        assert raised.value.param == "messages"
        assert caller.row()["attempts"] == 0

    def test_a_providers_bad_request_keeps_its_words(self, caller: Caller) -> None:
        with sync(caller) as client, pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model=MOCKED, messages=says("A bad argument."))
        assert "temperature is out of range." in raised.value.message
        assert raised.value.code == "invalid_value"
        row = caller.row()
        assert (row["status"], row["success"], row["attempts"]) == (400, False, 1)

    def test_a_providers_bad_request_names_the_parameter(self, caller: Caller) -> None:
        with sync(caller) as client, pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model=MOCKED, messages=says("A bad argument."))
        assert raised.value.param == "temperature"

    def test_a_rate_limit_is_tried_three_times_by_default(self, caller: Caller) -> None:
        with sync(caller) as client, pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model=MOCKED, messages=says("This is too many."))
        assert raised.value.status_code == 429
        rows = caller.rows(3)
        assert [row["status"] for row in rows] == [429, 429, 429]

    def test_every_error_is_as_openai_describes_it(self, caller: Caller) -> None:
        for model, text in (("gpt-99", "Hello"), (MOCKED, "A bad argument.")):
            with (
                sync(caller, max_retries=0) as client,
                pytest.raises(openai.APIStatusError) as raised,
            ):
                client.chat.completions.create(model=model, messages=says(text))
            conforms(json.loads(raised.value.response.text), "ErrorResponse")
