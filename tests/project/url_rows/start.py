"""Addresses of Get started. The test client has no gateway, so that sending answers 503."""

from __future__ import annotations

from tests.project.url_row import Row

_LOOK = "in 200 200 200 200 200 in in in in"
_POST_ONLY = "405 405 405 405 405 405 405 405 405 405"

ROWS = [
    Row("get-started", "GET", "/get-started", _LOOK),
    Row("get-started", "POST", "/get-started", _POST_ONLY),
    Row("get-started/waiting", "GET", "/get-started/waiting", _LOOK),
    Row("get-started/events", "GET", "/get-started/events", _LOOK),
    Row("get-started/send", "GET", "/get-started/send", _POST_ONLY),
    Row("get-started/send", "POST", "/get-started/send", "in 503 403 503 503 503 in in in in"),
    Row("get-started/key", "GET", "/get-started/key", _POST_ONLY),
    Row("get-started/key", "POST", "/get-started/key", "in 302 403 403 302 302 in in in in"),
    Row("get-started/dismiss", "GET", "/get-started/dismiss", _POST_ONLY),
    Row(
        "get-started/dismiss",
        "POST",
        "/get-started/dismiss",
        "in 302 302 302 302 302 in in in in",
    ),
]
