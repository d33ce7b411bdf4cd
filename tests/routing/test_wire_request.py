"""Client bodies: what routing reads from them, what it refuses, and what it leaves alone."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import RouterError
from routing.wire import WIRES
from routing.wire.request import DEPTH_MAX, MESSAGES_MAX, parse_chat, parse_embeddings

HELLO = [{"role": "user", "content": "Hello"}]
PIXEL = "data:image/png;base64," + "iVBORw0K" * 500


def chat(**fields):
    return json.dumps({"model": "gpt-4o", "messages": HELLO, **fields}).encode()


def asks(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


def outcome(parse, raw):
    """The status of a refusal, 200 where there is none; any other error is the test's failure."""
    try:
        WIRES["openai"].encode(parse(raw), model="other")
    except RouterError as error:
        return error.status
    return 200


def refused(raw, parse=parse_chat):
    with pytest.raises(RouterError) as caught:
        parse(raw)
    assert caught.value.status == 400
    assert caught.value.type == "invalid_request_error"
    return caught.value


def test_reads_what_routing_needs():
    request = parse_chat(
        chat(
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=10,
            max_completion_tokens=20,
            n=2,
            user="u",
            metadata={"team": "a"},
        )
    )
    assert (request.model, request.stream, request.include_usage) == ("gpt-4o", True, True)
    assert (request.max_output_tokens, request.n, request.messages_count) == (20, 2, 1)
    assert (request.user, request.metadata) == ("u", {"team": "a"})
    assert request.needs == frozenset()


def test_nulls_are_as_good_as_absent():
    request = parse_chat(
        chat(stream=None, stream_options=None, max_tokens=None, n=None, tools=None, user=None)
    )
    assert (request.stream, request.include_usage, request.n) == (False, False, 1)
    assert request.max_output_tokens is None


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"reasoning_effort": "low"}, {"reasoning"}),
        ({"reasoning_effort": "none"}, set()),
        ({"modalities": ["text", "audio"]}, {"audio"}),
        (asks({"type": "input_audio", "input_audio": {"data": "AA"}}), {"audio"}),
        (asks({"type": "file", "file": {"file_data": PIXEL}}), {"vision"}),
        (asks({"type": "image_url", "image_url": {"url": "https://e.org/a"}}), {"vision"}),
        (asks({"type": "video_url", "video_url": {"url": "https://e.org/a"}}), {"vision"}),
        (asks({"type": "image_url"}) | {"reasoning_effort": "high"}, {"vision", "reasoning"}),
        (asks({"type": "text", "text": "image_url"}), set()),
        ({"messages": [{"role": "user", "content": 'Say "image_url" [twice]'}]}, set()),
    ],
)
def test_needs(fields, needs):
    assert parse_chat(chat(**fields)).needs == needs


def test_encoded_media_is_counted_apart_from_text():
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "QUFB" * 900, "format": "wav"}},
    ]
    raw = chat(messages=[{"role": "user", "content": content}])
    request = parse_chat(raw)
    assert (request.images, request.audios, request.files) == (2, 1, 0)
    assert request.media_bytes == len(PIXEL) + 3600
    assert request.prompt_bytes == len(raw) - request.media_bytes
    assert list(request.texts()) == ["What is this?"]


def test_text_that_looks_like_data_stays_text():
    raw = chat(**asks({"type": "text", "text": PIXEL}, {"type": "image_url"}))
    assert parse_chat(raw).prompt_bytes == len(raw)


def test_texts_are_everything_that_becomes_tokens():
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    tools = [{"type": "function", "function": {"name": "add", "description": "Adds."}}]
    raw = chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "2"}]},
        ],
        tools=tools,
    )
    pieces = list(parse_chat(raw).texts())
    assert pieces[:4] == ["Be brief.", "add", '{"a":1}', "2"]
    assert json.loads(pieces[4]) == tools


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.booleans())
def test_prompt_bytes_bound_the_text(texts, ascii_only):
    messages = [{"role": "user", "content": text} for text in texts]
    raw = json.dumps({"model": "m", "messages": messages}, ensure_ascii=ascii_only)
    try:
        body = raw.encode()
    except UnicodeEncodeError:
        return
    request = parse_chat(body)
    assert request.prompt_bytes >= sum(len(text.encode()) for text in request.texts())


