"""What a provider's refusal, error or broken connection means for the call."""

from __future__ import annotations

import time
from dataclasses import replace

from routing.core import RETRYABLE, Failure
from routing.upstream import Response, UpstreamError
from routing.wire.base import UpstreamFailure, Wire

ERROR_BYTES_MAX = 256 * 2**10

EMPTY_STREAM = UpstreamFailure(
    status=502,
    code="upstream_empty",
    type="upstream_error",
    message="The provider's stream ended before any content.",
    kind="protocol",
)
NO_CONTENT = UpstreamFailure(
    status=504,
    code="upstream_timeout",
    type="upstream_error",
    message="The provider kept its stream open and sent no content.",
    kind="protocol",
)
NO_STREAM = UpstreamFailure(
    status=502,
    code="upstream_protocol",
    type="upstream_error",
    message="The provider answered a streaming request without a stream.",
    kind="protocol",
)
_CREDENTIAL_STATUS = frozenset({401, 402, 403})
_TIMEOUTS = {"first_byte": "before the first byte", "body": "in the middle", "connect": ""}


async def refused(wire: Wire, response: Response) -> Failure:
    """A provider's error answer as a failure: whose fault, and what the client is told."""
    body = await response.read(ERROR_BYTES_MAX)
    told = wire.decode_error(response.status, body, response.headers, now=time.time())
    status = response.status
    failure = _call_failure(status, told)
    if status in _CREDENTIAL_STATUS:
        failure = _credential_failure(status)
    elif status == 404 or status in RETRYABLE or status >= 500 or status < 400:
        failure = _deployment_failure(status, told)
    return replace(failure, answered=status)


def in_band(told: UpstreamFailure) -> Failure:
    """An error inside a 200, or a 200 that is no answer, as a failure."""
    failure = _deployment_failure(told.status if told.status != 200 else 502, told)
    if told.status in _CREDENTIAL_STATUS:
        failure = _credential_failure(told.status)
    elif 400 <= told.status < 500 and told.status not in RETRYABLE and told.status != 404:
        failure = _call_failure(told.status, told)
    if told.kind == "protocol":
        # The status is the router's word for it, the provider said none.
        return replace(failure, message=told.message)
    return replace(failure, answered=told.status)


def _call_failure(status: int, told: UpstreamFailure) -> Failure:
    return Failure(
        status,
        told.code or "invalid_request",
        told.message,
        scope="call",
        type=told.type,
        param=told.param,
        retry_after_s=told.retry_after_s,
    )


def _credential_failure(status: int) -> Failure:
    if status == 402:
        message = "The provider's account has no credit left. Top it up, or use another provider."
        return Failure(502, "provider_credit_exhausted", message, scope="credential")
    return Failure(
        502,
        "provider_credential_refused",
        f"The provider refused its credential ({status}). Renew it.",
        scope="credential",
    )


def _deployment_failure(status: int, told: UpstreamFailure) -> Failure:
    if status == 429:
        return Failure(
            429,
            told.code or "upstream_rate_limited",
            f"The provider is limiting calls: {told.message}",
            type="rate_limit_error",
            retry_after_s=told.retry_after_s,
        )
    timed_out = status in (408, 504)
    return Failure(
        504 if timed_out else 502,
        "upstream_timeout" if timed_out else "upstream_error",
        f"The provider answered {status}: {told.message}",
        retry_after_s=told.retry_after_s,
        # A model that is not there now is not there in half a second either.
        may_pass=status != 404,
    )


def broken(why: UpstreamError) -> Failure:
    """A connection that failed, as a failure; the message names no address."""
    if why.kind == "busy":
        message = "Too many calls to this provider are open at once. Try again in a moment."
        return Failure(503, "router_busy", message, scope="wire", retry_after_s=1.0)
    if why.kind == "timeout":
        when = _TIMEOUTS.get(why.phase, "")
        message = f"The provider took too long {when}".strip() + "."
        return Failure(504, "upstream_timeout", message, may_pass=not why.sent)
    code = {
        "connect": "upstream_unreachable",
        "dns": "upstream_unreachable",
        "tls": "upstream_unreachable",
        "forbidden_address": "upstream_address_refused",
        "too_large": "upstream_too_large",
        "reset": "upstream_cut",
    }.get(why.kind, "upstream_protocol")
    return Failure(502, code, _BROKEN_WORDS[code])


_BROKEN_WORDS = {
    "upstream_unreachable": "The provider cannot be reached.",
    "upstream_address_refused": "The provider's address is not one that may be called.",
    "upstream_too_large": "The provider's answer is larger than the router takes.",
    "upstream_cut": "The provider cut the connection.",
    "upstream_protocol": "The provider's answer is not understood.",
}


def as_upstream(failure: Failure) -> UpstreamFailure:
    return UpstreamFailure(
        status=failure.status, code=failure.code, type=failure.type, message=failure.message
    )
