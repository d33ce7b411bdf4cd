"""OpenAI chat requests as Anthropic Messages requests."""

import base64
import json

import pytest

from lib.errors import RouterError
from routing.wire import WIRES
from routing.wire.request import parse_chat, parse_embeddings

WIRE = WIRES["anthropic"]
HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA},
}


def request_of(messages=HELLO, **fields):
    return parse_chat(json.dumps({"model": "auto", "messages": messages, **fields}).encode())


def body_of(messages=HELLO, *, model="claude-sonnet-4-5", output=64_000, **fields):
    request = request_of(messages, **fields)
    return json.loads(WIRE.encode(request, model=model, max_output_tokens=output))


def text(words):
    return [{"type": "text", "text": words}]


def test_the_smallest_request():
    assert body_of() == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": text("Hello")}],
    }


@pytest.mark.parametrize(
    ("fields", "output", "limit"),
    [
        ({}, None, 4096),
        ({}, 8192, 8192),
        ({"max_tokens": 100}, 8192, 100),
        ({"max_completion_tokens": 100_000}, 8192, 8192),
        ({"max_tokens": 100_000}, None, 100_000),
    ],
)
def test_max_tokens_is_always_there(fields, output, limit):
    assert body_of(output=output, **fields)["max_tokens"] == limit


def test_roles():
    call = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1.10}'}}
    body = body_of(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "No jokes."}]},
            {"role": "user", "content": "Add."},
            {"role": "user", "content": "Now."},
            {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "t2"}]},
            {"role": "tool", "tool_call_id": "t1", "content": "2"},
            {"role": "tool", "tool_call_id": "t2", "content": text("3")},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ]
    )
    assert body["system"] == text("Be brief.") + text("No jokes.")
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "assistant"]
    assert body["messages"][0]["content"] == text("Add.") + text("Now.")
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1.10}},
        {"type": "tool_use", "id": "t2", "name": "add", "input": {"a": 1.10}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "2"},
        {"type": "tool_result", "tool_use_id": "t2", "content": text("3")},
        *text("And?"),
    ]
    assert body["messages"][3]["content"] == text("No.")


def test_a_system_message_alone_is_what_is_asked():
    body = body_of([{"role": "system", "content": "Say hi."}])
    assert body["messages"] == [{"role": "user", "content": text("Say hi.")}]
    assert "system" not in body


def test_empty_texts_are_left_out():
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}
    body = body_of([*HELLO, {"role": "assistant", "content": "", "tool_calls": [call]}])
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    ]


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", "3", '{"a":1} x', "[" * 5000])
def test_arguments_that_are_no_object_are_kept_under_a_name(arguments):
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments}}
    body = body_of([*HELLO, {"role": "assistant", "tool_calls": [call]}])
    assert body["messages"][1]["content"][0]["input"] == {"arguments": arguments}


def test_numbers_in_arguments_and_schemas_are_not_rounded():
    call = {"id": "t", "function": {"name": "f", "arguments": '{"n":123456789012345678901}'}}
    schema = '{"type":"object","properties":{"x":{"maximum":1.10e400}}}'
    tool = {"type": "function", "function": {"name": "f", "parameters": "SCHEMA"}}
    messages = [*HELLO, {"role": "assistant", "tool_calls": [call]}]
    raw = json.dumps({"model": "m", "messages": messages, "tools": [tool]})
    request = parse_chat(raw.replace('"SCHEMA"', schema).encode())
    out = WIRE.encode(request, model="claude", max_output_tokens=None)
    assert b'{"n":123456789012345678901}' in out
    assert schema.encode() in out


