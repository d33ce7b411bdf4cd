"""Versions of what several people may change: a tag over all that it says, for If-Match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lib.errors import RouterError

_DIGITS = 16


def version_of(told: Mapping[str, Any]) -> str:
    """What tells these values from any others."""
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def check_version(told: Mapping[str, Any], match: str | None) -> None:
    """Raises ``RouterError`` (412) unless ``match`` is None or the version of these values.

    Call it under the lock under which they are changed.
    """
    if match not in (None, version_of(told)):
        raise changed_meanwhile()


def changed_meanwhile() -> RouterError:
    """A change that is built on what is no more."""
    message = "This was changed since you read it. Read it again, and send its ETag as If-Match."
    return RouterError(412, "changed_meanwhile", message, param="If-Match")
