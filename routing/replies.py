"""Errors as the replies that clients get, in OpenAI's shape. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from lib.errors import RouterError
from routing.core import Failure
from routing.incoming import Reply
from routing.model import Refusal


def error_reply(refused: RouterError, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """The answer to a request that was refused or that failed."""
    told = [(b"content-type", b"application/json"), *refused.headers(), *headers]
    return Reply(refused.status, told, orjson.dumps(refused.body()))


def as_error(why: Failure | Refusal) -> RouterError:
    """A provider's failure or the router's refusal, as the error that says so."""
    return RouterError(
        why.status,
        why.code,
        why.message,
        type=why.type,
        param=why.param,
        retry_after_s=why.retry_after_s,
    )


def bug(call_id: str) -> RouterError:
    """The error for a call on which the router itself failed."""
    return RouterError(
        500,
        "internal_error",
        f"The router failed on this call. Tell its operator the call's id: {call_id}.",
        type="server_error",
    )