def data_url(media_type, content=b"abc"):
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def test_images_and_files():
    parts = [
        {"type": "image_url", "image_url": {"url": data_url("image/png")}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf")}},
        {"type": "file", "file": {"file_data": data_url("text/plain", "wörd".encode())}},
    ]
    content = body_of([{"role": "user", "content": parts}])["messages"][0]["content"]
    assert [b["source"] for b in content] == [
        {"type": "base64", "media_type": "image/png", "data": "YWJj"},
        {"type": "url", "url": "https://example.org/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "YWJj"},
        {"type": "text", "media_type": "text/plain", "data": "wörd"},
    ]
    assert [b["type"] for b in content] == ["image", "image", "document", "document"]
    assert content[2]["title"] == "a.pdf"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png,abc"}},
        {"type": "image_url"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,?"}},
        {"type": "new_part"},
    ],
)
def test_parts_without_a_counterpart_are_refused_by_place(part):
    with pytest.raises(RouterError) as caught:
        body_of([{"role": "user", "content": [{"type": "text", "text": "x"}, part]}])
    assert caught.value.status == 400
    assert caught.value.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "function", "name": "f", "content": "x"}, "messages[1].role"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "user", "content": 3}, "messages[1].content"),
    ],
)
def test_messages_that_cannot_be_said(message, param):
    with pytest.raises(RouterError) as caught:
        body_of([*HELLO, message])
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("choice", "parallel", "said"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "function", "function": {"name": "add"}}, True, {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choice(choice, parallel, said):
    fields = {"tools": [TOOL]}
    fields |= {} if choice is None else {"tool_choice": choice}
    fields |= {} if parallel is None else {"parallel_tool_calls": parallel}
    body = body_of(**fields)
    assert body.get("tool_choice") == said
    assert body["tools"] == [{"name": "add", "description": "Adds.", "input_schema": SCHEMA}]


def test_a_choice_without_tools_says_nothing():
    assert "tool_choice" not in body_of(tool_choice="none", parallel_tool_calls=False)


def test_tools_without_parameters_and_strict_tools():
    strict = {"name": "g", "strict": True, "parameters": SCHEMA}
    functions = [{"name": "f"}, strict]
    tools = body_of(tools=[{"type": "function", "function": f} for f in functions])["tools"]
    assert tools[0] == {"name": "f", "input_schema": {"type": "object", "properties": {}}}
    assert tools[1]["strict"] is True
    assert tools[1]["input_schema"]["additionalProperties"] is False


def test_cache_marks_pass_through():
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = body_of(
        [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]},
            {"role": "user", "content": "u", "cache_control": mark},
        ],
        tools=[{**TOOL, "cache_control": mark}],
    )
    assert body["system"][0]["cache_control"] == mark
    assert body["messages"][0]["content"][0]["cache_control"] == mark
    assert body["tools"][0]["cache_control"] == mark


def test_small_fields():
    body = body_of(stream=True, stop="END", user="u-1", temperature=1.7, top_p=0.5)
    assert body["stream"] is True
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "u-1"}
    assert body["temperature"] == 1.0
    assert "top_p" not in body
    assert body_of(top_p=0.5)["top_p"] == 0.5
    assert body_of(safety_identifier="s", user="u")["metadata"] == {"user_id": "s"}


def test_models_that_take_no_temperature_get_none():
    assert "temperature" not in body_of(model="claude-opus-4-7", temperature=0.2, top_p=0.5)
    assert body_of(model="claude-opus-4-6", temperature=0.2)["temperature"] == 0.2
    assert body_of(model="some-other-model", temperature=0.2)["temperature"] == 0.2


@pytest.mark.parametrize(
    ("model", "effort", "limit", "thinking", "level"),
    [
        ("claude-sonnet-4-5-20250929", "low", 10_000, 2000, None),
        ("claude-3-7-sonnet-20250219", "high", 10_000, 8000, None),
        ("claude-sonnet-4-20250514", "minimal", 2000, 1024, None),
        ("claude-sonnet-4-5", "high", 1024, None, None),
        ("claude-sonnet-4-5", "none", 10_000, None, None),
        ("other-maker", "medium", 10_000, 5000, None),
        ("claude-opus-4-6", "minimal", 10_000, "adaptive", "low"),
        ("claude-opus-4-6", "xhigh", 10_000, "adaptive", "high"),
        ("claude-opus-4-8", "xhigh", 10_000, "adaptive", "xhigh"),
        ("claude-opus-5", "max", 10_000, "adaptive", "max"),
        ("anthropic.claude-fable-5", "medium", 10_000, "adaptive", "medium"),
        ("claude-mythos-preview", "high", 10_000, "adaptive", "high"),
        ("claude-opus-4-7", "none", 10_000, None, None),
    ],
)
def test_reasoning_effort(model, effort, limit, thinking, level):
    body = body_of(model=model, reasoning_effort=effort, max_tokens=limit, temperature=0.3)
    expected = None
    if thinking == "adaptive":
        expected = {"type": "adaptive"}
    elif thinking:
        expected = {"type": "enabled", "budget_tokens": thinking}
        assert "temperature" not in body
        assert thinking < body["max_tokens"]
    assert body.get("thinking") == expected
    assert body.get("output_config") == (None if level is None else {"effort": level})


