"""Errors in the two wires' own shapes.

RequestError
    a request that cannot be served, or a fault that was asked for; knows its status
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from catalog.sandbox.models import Wire

_OPENAI_TYPES = {401: "invalid_request_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "overloaded", 529: "overloaded"}
_MESSAGES = {
    429: "Sandbox: rate limit reached. Try again later.",
    500: "Sandbox: the server had an error while processing your request.",
    503: "Sandbox: the engine is currently overloaded. Try again later.",
    529: "Sandbox: overloaded.",
}


class RequestError(Exception):
    """A request that gets an error status. ``param`` names the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


def asked_for(status: int, *, retry_after_s: float | None = None) -> RequestError:
    """The error that a fault stands for."""
    message = _MESSAGES.get(status, f"Sandbox: this call was asked to fail with {status}.")
    return RequestError(status, message, code=_CODES.get(status), retry_after_s=retry_after_s)


def invalid(error: msgspec.MsgspecError) -> RequestError:
    """400 for a body that is not JSON or has a wrong field, which ``param`` names."""
    text = str(error)
    fault, _, path = text.partition(" - at `")
    at = path.rstrip("`").removeprefix("$").lstrip(".")
    if "field `" in fault:
        field = fault.split("field `", 1)[1].rstrip("`")
        at = f"{at}.{field}" if at else field
    message = f"{at}: {fault}." if at else f"{fault}."
    return RequestError(400, message, param=at or None)


def body(wire: Wire, error: RequestError, request_id: str) -> bytes:
    """The error as a JSON document of this wire."""
    return msgspec.json.encode(_document(wire, error, request_id))


def event(wire: Wire, error: RequestError, request_id: str) -> bytes:
    """The error as an event inside a stream that began well."""
    prefix = b"event: error\n" if wire == "anthropic" else b""
    return prefix + b"data: " + body(wire, error, request_id) + b"\n\n"


def headers(error: RequestError) -> list[tuple[bytes, bytes]]:
    """Retry-After in whole seconds, and in milliseconds as OpenAI's clients read it."""
    if error.retry_after_s is None:
        return []
    return [
        (b"retry-after", b"%d" % math.ceil(error.retry_after_s)),
        (b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)),
    ]


def _document(wire: Wire, error: RequestError, request_id: str) -> dict[str, Any]:
    if wire == "anthropic":
        kind = _ANTHROPIC_TYPES.get(
            error.status, "api_error" if error.status >= 500 else "invalid_request_error"
        )
        return {
            "type": "error",
            "error": {"type": kind, "message": error.message},
            "request_id": request_id,
        }
    kind = _OPENAI_TYPES.get(
        error.status, "server_error" if error.status >= 500 else "invalid_request_error"
    )
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": error.code,
        }
    }