@pytest.mark.parametrize(
    ("raw", "param", "says"),
    [
        (b"", None, "JSON"),
        (b'{"model":"m",', None, "JSON"),
        (b'{"model":"m","messages":[{"role":"user"}],}', None, "byte 42"),
        (b'{"model":"m","messages":[{"role":"user"}],"x":"\xff"}', None, "byte 47"),
        (b"[1]", None, "object"),
        (b'"model"', None, "object"),
        (b'{"messages":[{"role":"user"}]}', "model", "'model'"),
        (b'{"model":"m"}', "messages", "'messages'"),
        (chat(model=3), "model", "a string"),
        (chat(model=""), "model", "auto"),
        (chat(model="m" * 300), "model", "256"),
        (chat(messages={}), "messages", "an array"),
        (chat(messages=[]), "messages", "at least one"),
        (chat(messages=["hi"]), "messages[0]", "an object"),
        (chat(messages=[*HELLO, {"content": "x"}]), "messages[1].role", "Missing"),
        (chat(messages=HELLO * (MESSAGES_MAX + 1)), "messages", str(MESSAGES_MAX)),
        (chat(stream="yes"), "stream", "true or false"),
        (chat(stream=1), "stream", "true or false"),
        (chat(n=0), "n", "1 to 8"),
        (chat(n=9), "n", "1 to 8"),
        (chat(n=1.5), "n", "an integer"),
        (chat(n=True), "n", "an integer"),
        (chat(max_tokens=0), "max_tokens", "at least 1"),
        (chat(max_completion_tokens=-4), "max_completion_tokens", "at least 1"),
        (chat(max_tokens="12"), "max_tokens", "an integer"),
        (chat(stream_options=[]), "stream_options", "an object"),
        (chat(metadata="x"), "metadata", "an object"),
    ],
)
def test_refuses_and_names_the_field(raw, param, says):
    error = refused(raw)
    assert error.param == param
    assert says in error.message


def nested(levels, openings):
    """A body whose field x is ``levels`` deep, next to text full of brackets and escapes."""
    value = b"[]"
    for level in range(levels - 1):
        value = openings[level % len(openings)].replace(b"?", value)
    text = b'"a\\\\\\"[{[{"'
    return b'{"model":"m","messages":[{"role":"user","content":' + text + b'}],"x":' + value + b"}"


SHAPES = [[b"[?]"], [b'{"a":?}'], [b"[?,[]]", b'{"]":?}'], [b'{"\\"}":[],"b":?}']]


@pytest.mark.parametrize("openings", SHAPES)
def test_depth_is_bounded_exactly(openings):
    parse_chat(nested(DEPTH_MAX - 1, openings))
    error = refused(nested(DEPTH_MAX, openings))
    assert error.code == "json_too_deep"
    assert "64" in error.message


@pytest.mark.parametrize("openings", SHAPES)
@pytest.mark.parametrize("levels", [2_000, 20_000])
def test_very_deep_bodies_are_refused_not_recursed_into(levels, openings):
    assert refused(nested(levels, openings)).code == "json_too_deep"


def test_unclosed_brackets_are_refused():
    refused(b"[" * 200_000)
    refused(b'{"model":"m","x":' + b"[" * 200_000)


def test_wide_bodies_are_not_deep():
    request = parse_chat(chat(tools=[{"type": "function", "function": {"name": "[{" * 9}}] * 200))
    assert request.needs == {"tools"}


SPLIT = b'"\\ud800"'


@pytest.mark.parametrize(
    "fields",
    [
        b'"messages":[{"role":"user","content":?}]',
        b'"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":?}}]}]',
        b'"messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"x":?}',
        b'"messages":[{"role":"user","content":"x"}],"x":?',
        b'"messages":[{"role":"user","content":"x"}],"x":{?:1}',
        b'"messages":[{"role":"user","content":"x"}],?:1',
        b'"messages":[{"role":"user","content":"x"}],"stop":[?]',
        b'"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","x":?}]',
    ],
)
def test_half_a_surrogate_pair_is_refused_or_passed_on(fields):
    raw = b'{"model":"m",' + fields.replace(b"?", SPLIT) + b"}"
    for wire in WIRES.values():
        try:
            request = parse_chat(raw)
            list(request.texts())
            wire.unsupported(request)
            wire.encode(request, model="other")
        except RouterError as error:
            refusal = error
        else:
            continue
        assert refusal.status == 400


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw):
    assert outcome(parse_chat, raw) == 400
    assert outcome(parse_embeddings, raw) == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
READ = [
    "messages",
    "stream",
    "n",
    "tools",
    "metadata",
    "stream_options",
    "response_format",
    "max_tokens",
    "modalities",
    "input",
]


@given(st.dictionaries(st.sampled_from(READ), JSON))
def test_no_shape_raises_anything_else(fields):
    raw = msgspec.json.encode({"model": "m", "messages": HELLO, **fields})
    assert outcome(parse_chat, raw) in (200, 400)
    assert outcome(parse_embeddings, raw) in (200, 400)


@pytest.mark.parametrize(
    ("given_input", "count", "tokens", "texts"),
    [
        ("hello", 1, None, ["hello"]),
        (["a", "b"], 2, None, ["a", "b"]),
        ([1, 2, 3], 1, 3, []),
        ([[1, 2], [3]], 2, 3, []),
    ],
)
def test_embeddings_inputs(given_input, count, tokens, texts):
    request = parse_embeddings(json.dumps({"model": "e", "input": given_input}).encode())
    assert (request.inputs_count, request.input_tokens) == (count, tokens)
    assert list(request.texts()) == texts
    assert request.operation == "embeddings"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": 3}, "input"),
        ({}, "input"),
        ({"input": "a", "model": None}, "model"),
    ],
)
def test_embeddings_refusals(fields, param):
    raw = json.dumps({"model": "e", **fields}).encode()
    assert refused(raw, parse_embeddings).param == param
