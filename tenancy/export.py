"""Everything that an organization configured, a line of JSON per row, without a secret.

1. Every table of organizations is told that is kept by migrations; a new one by itself.
2. No column of bytes is: those are secrets, sealed, or digests of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import BinaryField, Field, Model

from tenancy.download import BATCH_ROWS, in_batches
from tenancy.models import Membership, Organization
from tenancy.selectors import member_emails

# Answers of the API hold what was told once.
LEFT_OUT = {"tenancy.IdempotentAnswer", "tenancy.ApiKeySecret"}

KIND = "kind"

Fields = list["Field[Any, Any]"]


def configuration(organization_id: UUID) -> Iterator[dict[str, Any]]:
    """Settings, members, keys, providers, preferences and the trail, each row with its kind.

    Opens scopes of its own.
    """
    models: list[type[Model]] = [Organization, *exported_models()]
    for model in models:
        yield from _rows(organization_id, model)


def exported_models() -> list[type[Model]]:
    """Every table of organizations that is told, but the organization's own."""
    return [
        model
        for model in apps.get_models()
        if model._meta.managed
        and model._meta.label not in LEFT_OUT
        and any(field.attname == "organization_id" for field in model._meta.concrete_fields)
    ]


def told_fields(model: type[Model]) -> Fields:
    """The columns of a table that are told."""
    return [field for field in model._meta.concrete_fields if not isinstance(field, BinaryField)]


def told_row(row: Model, fields: Fields) -> dict[str, Any]:
    """A row by its columns, with the ``kind`` of thing it is; a column of that name gives way."""
    name = row._meta.model_name
    told = {field.attname: getattr(row, field.attname) for field in fields}
    if KIND in told:
        told[f"{name}_{KIND}"] = told.pop(KIND)
    return {KIND: name, **told}


def _rows(organization_id: UUID, model: type[Model]) -> Iterator[dict[str, Any]]:
    column = "id" if model is Organization else "organization_id"
    fields = told_fields(model)
    emails: dict[UUID, str] = {}

    def read(last: Model | None) -> list[Model]:
        if model is Membership and not emails:
            emails.update(member_emails(organization_id))
        found = model._base_manager.filter(**{column: organization_id}).order_by("pk")
        if last is not None:
            found = found.filter(pk__gt=last.pk)
        return list(found.only(*(field.attname for field in fields))[:BATCH_ROWS])

    for row in in_batches(organization_id, read):
        told = told_row(row, fields)
        if isinstance(row, Membership):
            told["email"] = emails.get(row.user_id)
        yield told
