"""All that is known of an organization as one file: configuration, sums, calls, what was said.

It is for who may read every prompt and every answer: admins, owners and keys of the admin scope.
Rows are read in batches, and few of those that may be large at once, so that neither memory nor a
transaction grows with the organization.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model, Q
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from analytics.bodies import Body, opened
from analytics.models import Call, CallBodies
from tenancy import audit
from tenancy.core import Actor
from tenancy.download import BATCH_ROWS, download, in_batches, json_line
from tenancy.export import configuration, told_fields, told_row

# Each may hold twice routing.tape.KEPT_BYTES_MAX.
BATCH_BODIES = 50
CONTENT_TYPE = "application/x-ndjson"


def export_organization(
    request: HttpRequest, organization_id: UUID, *, name: str, actor: Actor
) -> StreamingHttpResponse:
    """The file as a download; that it was taken is audited. Needs the scope."""
    if request.method == "GET":
        audit.record(
            organization_id,
            actor,
            action="organization.export",
            kind="organization",
            object_id=organization_id,
            name=name,
        )
    return download(
        request,
        everything(organization_id),
        filename=f"organization-{timezone.localdate().isoformat()}.jsonl",
        content_type=CONTENT_TYPE,
    )


def everything(organization_id: UUID) -> Iterator[bytes]:
    """Lines of JSON, each with its ``kind``; opens scopes of its own."""
    for rows in (
        configuration(organization_id),
        *(_sums(organization_id, model) for model in summed_models()),
        _calls(organization_id),
        _said(organization_id),
    ):
        for row in rows:
            yield json_line(row) + b"\n"


def summed_models() -> list[type[Model]]:
    """Every table of the ledger that holds sums of an organization's calls; a new one by itself."""
    return [
        model
        for model in apps.get_app_config("analytics").get_models()
        if model not in (Call, CallBodies)
        and any(field.attname == "organization_id" for field in model._meta.concrete_fields)
    ]


def _sums(organization_id: UUID, model: type[Model]) -> Iterator[dict[str, Any]]:
    def read(last: Model | None) -> list[Model]:
        found = model._base_manager.filter(organization_id=organization_id).order_by("pk")
        return list((found if last is None else found.filter(pk__gt=last.pk))[:BATCH_ROWS])

    for row in in_batches(organization_id, read, rows=BATCH_ROWS):
        yield told_row(row, told_fields(model))


def _calls(organization_id: UUID) -> Iterator[dict[str, Any]]:
    def read(last: Call | None) -> list[Call]:
        found = Call.objects.filter(organization_id=organization_id)
        if last is not None:
            found = found.filter(
                Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, id__lt=last.id),
                created_at__lte=last.created_at,
            )
        return list(found.order_by("-created_at", "-id")[:BATCH_ROWS])

    for call in in_batches(organization_id, read, rows=BATCH_ROWS):
        yield told_row(call, told_fields(Call))


def _said(organization_id: UUID) -> Iterator[dict[str, Any]]:
    """What was asked and answered, as far as it is stored; null where it does not open."""

    def read(last: CallBodies | None) -> list[CallBodies]:
        found = CallBodies.objects.filter(organization_id=organization_id).order_by("call_id")
        if last is not None:
            found = found.filter(call_id__gt=last.call_id)
        return list(found[:BATCH_BODIES])

    for row in in_batches(organization_id, read, rows=BATCH_BODIES):
        said = opened(row)
        yield {
            "kind": "callbodies",
            "call_id": row.call_id,
            "created_at": row.created_at,
            "request": said and _body(said.request),
            "answer": said and _body(said.answer),
        }


def _body(body: Body) -> dict[str, Any]:
    return {"text": body.text, "size": body.size, "is_cut": body.is_cut}
