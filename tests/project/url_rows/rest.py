"""Addresses of /api that belong to no page, and preferences by REST."""

from __future__ import annotations

from tests.project.url_row import NO_PAGE, Row

READS = "401 401 401 401 401 401 200 200 401 403"
OWN = "401 401 401 401 401 401 200 404 401 403"

ROWS = [
    Row("api/docs", "GET", "/api/docs", "200 200 200 200 200 200 200 200 200 200"),
    Row("api/<path:rest>", "GET", "/api/nothing/here", NO_PAGE),
    Row("api/<path:rest>", "POST", "/api/nothing/here", NO_PAGE),
    Row("api/preferences", "GET", "/api/preferences", READS),
    Row("api/preferences", "PATCH", "/api/preferences", READS, {"max_latency_ms": 900}),
    *(
        Row(
            "api/preferences/users/<uuidstr:user_id>",
            method,
            "/api/preferences/users/{alice}",
            OWN,
            body,
        )
        for method, body in (("GET", {}), ("PATCH", {"priority": "cost"}))
    ),
]
