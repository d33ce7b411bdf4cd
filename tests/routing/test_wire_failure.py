"""Errors of providers in one shape, waiting times, headers, and the table of formats."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import RouterError
from routing.wire import WIRES
from routing.wire.base import UpstreamFailure
from routing.wire.failure import decode_error, event_failure, retry_after_s
from routing.wire.sse import error_event

OPENAI = {"message": "Slow", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
ANTHROPIC = {"type": "overloaded_error", "message": "Overloaded"}
GOOGLE = {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}
MISTRAL = {"object": "error", "message": "no", "type": "invalid", "code": 1200}
FASTAPI = {"detail": [{"msg": "field required"}]}


@pytest.mark.parametrize(
    ("status", "body", "type_", "code", "message"),
    [
        (429, {"error": OPENAI}, "requests", "rate_limit_exceeded", "Slow"),
        (529, {"type": "error", "error": ANTHROPIC}, "overloaded_error", None, "Overloaded"),
        (400, [{"error": GOOGLE}], "invalid_request_error", "400", "Bad"),
        (422, MISTRAL, "invalid", "1200", "no"),
        (422, FASTAPI, "invalid_request_error", None, '[{"msg":"field required"}]'),
        (404, {"error": "no such model"}, "not_found_error", None, "no such model"),
        (500, "boom", "upstream_error", None, "boom"),
        (500, None, "upstream_error", None, "The provider answered with status 500."),
    ],
)
def test_every_shape_of_error(status, body, type_, code, message):
    failure = decode_error(status, json.dumps(body).encode())
    assert (failure.status, failure.type, failure.code) == (status, type_, code)
    assert failure.message == message
    assert failure.kind == "answer"


def test_pages_are_not_shown_but_plain_words_are():
    assert "html" not in decode_error(502, b"<html><h1>502</h1></html>").message
    assert decode_error(503, b" upstream connect error ").message == "upstream connect error"
    assert decode_error(503, b"").message == "The provider answered with status 503."


def test_long_messages_are_cut():
    assert (
        len(decode_error(400, json.dumps({"error": {"message": "x" * 9000}}).encode()).message)
        == 500
    )
    assert len(decode_error(400, b"x" * 9000).message) == 500


@given(st.integers(400, 599), st.binary(max_size=100))
def test_never_raises(status, body):
    assert decode_error(status, body).status == status


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after": b"7", b"retry-after-ms": b"250"}, 0.25),
        ({b"retry-after": b"7", b"retry-after-ms": b"soon"}, 7.0),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:20:00 GMT"}, 0.0),
        ({b"retry-after": b"-3"}, 0.0),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({b"retry-after": b"99999999"}, 86_400.0),
        ({b"retry-after": b"tomorrow"}, None),
        ({b"retry-after": b"\xff\xfe"}, None),
        ({b"retry-after": b"Wed, 99 Oct 2015 99:99:99 GMT"}, None),
    ],
)
def test_retry_after(headers, wait_s):
    at_07_28_00 = 1_445_412_480.0
    found = retry_after_s(headers, now=at_07_28_00)
    if headers.get(b"retry-after", b"").startswith(b"Wed, 99"):
        assert found is None or 0 <= found <= 86_400
    else:
        assert found == wait_s


def test_a_date_without_a_clock_is_passed_over():
    assert retry_after_s({b"retry-after": b"Wed, 21 Oct 2015 07:28:30 GMT"}) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "overloaded_error", "message": "x"}, 529),
        ({"code": 503, "message": "x"}, 503),
        ({"code": "rate_limit_exceeded", "message": "x"}, 429),
        ({"code": 7, "message": "x"}, 502),
        ({"code": True}, 502),
        ("gone", 502),
    ],
)
def test_errors_inside_a_200_get_a_status(error, status):
    failure = event_failure(error)
    assert (failure.status, failure.kind) == (status, "event")
    assert failure.message


def test_the_event_of_a_broken_stream():
    failure = UpstreamFailure(502, "upstream_protocol", "upstream_error", 'It "broke"\n')
    event = error_event(failure)
    assert event.startswith(b"data: ")
    assert event.endswith(b"}\n\n")
    assert json.loads(event[6:]) == {
        "error": {
            "message": 'It "broke"\n',
            "type": "upstream_error",
            "param": None,
            "code": "upstream_protocol",
        }
    }
    named = error_event(RouterError(400, "c", "m", param="n"))
    assert json.loads(named[6:])["error"]["param"] == "n"


def test_headers_of_each_format():
    assert WIRES["openai"].headers("sk-1") == ((b"authorization", b"Bearer sk-1"),)
    assert WIRES["openai"].headers("k", "api-key") == ((b"api-key", b"k"),)
    assert WIRES["anthropic"].headers("k") == (
        (b"x-api-key", b"k"),
        (b"anthropic-version", b"2023-06-01"),
    )
    assert WIRES["anthropic"].headers("k", "bearer")[0] == (b"authorization", b"Bearer k")
    assert WIRES["openai"].headers("") == ()


@pytest.mark.parametrize("secret", ["a\r\nx: y", "schlüssel", "a\x00"])
def test_secrets_cannot_add_headers(secret):
    with pytest.raises(ValueError, match="header"):
        WIRES["openai"].headers(secret)


def test_unknown_authentication_is_refused():
    with pytest.raises(ValueError, match="bearer"):
        WIRES["openai"].headers("k", "basic")


def test_paths():
    assert WIRES["openai"].path("chat") == "/chat/completions"
    assert WIRES["openai"].path("embeddings") == "/embeddings"
    assert WIRES["anthropic"].path("chat") == "/messages"
    assert WIRES["anthropic"].path("embeddings") is None
