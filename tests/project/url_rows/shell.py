"""Addresses of the frame around the pages."""

from __future__ import annotations

from tests.project.url_row import Row

ROWS = [
    Row("palette", "GET", "/palette", "in 200 200 200 200 200 in in in in"),
    Row(
        "enterprise-router/keys",
        "GET",
        "/enterprise-router/keys",
        "405 405 405 405 405 405 405 405 405 405",
    ),
    Row(
        "enterprise-router/keys",
        "POST",
        "/enterprise-router/keys",
        "302 302 302 302 302 302 302 302 302 302",
        {"keys": "off"},
    ),
]
