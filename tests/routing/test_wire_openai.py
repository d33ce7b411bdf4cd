"""OpenAI bodies and streams pass through unharmed, and say what they used and how they ended."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.usage import Usage
from routing.wire.openai import decode_answer, encode, new_stream
from routing.wire.request import parse_chat, parse_embeddings
from routing.wire.sse import EVENT_BYTES_MAX

ODD = (
    b'{ "model" : "gpt-4o", "messages":[{"role":"user","content":"\\u00e9\\u0065 \xc3\xa9"}],'
    b'"seed":123456789012345678901234567890,"temperature":1.10,"top_p":1E0,'
    b'"x_unknown":{"b":  1,"a":[1.0, 1e-7]},"logit_bias":{"50256":-100}}'
)
COUNTS = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
USED = Usage(input_tokens=11, output_tokens=5)


def event(**fields):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, **fields}, ensure_ascii=False).encode() + b"\n\n"


def delta(finish=None, **fields):
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return event(choices=[choice])


ROLE = delta(role="assistant", content="")
END = delta(finish="stop")
COUNT = event(choices=[], usage=COUNTS)
DONE = b"data: [DONE]\n\n"
TALK = [delta(content=f"wörd {i} ") for i in range(30)]
TRICKS = [
    delta(content='{"error":{"message":"no"}} [DONE] "usage":{"x":1}\n\ndata: [DONE]\n\n'),
    delta(content="error"),
    delta(content="usage"),
    delta(content="[DONE]"),
]
PLAIN = [ROLE, *TALK, *TRICKS, END, COUNT, DONE]


def run(pieces, include_usage=True):
    stream = new_stream(include_usage=include_usage)
    out = b"".join(stream.feed(piece) for piece in pieces)
    return out + stream.finish(), stream


def facts(stream):
    return stream.usage, stream.has_content, stream.error, stream.done


def test_an_unchanged_body_is_the_same_object():
    request = parse_chat(ODD)
    assert encode(request, model="gpt-4o") is ODD


def test_only_the_model_is_replaced():
    out = encode(parse_chat(ODD), model="llama-3")
    for kept in (
        b'"seed":123456789012345678901234567890',
        b'"temperature":1.10',
        b'"top_p":1E0',
        b'"x_unknown":{"b":  1,"a":[1.0, 1e-7]}',
        b'[{"role":"user","content":"\\u00e9\\u0065 \xc3\xa9"}]',
    ):
        assert kept in out
    assert json.loads(out) == {**json.loads(ODD), "model": "llama-3"}


def test_encoding_twice_gives_each_deployment_its_own_model():
    request = parse_chat(ODD)
    assert json.loads(encode(request, model="a"))["model"] == "a"
    assert json.loads(encode(request, model="b"))["model"] == "b"
    assert encode(request, model="gpt-4o") is ODD


@pytest.mark.parametrize(
    ("options", "merged"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_a_stream_always_asks_for_usage(options, merged):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    for fields in [{"stream_options": options}] + ([{}] if options is None else []):
        out = encode(parse_chat(json.dumps(body | fields).encode()), model="m")
        assert json.loads(out)["stream_options"] == merged


def test_a_stream_that_asks_already_is_left_alone():
    raw = b'{"model":"m","messages":[{"role":"user"}],"stream":true'
    raw += b',"stream_options":{"include_usage":true}}'
    assert encode(parse_chat(raw), model="m") is raw


def test_embeddings_pass_through():
    raw = b'{"model":"e","input":["a"],"dimensions":256}'
    assert encode(parse_embeddings(raw), model="e") is raw
    assert json.loads(encode(parse_embeddings(raw), model="f")) == {
        "model": "f",
        "input": ["a"],
        "dimensions": 256,
    }


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
UNKNOWN = st.dictionaries(st.text(min_size=1, max_size=6).map("x_".__add__), JSON, max_size=4)


@given(UNKNOWN, st.booleans())
def test_unknown_fields_survive_byte_for_byte(fields, spaced):
    separators = (", ", ": ") if spaced else (",", ":")
    texts = {key: json.dumps(value, separators=separators) for key, value in fields.items()}
    extra = "".join(f",{json.dumps(key)}:{text}" for key, text in texts.items())
    raw = ('{"model":"m","messages":[{"role":"user","content":"x"}]' + extra + "}").encode()
    request = parse_chat(raw)
    out = encode(request, model="other")
    assert json.loads(out) == {**json.loads(raw), "model": "other"}
    for text in texts.values():
        assert text.encode() in out


def test_an_answer_comes_back_as_it_was_with_its_usage():
    raw = json.dumps({"id": "x", "choices": [], "usage": COUNTS, "odd": 1.10}).encode()
    answer = decode_answer(raw)
    assert answer.body is raw
    assert (answer.usage, answer.error) == (USED, None)


def test_an_answer_without_usage():
    assert decode_answer(b'{"choices":[]}').usage is None
    assert decode_answer(b'{"choices":[],"usage":null,"error":null}').usage is None
    odd = decode_answer(b'{"choices":[],"usage":"none"}')
    assert (odd.usage, odd.error) == (None, None)


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b'{"error":{"message":"m","type":"server_error"}}', 500, "event"),
        (b'{"error":{"message":"m","code":429},"usage":3}', 429, "event"),
        (b"<html>", 502, "protocol"),
        (b"", 502, "protocol"),
        (b"[]", 502, "protocol"),
        (b'{"choices":[', 502, "protocol"),
        (b"[" * 100_000, 502, "protocol"),
        (b'{"usage":' + b"[" * 100_000, 502, "protocol"),
    ],
)
def test_a_200_that_is_no_answer(raw, status, kind):
    failure = decode_answer(raw).error
    assert (failure.status, failure.kind) == (status, kind)


def test_a_stream_is_forwarded_byte_for_byte():
    whole = b"".join(PLAIN)
    out, stream = run([whole])
    assert out == whole
    assert facts(stream) == (USED, True, None, True)


def test_usage_is_kept_back_from_those_who_did_not_ask():
    out, stream = run([b"".join(PLAIN)], include_usage=False)
    assert out == b"".join(e for e in PLAIN if e is not COUNT)
    assert stream.usage == USED


def test_usage_beside_choices_is_forwarded():
    last = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=COUNTS)
    out, stream = run([ROLE, TALK[0], last, DONE], include_usage=False)
    assert out == ROLE + TALK[0] + last + DONE
    assert stream.usage == USED


def test_null_usage_costs_nothing_and_says_nothing():
    chunk = event(choices=[{"index": 0, "delta": {"content": "x"}}], usage=None)
    out, stream = run([chunk * 20])
    assert out == chunk * 20
    assert stream.usage is None


def test_the_last_of_many_usages_counts():
    chunks = [
        event(
            choices=[{"index": 0, "delta": {"content": "x"}}],
            usage={**COUNTS, "completion_tokens": i},
        )
        for i in range(40)
    ]
    assert run([b"".join(chunks)])[1].usage.output_tokens == 39
    assert run(chunks)[1].usage.output_tokens == 39


def styled(style):
    whole = b": hello\n\n" + b"".join(PLAIN)
    if style == "crlf":
        return whole.replace(b"\n", b"\r\n")
    if style == "named":
        return whole.replace(b"data: {", b"event: chunk\ndata: {")
    if style == "tight":
        return whole.replace(b"data: ", b"data:")
    if style == "comments":
        return whole.replace(b"\n\n", b"\n\n: ping\n\n")
    if style == "open":
        return whole[:-2]
    return whole


@pytest.mark.parametrize("style", ["plain", "crlf", "named", "tight", "comments", "open"])
@pytest.mark.parametrize("include_usage", [True, False])
def test_cut_anywhere_it_is_the_same_stream(style, include_usage):
    whole = styled(style)
    expected, stream = run([whole], include_usage)
    assert facts(stream) == (USED, True, None, True)
    assert "wörd 29".encode() in expected
    for cut in range(len(whole) + 1):
        out, other = run([whole[:cut], whole[cut:]], include_usage)
        assert out == expected
        assert facts(other) == facts(stream)


@given(st.data(), st.sampled_from(["plain", "crlf", "named", "tight", "comments"]))
def test_cut_into_many_pieces_it_is_the_same_stream(data, style):
    whole = styled(style)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=40)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected, stream = run([whole])
    out, other = run(pieces)
    assert out == expected
    assert facts(other) == facts(stream)


def test_byte_by_byte():
    whole = styled("crlf")
    expected, stream = run([whole], include_usage=False)
    out, other = run([whole[i : i + 1] for i in range(len(whole))], include_usage=False)
    assert out == expected
    assert facts(other) == facts(stream)


def test_nothing_is_forwarded_before_it_is_whole():
    stream = new_stream(include_usage=True)
    assert stream.feed(TALK[0][:-1]) == b""
    assert not stream.has_content
    assert stream.feed(TALK[0][-1:]) == TALK[0]
    assert stream.has_content


@pytest.mark.parametrize(
    ("chunk", "content"),
    [
        (ROLE, False),
        (delta(role="assistant", content=None, refusal=None), False),
        (event(choices=[], prompt_filter_results=[]), False),
        (b": comment\n\n", False),
        (delta(content="x"), True),
        (delta(refusal="no"), True),
        (delta(reasoning_content="hm"), True),
        (delta(reasoning="hm"), True),
        (delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]), True),
        (delta(audio={"data": "AA"}), True),
        (delta(content=[{"type": "text", "text": "x"}]), True),
        (delta(finish="stop"), True),
    ],
)
def test_what_counts_as_content(chunk, content):
    out, stream = run([chunk])
    assert out == chunk
    assert stream.has_content is content
    assert stream.error is None


BROKEN = b'data: {"error":{"message":"Overloaded","type":"server_error","code":503}}\n\n'


@pytest.mark.parametrize("before", [[], [ROLE], [ROLE, TALK[0]], [ROLE, *TALK]])
@pytest.mark.parametrize("after", [[], [DONE]])
def test_an_error_in_the_stream_is_taken_out(before, after):
    for pieces in ([b"".join([*before, BROKEN, *after])], [*before, BROKEN, *after]):
        out, stream = run(pieces)
        assert out == b"".join(before)
        assert (stream.error.status, stream.error.message) == (503, "Overloaded")
        assert stream.error.kind == "event"
        assert not stream.done


def test_an_error_beside_choices_is_an_error():
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    chunk = event(choices=[choice], error={"code": 502, "message": "x"})
    out, stream = run([ROLE, chunk])
    assert out == ROLE
    assert stream.error.status == 502


def test_a_null_error_is_none():
    chunk = event(choices=[{"index": 0, "delta": {"content": "x"}}], error=None)
    out, stream = run([ROLE + chunk + TALK[0] + DONE])
    assert stream.error is None
    assert out.endswith(DONE)


def test_garbage_is_a_protocol_failure():
    out, stream = run([ROLE, b"data: {nope\n\n", TALK[0]])
    assert out == ROLE
    assert stream.error.kind == "protocol"


def test_json_of_an_unknown_shape_is_passed_on():
    odd = b'data: {"choices":"odd","usage":3}\n\n'
    out, stream = run([odd, TALK[0]])
    assert out == odd + TALK[0]
    assert stream.error is None


def test_a_stream_cut_inside_an_event():
    out, stream = run([ROLE, TALK[0], TALK[1][:-9]])
    assert out == ROLE + TALK[0]
    assert (stream.done, stream.usage, stream.error) == (False, None, None)


def test_nothing_follows_the_end():
    out, stream = run([ROLE + TALK[0] + DONE, TALK[1]])
    assert out == ROLE + TALK[0] + DONE
    assert stream.done


def test_an_endless_event_is_given_up():
    stream = new_stream(include_usage=True)
    stream.feed(b"data: ")
    for _ in range(EVENT_BYTES_MAX // 65_536 + 1):
        assert stream.feed(b"x" * 65_536) == b""
    assert stream.error.kind == "protocol"
    assert stream.feed(TALK[0]) == b""


@pytest.mark.parametrize("burst", [1, 2, 40])
def test_a_cut_stream_can_be_estimated(burst):
    chunks = [delta(content=f"word{i % 7} " + "x" * (i % 3)) for i in range(80)]
    text = sum(len(json.loads(c[6:])["choices"][0]["delta"]["content"]) for c in chunks)
    pieces = [b"".join(chunks[i : i + burst]) for i in range(0, 80, burst)]
    _, stream = run([ROLE, *pieces])
    assert stream.output_bytes == pytest.approx(text, rel=0.05 if burst < 40 else 0.6)


def test_a_cut_tool_call_can_be_estimated():
    function = {"name": "f", "arguments": ""}
    first = {"index": 0, "id": "call_abcdefghijkl", "type": "function", "function": function}
    chunks = [delta(tool_calls=[first])]
    chunks += [delta(tool_calls=[{"index": 0, "function": {"arguments": "12345"}}])] * 50
    _, stream = run([ROLE, *chunks])
    assert 250 * 0.5 <= stream.output_bytes <= 250 * 4
