"""What was asked and answered in a call."""

from __future__ import annotations

from tests.project.url_row import Row

# Nothing is stored of the call: whoever may read it gets 404, everybody else what their role gets.
ROWS = [
    Row(
        f"requests/<uuid:call_id>/{part}",
        "GET",
        f"/requests/{{call}}/{part}",
        "in 404 403 403 404 404 in in in in",
    )
    for part in ("request", "answer")
] + [
    Row(
        "api/calls/<uuidstr:call_id>/bodies",
        "GET",
        "/api/calls/{call}/bodies",
        "401 401 401 401 401 401 404 404 401 403",
    ),
]
