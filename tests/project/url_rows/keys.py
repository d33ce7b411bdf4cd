"""The pages and the API of API keys."""

from __future__ import annotations

from tests.project.url_row import Row

_KEY = "api-keys/<uuid:key_id>"
_API = "api/keys/<uuidstr:key_id>"
_NEVER = "405 405 405 405 405 405 405 405 405 405"
# The key acts for nobody: a member and a viewer do not see it.
_SEEN = "in 404 404 404 200 200 in in in in"

ROWS = [
    Row("api-keys", "GET", "/api-keys", "in 200 200 200 200 200 in in in in"),
    Row("api-keys", "POST", "/api-keys", _NEVER),
    Row("api-keys/new", "GET", "/api-keys/new", "in 200 403 200 200 200 in in in in"),
    Row(
        "api-keys/new",
        "POST",
        "/api-keys/new",
        "in 201 403 201 201 201 in in in in",
        {"name": "x", "scopes": "gateway"},
    ),
    Row(_KEY, "GET", "/api-keys/{key}", _SEEN),
    Row(_KEY, "POST", "/api-keys/{key}", "in 404 404 404 302 302 in in in in", {"name": "x"}),
    Row(f"{_KEY}/preferences", "GET", "/api-keys/{key}/preferences", _NEVER),
    Row(
        f"{_KEY}/preferences",
        "POST",
        "/api-keys/{key}/preferences",
        "in 404 404 404 302 302 in in in in",
        {"priority": "cost"},
    ),
    Row(f"{_KEY}/rotate", "GET", "/api-keys/{key}/rotate", _SEEN),
    Row(
        f"{_KEY}/rotate",
        "POST",
        "/api-keys/{key}/rotate",
        "in 404 404 404 201 201 in in in in",
        {"overlap": "24"},
    ),
    Row(f"{_KEY}/revoke", "GET", "/api-keys/{key}/revoke", _SEEN),
    # Whoever comes second finds no live key.
    Row(
        f"{_KEY}/revoke",
        "POST",
        "/api-keys/{key}/revoke",
        "in 404 404 404 302 404 in in in in",
    ),
    Row("api/keys", "GET", "/api/keys", "401 401 401 401 401 401 200 200 401 403"),
    Row(
        "api/keys",
        "POST",
        "/api/keys",
        "401 401 401 401 401 401 201 201 401 403",
        {"name": "x"},
    ),
    Row(_API, "GET", "/api/keys/{key}", "401 401 401 401 401 401 200 404 401 403"),
    Row(_API, "PATCH", "/api/keys/{key}", "401 401 401 401 401 401 200 404 401 403"),
    Row(
        f"{_API}/rotate",
        "POST",
        "/api/keys/{key}/rotate",
        "401 401 401 401 401 401 201 404 401 403",
        {"overlap_hours": 1},
    ),
    Row(
        f"{_API}/revoke",
        "POST",
        "/api/keys/{key}/revoke",
        "401 401 401 401 401 401 200 404 401 401",
    ),
    Row(
        f"{_API}/preferences",
        "GET",
        "/api/keys/{key}/preferences",
        "401 401 401 401 401 401 200 404 401 403",
    ),
    Row(
        f"{_API}/preferences",
        "PATCH",
        "/api/keys/{key}/preferences",
        "401 401 401 401 401 401 200 404 401 403",
    ),
]
