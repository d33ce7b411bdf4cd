"""Anthropic event streams in OpenAI's shape; recorded streams where they are kept."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.usage import Usage
from routing.wire import WIRES
from routing.wire.sse import EVENT_BYTES_MAX
from tests.openai_shape import conforms

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "protocol"
RECORDED = sorted((SHARED / "anthropic_streams").glob("*.*"))
IDS = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": "claude"}
WIRE = WIRES["anthropic"]


def sse(*events):
    return b"".join(
        b"event: " + e["type"].encode() + b"\ndata: " + json.dumps(e).encode() + b"\n\n"
        for e in events
    )


def start(**usage):
    message = {"type": "message", "content": [], "stop_reason": None, "usage": usage}
    return {"type": "message_start", "message": message}


def block(index, **content_block):
    return {"type": "content_block_start", "index": index, "content_block": content_block}


def piece(index, **delta):
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index):
    return {"type": "content_block_stop", "index": index}


def ending(reason, usage=None, **delta):
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, **delta},
        "usage": usage or {"output_tokens": 7},
    }


END = {"type": "message_stop"}
TEXT = [start(input_tokens=5, output_tokens=1), block(0, type="text", text="")]


def run(pieces, include_usage=True):
    stream = WIRE.new_stream(**IDS, include_usage=include_usage)
    out = b"".join(stream.feed(p) for p in pieces)
    return out + stream.finish(), stream


def chunks_of(out):
    events = out.split(b"\n\n")
    assert events.pop() == b""
    assert all(e.startswith(b"data: ") for e in events)
    return [json.loads(e[6:]) for e in events if e != b"data: [DONE]"]


def joined(chunks):
    """What a client puts together from the chunks."""
    found = {"content": "", "reasoning_content": "", "refusal": "", "tool_calls": []}
    for chunk in chunks:
        for choice in chunk["choices"]:
            found["finish_reason"] = choice["finish_reason"]
            for key, value in choice["delta"].items():
                if key == "tool_calls":
                    for call in value:
                        if call["index"] == len(found[key]):
                            found[key].append({"id": call["id"], **call["function"]})
                        else:
                            found[key][call["index"]]["arguments"] += call["function"]["arguments"]
                elif key != "role":
                    found[key] += value or ""
    return found


def sent(raw):
    """What the recorded events say, read without the code under test."""
    found = {"content": "", "reasoning_content": "", "calls": {}, "stop": None}
    for line in raw.splitlines():
        if not line.startswith(b"data:"):
            continue
        e = json.loads(line[5:])
        if e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use":
            found["calls"][e["index"]] = [e["content_block"]["name"], ""]
        delta = e.get("delta", {})
        found["content"] += delta.get("text", "")
        found["reasoning_content"] += delta.get("thinking", "")
        if delta.get("partial_json") and e["index"] in found["calls"]:
            found["calls"][e["index"]][1] += delta["partial_json"]
        found["stop"] = delta.get("stop_reason", found["stop"])
    return found


FINISH = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def test_recorded_streams_are_here():
    if not RECORDED:
        pytest.skip("shared/data/protocol/anthropic_streams is not here")
    assert len(RECORDED) >= 10


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.name)
def test_recorded_streams_translate_without_loss(path):
    raw = path.read_bytes()
    out, stream = run([raw])
    chunks = chunks_of(out)
    for chunk in chunks:
        conforms(chunk, "CreateChatCompletionStreamResponse")
        assert (chunk["id"], chunk["created"], chunk["model"]) == tuple(IDS.values())
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    expected, found = sent(raw), joined(chunks)
    assert found["content"] == expected["content"]
    assert found["reasoning_content"] == expected["reasoning_content"]
    calls = [[c["name"], c["arguments"]] for c in found["tool_calls"]]
    assert calls == list(expected["calls"].values())
    assert found["finish_reason"] == FINISH[expected["stop"]]
    assert bool(found["refusal"]) == (expected["stop"] == "refusal")
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == stream.usage.output_tokens
    assert out.endswith(b"data: [DONE]\n\n")
    assert (stream.done, stream.error, stream.has_content) == (True, None, True)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.name)
def test_recorded_streams_cut_anywhere(path):
    raw = path.read_bytes()
    whole, stream = run([raw])
    for cut in range(0, len(raw), 7):
        out, other = run([raw[:cut], raw[cut:]])
        assert out == whole
        assert (other.usage, other.done, other.output_bytes) == (
            stream.usage,
            True,
            stream.output_bytes,
        )


WHOLE = sse(
    *TEXT,
    {"type": "ping"},
    piece(0, type="text_delta", text="Grüße 🦉\n"),
    stop(0),
    block(1, type="tool_use", id="t1", name="add", input={}),
    piece(1, type="input_json_delta", partial_json='{"a": "é'),
    piece(1, type="input_json_delta", partial_json='"}'),
    stop(1),
    ending("tool_use"),
    END,
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30).map(sorted), st.booleans())
def test_cut_into_many_pieces_it_is_the_same_stream(cuts, crlf):
    raw = WHOLE.replace(b"\n", b"\r\n") if crlf else WHOLE
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    out, stream = run(pieces)
    assert out == run([WHOLE])[0]
    assert stream.usage == Usage(input_tokens=5, output_tokens=7)


def test_usage_only_for_those_who_asked():
    out, stream = run([WHOLE], include_usage=False)
    assert b"usage" not in out
    assert stream.usage == Usage(input_tokens=5, output_tokens=7)


def test_prompt_tokens_hold_cache_reads_and_writes():
    began = start(
        input_tokens=5,
        cache_read_input_tokens=100,
        cache_creation_input_tokens=20,
        output_tokens=1,
    )
    told = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    out, stream = run([sse(began, block(0, type="text", text="hi"), ending("end_turn", told), END)])
    counts = chunks_of(out)[-1]["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]) == (
        125,
        9,
        134,
    )
    assert counts["prompt_tokens_details"]["cached_tokens"] == 100
    assert counts["prompt_tokens_details"]["cache_write_tokens"] == 20
    assert counts["completion_tokens_details"]["reasoning_tokens"] == 4
    assert stream.usage.input_tokens == 125


def test_two_tool_calls_keep_their_numbers_whatever_stands_between():
    out, _ = run(
        [
            sse(
                *TEXT,
                stop(0),
                block(1, type="tool_use", id="a", name="f", input={}),
                piece(1, type="input_json_delta", partial_json='{"x":1}'),
                stop(1),
                block(2, type="server_tool_use", id="s", name="web_search", input={}),
                piece(2, type="input_json_delta", partial_json='{"query":"q"}'),
                stop(2),
                block(3, type="tool_use", id="b", name="g", input={"y": 2}),
                stop(3),
                block(4, type="tool_use", id="c", name="h", input={}),
                piece(4, type="input_json_delta", partial_json=""),
                stop(4),
                ending("tool_use"),
                END,
            )
        ]
    )
    calls = joined(chunks_of(out))["tool_calls"]
    assert [c["id"] for c in calls] == ["a", "b", "c"]
    assert [json.loads(c["arguments"]) for c in calls] == [{"x": 1}, {"y": 2}, {}]


def test_nothing_counts_as_content_before_it_comes():
    stream = WIRE.new_stream(**IDS, include_usage=False)
    stream.feed(sse(*TEXT, {"type": "ping"}))
    assert not stream.has_content
    assert stream.usage is None
    assert stream.partial_usage == Usage(input_tokens=5, output_tokens=1)
    stream.feed(sse(piece(0, type="text_delta", text="")))
    assert not stream.has_content
    stream.feed(sse(piece(0, type="text_delta", text="hello")))
    assert stream.has_content
    assert stream.output_bytes == 5


def test_an_error_in_the_stream():
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    out, stream = run([sse(*TEXT, failed, piece(0, type="text_delta", text="x"))])
    assert (stream.error.status, stream.error.kind) == (529, "event")
    assert not stream.has_content
    assert joined(chunks_of(out))["content"] == ""


def test_unknown_events_and_deltas_are_passed_over():
    out, stream = run(
        [
            sse(
                *TEXT,
                {"type": "new_thing", "delta": "odd", "index": "x"},
                piece(0, type="new_delta", text="no"),
                piece(0, type="citations_delta", citation={}),
                piece(0, type="text_delta", text="yes"),
                ending("new_reason"),
                END,
            )
        ]
    )
    found = joined(chunks_of(out))
    assert (found["content"], found["finish_reason"]) == ("yes", "stop")
    assert stream.error is None


ODD_DELTA = b'data: {"type":"content_block_delta","delta":3}\n\n'


@pytest.mark.parametrize("bad", [b"data: {nope\n\n", ODD_DELTA, b"data: [1]\n\n"])
def test_what_cannot_be_read_is_a_protocol_failure(bad):
    _, stream = run([sse(*TEXT), bad, sse(END)])
    assert stream.error.kind == "protocol"
    assert not stream.done


def test_a_cut_stream_is_not_done():
    out, stream = run([sse(*TEXT, piece(0, type="text_delta", text="half")), b"event: x\ndata: {"])
    assert (stream.done, stream.error, stream.usage) == (False, None, None)
    assert stream.partial_usage.input_tokens == 5
    assert b"[DONE]" not in out


def test_an_endless_event_is_given_up():
    stream = WIRE.new_stream(**IDS, include_usage=True)
    for _ in range(EVENT_BYTES_MAX // 262_144 + 1):
        stream.feed(b"x" * 262_144)
    assert stream.error.kind == "protocol"
