"""The pages and the API of providers."""

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
_API = "api/providers/<slug:slug>"
_API_PATH = "/api/providers/far"
_API_MODEL = f"{_API}/deployments/<uuidstr:deployment_id>"
_API_MODEL_PATH = f"{_API_PATH}/deployments/{{model}}"
_SECRET = {"secret": "sk-new"}
_ADDRESS = {"base_url": "http://127.0.0.1:9/v2"}
_NEW_MODEL = {"model": "other", "context_window": 1000, "max_output_tokens": 100}
_PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2", "source": "contract"}

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
    *(
        Row(pattern, method, path, f"401 401 401 401 401 401 {ours} {theirs} 401 403", data)
        for pattern, method, path, ours, theirs, data in (
            (_API, "GET", _API_PATH, 200, 404, {}),
            (_API, "PATCH", _API_PATH, 200, 404, {"name": "x"}),
            (_API, "DELETE", _API_PATH, 204, 404, {}),
            ("api/providers", "GET", "/api/providers", 200, 200, {}),
            ("api/providers/presets", "GET", "/api/providers/presets", 200, 200, {}),
            ("api/providers", "POST", "/api/providers", 201, 201, {"preset": "groq"}),
            (f"{_API}/credentials", "POST", f"{_API_PATH}/credentials", 201, 404, _SECRET),
            (f"{_API}/address", "PUT", f"{_API_PATH}/address", 200, 404, _ADDRESS),
            (f"{_API}/test", "POST", f"{_API_PATH}/test", 200, 404, {}),
            (f"{_API}/deployments", "GET", f"{_API_PATH}/deployments", 200, 404, {}),
            (f"{_API}/deployments", "POST", f"{_API_PATH}/deployments", 201, 404, _NEW_MODEL),
            (_API_MODEL, "GET", _API_MODEL_PATH, 200, 404, {}),
            (_API_MODEL, "PATCH", _API_MODEL_PATH, 200, 404, {"quality": 1}),
            (_API_MODEL, "DELETE", _API_MODEL_PATH, 204, 404, {}),
            (f"{_API_MODEL}/price", "PUT", f"{_API_MODEL_PATH}/price", 200, 404, _PRICE),
            # The price list does not know this model, so its own price stays.
            (f"{_API_MODEL}/price", "DELETE", f"{_API_MODEL_PATH}/price", 422, 404, {}),
        )
    ),
]
