"""The pages of providers."""

from __future__ import annotations

from tests.project.url_row import Row

_ONE = "providers/<slug:slug>"
_MODEL = f"{_ONE}/models/<uuid:model_id>"
_NEVER = "405 405 405 405 405 405 405 405 405 405"
_SEEN = "in 404 200 200 200 200 in in in in"
_ADMIN = "in 404 403 403 200 200 in in in in"
_CHANGE = "in 404 403 403 302 302 in in in in"
_PATH = "/providers/far"
_MODEL_PATH = f"{_PATH}/models/{{model}}"
_FIELDS = {
    "model": "other",
    "context_window": "1000",
    "max_output_tokens": "100",
    "quality": "50",
    "operation": "chat",
}

ROWS = [
    Row("providers", "GET", "/providers", "in 200 200 200 200 200 in in in in"),
    Row("providers", "POST", "/providers", _NEVER),
    Row("providers/new", "GET", "/providers/new", "in 200 403 403 200 200 in in in in"),
    # Whoever comes second finds the word taken.
    Row(
        "providers/new",
        "POST",
        "/providers/new",
        "in 302 403 403 302 409 in in in in",
        {"preset": "openai", "slug": "openai", "name": "x", "secret": "sk-x", "base_url": ""},
    ),
    Row(_ONE, "GET", _PATH, _SEEN),
    Row(_ONE, "POST", _PATH, _CHANGE, {"name": "x", "active": "on"}),
    Row(f"{_ONE}/credential", "POST", f"{_PATH}/credential", _CHANGE, {"secret": "sk-new"}),
    Row(
        f"{_ONE}/address",
        "POST",
        f"{_PATH}/address",
        _CHANGE,
        {"base_url": "https://models.example.com/v1"},
    ),
    # There is no such host; the page says so.
    Row(f"{_ONE}/test", "POST", f"{_PATH}/test", _ADMIN),
    Row(f"{_ONE}/remove", "GET", f"{_PATH}/remove", _ADMIN),
    Row(f"{_ONE}/remove", "POST", f"{_PATH}/remove", "in 404 403 403 302 404 in in in in"),
    Row(f"{_ONE}/models/new", "GET", f"{_PATH}/models/new", _ADMIN),
    Row(
        f"{_ONE}/models/new",
        "POST",
        f"{_PATH}/models/new",
        "in 404 403 403 302 409 in in in in",
        _FIELDS,
    ),
    Row(_MODEL, "GET", _MODEL_PATH, _SEEN),
    Row(_MODEL, "POST", _MODEL_PATH, _CHANGE, _FIELDS),
    Row(
        f"{_MODEL}/price",
        "POST",
        f"{_MODEL_PATH}/price",
        _CHANGE,
        {"input": "1", "output": "2", "source": "contract"},
    ),
    Row(f"{_MODEL}/active", "POST", f"{_MODEL_PATH}/active", _CHANGE, {"active": "0"}),
    Row(f"{_MODEL}/remove", "GET", f"{_MODEL_PATH}/remove", _ADMIN),
    Row(f"{_MODEL}/remove", "POST", f"{_MODEL_PATH}/remove", "in 404 403 403 302 404 in in in in"),
]