def test_no_thinking_before_a_forced_tool_or_within_a_tool_loop():
    call = {"id": "t", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    loop = [
        *HELLO,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": "1"},
    ]
    assert "thinking" not in body_of(loop, tools=[TOOL], reasoning_effort="high")
    assert "thinking" in body_of(loop, tools=[TOOL], reasoning_effort="high", model="claude-opus-5")
    for model in ("claude-sonnet-4-5", "claude-opus-5"):
        forced = body_of(tools=[TOOL], tool_choice="required", reasoning_effort="high", model=model)
        assert "thinking" not in forced


def test_json_schema_becomes_a_closed_format():
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "description": "Years."},
            "kind": {"oneOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1},
            "format": {"type": "string", "format": "odd"},
        },
        "required": ["age"],
        "additionalProperties": True,
        "$defs": {"tag": {"type": "object", "properties": {"n": {"const": 1}}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "p", "schema": schema}}
    body = body_of(response_format=wanted, reasoning_effort="low", model="claude-opus-5")
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "Years.\n\n{minimum: 0}"},
                "kind": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1},
                "format": {"type": "string", "description": "{format: odd}"},
            },
            "required": ["age"],
            "additionalProperties": False,
            "$defs": {
                "tag": {
                    "type": "object",
                    "properties": {"n": {"const": 1}},
                    "additionalProperties": False,
                }
            },
        },
    }


def test_json_object_is_asked_for_in_words():
    body = body_of(response_format={"type": "json_object"})
    assert "JSON object" in body["system"][-1]["text"]
    assert "system" not in body_of(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ()),
        ({"n": 1, "logprobs": False, "modalities": ["text"]}, ()),
        ({"n": 2}, ("n",)),
        ({"logprobs": True, "top_logprobs": 2}, ("logprobs",)),
        ({"modalities": ["text", "audio"], "audio": {"voice": "v"}}, ("modalities",)),
        ({"functions": [{"name": "f"}]}, ("functions",)),
        ({"web_search_options": {}}, ("web_search_options",)),
        ({"stop": ["\n"]}, ("stop",)),
        ({"stop": "END"}, ()),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, ("tools",)),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, ("tool_choice",)),
        ({"tools": [TOOL], "tool_choice": "auto"}, ()),
        ({"seed": 1, "logit_bias": {"1": 2}, "presence_penalty": 1}, ()),
    ],
)
def test_unsupported_names_what_changes_the_answer(fields, names):
    assert WIRE.unsupported(request_of(**fields)) == names
    assert WIRES["openai"].unsupported(request_of(**fields)) == ()


def attempt(fields):
    request = request_of(**fields)
    WIRE.unsupported(request)
    WIRE.encode(request, model="claude")


@pytest.mark.parametrize(
    "fields",
    [{"tools": 3}, {"tools": "x"}, {"stop": 3}, {"tool_choice": 3}, {"temperature": "hot"}],
)
def test_wrong_types_are_refused_by_name(fields):
    with pytest.raises(RouterError) as caught:
        attempt(fields)
    assert caught.value.status == 400
    assert caught.value.param == next(iter(fields))


def test_embeddings_are_not_served():
    request = parse_embeddings(b'{"model":"e","input":"x"}')
    assert WIRE.unsupported(request) == ("input",)
    with pytest.raises(RouterError, match="embeddings"):
        WIRE.encode(request, model="claude")
