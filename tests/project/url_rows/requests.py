"""The live tail of the list of requests."""

from __future__ import annotations

from tests.project.url_row import Row

ROWS = [
    Row("requests/live", "GET", "/requests/live", "in 200 200 200 200 200 in in in in"),
]
