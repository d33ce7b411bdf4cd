"""Versions in the API: each answer about something that can be changed has its own as ETag.

A change that sends it as If-Match is refused (412) when somebody else changed the same since; the
problem then says what there is now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpResponse
from ninja.params.functions import Header

from lib.errors import RouterError

IfMatch = Annotated[
    str,
    Header(
        alias="If-Match",
        description="The ETag of the answer that this change is built on; left out, the change "
        "holds whatever is stored.",
        examples=['"1795256867331000"'],
    ),
]


def match_of(if_match: str) -> str | None:
    """The version of an If-Match header; ``*`` matches whatever is stored."""
    tag = if_match.strip().removeprefix("W/").strip('"')
    return None if tag in ("", "*") else tag


def tagged(told: dict[str, Any], response: HttpResponse, version: str) -> dict[str, Any]:
    """The answer, with its version in the response."""
    response["ETag"] = f'"{version}"'
    return told


@contextmanager
def shows_current(read: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Lets a change that comes too late say what there is now."""
    try:
        yield
    except RouterError as why:
        if why.status == HTTPStatus.PRECONDITION_FAILED:
            why.current = read()
        raise
