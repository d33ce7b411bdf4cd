"""Edits and removals of providers and deployments; each is audited and announced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.checks import (
    REGION_CHARS_MAX,
    check_local,
    check_models,
    checked_line,
    checked_model_name,
    checked_name,
    invalid,
)
from catalog.models import Deployment, Provider
from catalog.presets import ModelPreset
from catalog.prices import price_for
from catalog.versions import (
    MODEL_FIELDS,
    PRICE_FIELDS,
    PROVIDER_FIELDS,
    locked_deployment,
    locked_provider,
    told,
)
from lib.errors import RouterError
from tenancy import audit
from tenancy.core import Actor
from tenancy.scope import tenant_scope


def edit_provider(
    provider: Provider,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    confirm_local: bool = False,
    match: str | None = None,
) -> Provider:
    """Changes some of a provider's name, region, ``active`` and ``is_local``.

    Raises ``RouterError``: 422 naming the field that is wrong, 412 when ``match`` is given and is
    not ``provider_version``.
    """
    with tenant_scope(provider.organization_id):
        edited = locked_provider(provider, match)
        before = told(edited, PROVIDER_FIELDS)
        for name in PROVIDER_FIELDS:
            if name in changes:
                setattr(edited, name, changes[name])
        edited.name = checked_name(edited.name)
        edited.region = checked_line(edited.region, "region", REGION_CHARS_MAX)
        if edited.is_local and not before["is_local"]:
            check_local(edited.base_url, confirmed=confirm_local)
        after = told(edited, PROVIDER_FIELDS)
        if after != before:
            edited.save(update_fields=[*PROVIDER_FIELDS, "updated_at"])
            audit.record_of(edited, actor, "provider.update", before=before, after=after)
    return edited


def mark_tested(organization_id: UUID, slug: str) -> None:
    """Notes that a test of a provider succeeded just now, inside the organization's scope.

    Nothing that it says changes, so that no version does either.
    """
    Provider.objects.filter(organization_id=organization_id, slug=slug).update(
        tested_at=timezone.now()
    )


def remove_provider(provider: Provider, *, actor: Actor) -> None:
    """Takes a provider away with its credentials and models; calls that it answered stay."""
    with tenant_scope(provider.organization_id):
        gone = locked_provider(provider)
        models = gone.deployments.filter(organization_id=gone.organization_id)
        before = {"base_url": gone.base_url, "models": sorted(d.model for d in models)}
        audit.record_of(gone, actor, "provider.remove", before=before, after={})
        gone.delete()


def edit_deployment(
    deployment: Deployment,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    match: str | None = None,
) -> Deployment:
    """Changes some fields of a model at a provider.

    Raises ``RouterError``: 422 naming the field that is wrong, 409 when the provider has a model
    of that name, 412 when ``match`` is given and is not ``deployment_version``.
    """
    with tenant_scope(deployment.organization_id):
        edited = locked_deployment(deployment, match)
        before = told(edited, MODEL_FIELDS)
        for name in MODEL_FIELDS:
            if name in changes:
                setattr(edited, name, changes[name])
        check_models([_as_preset(edited)])
        edited.capabilities = sorted(edited.capabilities)
        edited.upstream_model = checked_model_name(edited.upstream_model, "upstream_model")
        edited.region = checked_line(edited.region, "region", REGION_CHARS_MAX)
        after = told(edited, MODEL_FIELDS)
        if after != before:
            try:
                with transaction.atomic():
                    edited.save()
            except IntegrityError:
                taken = f"The provider has the model {edited.model} already."
                raise RouterError(409, "already_exists", taken, param="model") from None
            audit.record_of(edited, actor, "deployment.update", before=before, after=after)
    return edited


def clear_price(deployment: Deployment, *, actor: Actor) -> Deployment:
    """Takes the organization's own price back, so that the price list's holds again.

    Raises ``RouterError`` (422) where the list has none, because no price would be left.
    """
    with tenant_scope(deployment.organization_id):
        edited = locked_deployment(deployment)
        preset = Provider.objects.values_list("preset", flat=True).get(
            organization_id=edited.organization_id, id=edited.provider_id
        )
        if price_for(preset, edited.upstream_model, at=timezone.now()) is None:
            unknown = f"The price list does not know {edited.upstream_model}; set a price instead."
            raise invalid("source", unknown)
        before = told(edited, PRICE_FIELDS)
        edited.input_nano_per_mtok = None
        edited.cached_nano_per_mtok = None
        edited.output_nano_per_mtok = None
        edited.price_source = ""
        edited.price_as_of = None
        after = told(edited, PRICE_FIELDS)
        if after != before:
            edited.save()
            audit.record_of(edited, actor, "deployment.clear_price", before=before, after=after)
    return edited


def remove_deployment(deployment: Deployment, *, actor: Actor) -> None:
    """Takes a model away from its provider; calls that it answered stay."""
    with tenant_scope(deployment.organization_id):
        gone = locked_deployment(deployment)
        before = {"model": gone.model, "upstream_model": gone.upstream_model}
        audit.record_of(gone, actor, "deployment.remove", before=before, after={})
        gone.delete()


def _as_preset(row: Deployment) -> ModelPreset:
    return ModelPreset(
        row.model,
        row.context_window,
        row.max_output_tokens,
        frozenset(row.capabilities),
        row.quality,
        row.operation,
    )
