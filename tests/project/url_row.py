"""One operation of the product, who may use it and what they get.

Columns: nobody, a stranger (who owns another organization), viewer, member, admin and owner by
session; then a key of both scopes, another organization's key, a revoked key and a key of the
gateway scope alone. A key opens no page and a session no API. ``in`` leads to the sign-in page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ACTORS = (
    "nobody",
    "stranger",
    "viewer",
    "member",
    "admin",
    "owner",
    "key",
    "rival_key",
    "revoked_key",
    "gateway_key",
)


SIGN_IN = "in"


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: the pattern it stands for, how to ask, and a status per actor.

    ``path`` may hold ids of the organization's rows: {call}, {key}, {viewer} (a membership),
    {invitation}, {token}, and {alice}, its owner; see ``test_urls``. /api is sent JSON.
    """

    pattern: str
    method: str
    path: str
    statuses: str
    data: dict[str, Any] = field(default_factory=dict)

    def expected(self) -> dict[str, str]:
        """What each actor gets: a status, or the way to the sign-in page."""
        words = self.statuses.split()
        assert len(words) == len(ACTORS), self.pattern
        return dict(zip(ACTORS, words, strict=True))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


NO_PAGE = "404 404 404 404 404 404 404 404 404 404"
