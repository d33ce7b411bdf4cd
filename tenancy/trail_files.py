"""The audit trail as a file, streamed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from tenancy import trail
from tenancy.download import csv_lines, download, json_array
from tenancy.trail import TrailFilters

FORMATS = ("csv", "json")


def trail_file(
    request: HttpRequest, organization_id: UUID, filters: TrailFilters, *, kind: str
) -> StreamingHttpResponse:
    """Every entry that passes the filters, the newest first; ``kind`` is one of ``FORMATS``."""
    found = trail.rows(organization_id, filters)
    name = f"audit-log-{timezone.localdate().isoformat()}.{kind}"
    if kind == "json":
        return download(request, json_array(found), filename=name, content_type="application/json")
    table = ([_iso(row[column]) for column in trail.COLUMNS] for row in found)
    return download(
        request,
        csv_lines(trail.COLUMNS, table),
        filename=name,
        content_type="text/csv; charset=utf-8",
    )


def _iso(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
