"""An error tells the client what happened and whether to try again."""

from __future__ import annotations

from lib.errors import RouterError


def test_the_body_has_openais_shape() -> None:
    error = RouterError(404, "model_not_found", 'Model "x" is not served here.', param="model")
    assert error.body() == {
        "error": {
            "message": 'Model "x" is not served here.',
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }
    assert (error.status, str(error)) == (404, 'Model "x" is not served here.')


def test_headers_say_whether_and_when_to_retry() -> None:
    assert RouterError(400, "c", "m").headers() == []
    waits = RouterError(429, "rate_limit_exceeded", "m", retry_after_s=1.2001)
    assert waits.headers() == [(b"retry-after", b"2"), (b"retry-after-ms", b"1201")]
    spent = RouterError(429, "budget_exceeded", "m", type="insufficient_quota", should_retry=False)
    assert spent.headers() == [(b"x-should-retry", b"false")]
    assert RouterError(503, "overloaded", "m", should_retry=True).headers() == [
        (b"x-should-retry", b"true")
    ]
