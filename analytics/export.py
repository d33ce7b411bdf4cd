"""All that is known of an organization as one file: its configuration, then its calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Q

from analytics.models import Call
from tenancy.download import BATCH_ROWS, in_batches, json_line
from tenancy.export import configuration


def everything(organization_id: UUID) -> Iterator[bytes]:
    """Lines of JSON, each with its ``kind``; opens scopes of its own."""
    for row in configuration(organization_id):
        yield json_line(row) + b"\n"
    for row in _calls(organization_id):
        yield json_line(row) + b"\n"


def _calls(organization_id: UUID) -> Iterator[dict[str, Any]]:
    fields = [field.attname for field in Call._meta.concrete_fields]

    def read(last: Call | None) -> list[Call]:
        found = Call.objects.filter(organization_id=organization_id)
        if last is not None:
            found = found.filter(
                Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, id__lt=last.id),
                created_at__lte=last.created_at,
            )
        return list(found.order_by("-created_at", "-id")[:BATCH_ROWS])

    for call in in_batches(organization_id, read):
        yield {"kind": "call", **{name: getattr(call, name) for name in fields}}
