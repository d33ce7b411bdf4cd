"""Versions of what several people may change: a tag over all that it says, for If-Match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from lib.errors import RouterError

CHANGED_MEANWHILE = "changed_meanwhile"
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


def page_status(why: RouterError) -> int:
    """The status of a page that tells an error: a form sends no If-Match that could fail."""
    return HTTPStatus.CONFLICT if why.code == CHANGED_MEANWHILE else why.status


def differences(
    labels: Mapping[str, str], typed: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """Label and stored value of each field that was typed otherwise, as people read them."""
    return tuple(
        (label, _words(stored.get(name)))
        for name, label in labels.items()
        if _words(typed.get(name)) != _words(stored.get(name))
    )


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(sorted(map(str, value))) or "none"
    return "empty" if value in (None, "") else str(value).strip()


def changed_meanwhile() -> RouterError:
    """A change that is built on what is no more."""
    message = "This was changed since you read it. Read it again, and send its ETag as If-Match."
    return RouterError(412, CHANGED_MEANWHILE, message, param="If-Match")
