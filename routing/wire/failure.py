"""Errors of providers, whatever their shape, as one UpstreamFailure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from types import MappingProxyType
from typing import Any

import msgspec

from routing.wire.base import UpstreamFailure

MESSAGE_CHARS_MAX = 500
RETRY_AFTER_S_MAX = 86_400.0

_NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})

# The HTTP status a provider would have sent, for errors that arrive inside a 200.
_STATUS_BY_NAME = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_STATUS_UNKNOWN = 502

_TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def decode_error(
    status: int,
    body: bytes,
    headers: Mapping[bytes, bytes] = _NO_HEADERS,
    *,
    now: float | None = None,
) -> UpstreamFailure:
    """A provider's error answer: OpenAI's, Anthropic's, Google's and plain shapes are read.

    ``headers`` have lower-case names; ``now`` is Unix seconds, without it a date in
    Retry-After is passed over. Never raises: a body that says nothing is described by its status.
    """
    error = _error_of(body)
    type_ = _word(error, "type") or _TYPE_BY_STATUS.get(status, "upstream_error")
    return UpstreamFailure(
        status=status,
        code=_word(error, "code") or _word(error, "status"),
        type=type_,
        message=_message(error) or f"The provider answered with status {status}.",
        retry_after_s=retry_after_s(headers, now=now),
        param=_word(error, "param"),
    )


def event_failure(error: Any) -> UpstreamFailure:
    """An error found inside a 200: the value of ``error``, an object or a bare message."""
    found = error if isinstance(error, dict) else {"message": error}
    code = found.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) else 0
    names = (_word(found, "code"), _word(found, "type"))
    if not 400 <= status <= 599:
        known = [_STATUS_BY_NAME[name] for name in names if name in _STATUS_BY_NAME]
        status = known[0] if known else _STATUS_UNKNOWN
    return UpstreamFailure(
        status=status,
        code=names[0],
        type=names[1] or _TYPE_BY_STATUS.get(status, "upstream_error"),
        message=_message(found) or "The provider reported an error and did not say which.",
        kind="event",
    )


def protocol_failure(message: str) -> UpstreamFailure:
    """Bytes that are no answer in the provider's format."""
    return UpstreamFailure(
        status=_STATUS_UNKNOWN,
        code="upstream_protocol",
        type="upstream_error",
        message=message,
        kind="protocol",
    )


def retry_after_s(headers: Mapping[bytes, bytes], *, now: float | None = None) -> float | None:
    """Seconds to wait as ``retry-after-ms`` or ``retry-after`` (seconds or date) say, else None."""
    wait_ms = _number(headers.get(b"retry-after-ms", b"").decode("latin-1"))
    if wait_ms is not None:
        return _bounded(wait_ms / 1000)
    text = headers.get(b"retry-after", b"").decode("latin-1").strip()
    if not text:
        return None
    wait_s = _number(text)
    if wait_s is None and now is not None:
        parts = parsedate_tz(text)
        try:
            wait_s = None if parts is None else mktime_tz(parts) - now
        except (ValueError, OverflowError):
            return None
    return None if wait_s is None else _bounded(wait_s)


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A proxy's page is noise to the caller; a plain sentence is worth keeping.
        text = body[: MESSAGE_CHARS_MAX * 4].decode("utf-8", "replace").strip()
        return {} if text.startswith("<") else {"message": text}
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return {"message": found}
    inner = found.get("error")
    if isinstance(inner, dict):
        return inner
    return {**found, "message": inner} if isinstance(inner, str) else found


def _message(error: dict[str, Any]) -> str:
    for key in ("message", "detail", "error_description", "msg"):
        value = error.get(key)
        if isinstance(value, str) and value:
            return value[:MESSAGE_CHARS_MAX]
        if isinstance(value, dict | list) and value:
            return msgspec.json.encode(value).decode()[:MESSAGE_CHARS_MAX]
    return ""


def _word(error: dict[str, Any], key: str) -> str | None:
    value = error.get(key)
    if isinstance(value, str) and value:
        return value[:64]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)
