"""The one error that a client sees: it knows its status, code, message and headers.

A client of an OpenAI-style SDK retries 408, 409, 429 and 5xx by itself; ``x-should-retry`` tells it
not to where waiting cannot help.

====  =====================  ===================================================================
401   authentication_error   invalid_api_key, key_revoked, key_expired
402   billing_error          credit_balance_exhausted; no retry-after
403   permission_error       model_not_allowed and its like, for models, routes and addresses
404   invalid_request_error  model_not_found, also for what belongs to another organization
429   rate_limit_error       rate_limit_exceeded: requests, tokens or calls at once; retry-after
429   rate_limit_error       budget_reserved: held by calls in flight; retry-after of 1 to 5 s
429   insufficient_quota     budget_exceeded, request_exceeds_budget; x-should-retry: false
503   server_error           overloaded, accounting_unavailable, budget_unavailable; retry-after
502   upstream_error         every provider failed
504   upstream_timeout       every provider failed, the last one by its time
====  =====================  ===================================================================
"""

from __future__ import annotations

import math
from typing import Any


class RouterError(Exception):
    """An expected failure of a call, mapped to a response by one handler.

    ``message`` names the value and the way out. It reaches the client: no secrets, no internals.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.type = type
        self.param = param
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        # What there is now, to who changed what is no more; /api tells it.
        self.current: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """The response's JSON in OpenAI's shape."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell a client when, or whether, to try again; empty when neither."""
        headers: list[tuple[bytes, bytes]] = []
        if self.retry_after_s is not None:
            # Rounded up: a client that waits what it was told must not come too early.
            headers.append((b"retry-after", b"%d" % math.ceil(self.retry_after_s)))
            headers.append((b"retry-after-ms", b"%d" % math.ceil(self.retry_after_s * 1000)))
        if self.should_retry is not None:
            headers.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        return headers
