"""Addresses of the playground. The test client has no gateway, so that asking answers 503."""

from __future__ import annotations

from tests.project.url_row import Row

_HELLO = {"model": "auto", "prompt": "Hello"}

ROWS = [
    Row("playground", "GET", "/playground", "in 200 200 200 200 200 in in in in"),
    Row("playground", "GET", "/playground?call={call}", "in 404 200 200 200 200 in in in in"),
    Row("playground", "POST", "/playground", "in 503 403 503 503 503 in in in in", _HELLO),
    Row("playground", "POST", "/playground", "in 422 403 422 422 422 in in in in"),
    Row("playground/run", "GET", "/playground/run", "405 405 405 405 405 405 405 405 405 405"),
    Row("playground/run", "POST", "/playground/run", "in 503 403 503 503 503 in in in in", _HELLO),
    Row(
        "playground/told/<uuid:call_id>",
        "GET",
        "/playground/told/{call}",
        "in 204 200 200 200 200 in in in in",
    ),
    Row("playground/run", "POST", "/playground/run", "in 422 403 422 422 422 in in in in"),
]
