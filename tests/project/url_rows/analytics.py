"""Addresses of the Analytics tab."""

from __future__ import annotations

from tests.project.url_row import Row

API = "401 401 401 401 401 401 200 200 401 403"

ROWS = [
    Row(
        "enterprise-router/analytics",
        "GET",
        "/enterprise-router/analytics",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "enterprise-router/analytics/export",
        "GET",
        "/enterprise-router/analytics/export?format=csv",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "enterprise-router/analytics/fig/<slug:name>.json",
        "GET",
        "/enterprise-router/analytics/fig/spend.json?range=7d",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "enterprise-router/analytics/fig/<slug:name>.json",
        "GET",
        "/enterprise-router/analytics/fig/nothing.json",
        "in 404 404 404 404 404 in in in in",
    ),
    Row(
        "enterprise-router/analytics/fig/<slug:name>.csv",
        "GET",
        "/enterprise-router/analytics/fig/spend.csv?range=7d",
        "in 200 200 200 200 200 in in in in",
    ),
    *(
        Row(f"api/analytics/{name}", "GET", f"/api/analytics/{name}", API)
        for name in ("summary", "series", "export")
    ),
]
