"""Providers and models under lock, and the versions that a change may be built on."""

from __future__ import annotations

from typing import Any

from catalog.models import Deployment, Provider
from lib.errors import RouterError
from tenancy.versions import changed_meanwhile, version_of

PROVIDER_FIELDS = ("name", "region", "active", "is_local")
MODEL_FIELDS = (
    "model",
    "upstream_model",
    "operation",
    "context_window",
    "max_output_tokens",
    "capabilities",
    "region",
    "quality",
    "active",
)
PRICE_FIELDS = (
    "input_nano_per_mtok",
    "cached_nano_per_mtok",
    "output_nano_per_mtok",
    "price_source",
    "price_as_of",
)


def provider_version(provider: Provider) -> str:
    """What tells what a provider says from what it said."""
    return version_of(told(provider, (*PROVIDER_FIELDS, "base_url")))


def deployment_version(deployment: Deployment) -> str:
    """What tells what a model at a provider says from what it said, its own price included."""
    return version_of(told(deployment, (*MODEL_FIELDS, *PRICE_FIELDS)))


def locked_provider(provider: Provider, match: str | None = None) -> Provider:
    """The provider under lock; raises ``RouterError``: 404 when it is gone, 412 see ``match``."""
    found = (
        Provider.objects.select_for_update()
        .filter(organization_id=provider.organization_id, id=provider.id)
        .first()
    )
    if found is None:
        raise RouterError(404, "not_found", "There is no such provider.", param="slug")
    if match not in (None, provider_version(found)):
        raise changed_meanwhile()
    return found


def locked_deployment(deployment: Deployment, match: str | None = None) -> Deployment:
    """The model under lock; raises ``RouterError``: 404 when it is gone, 412 see ``match``."""
    found = (
        Deployment.objects.select_for_update()
        .filter(organization_id=deployment.organization_id, id=deployment.id)
        .first()
    )
    if found is None:
        raise RouterError(404, "not_found", "There is no such model.", param="id")
    if match not in (None, deployment_version(found)):
        raise changed_meanwhile()
    return found


def told(row: Provider | Deployment, names: tuple[str, ...]) -> dict[str, Any]:
    """Some fields of a row, as the audit trail keeps them."""
    said = {name: getattr(row, name) for name in names}
    if said.get("price_as_of"):
        said["price_as_of"] = said["price_as_of"].isoformat()
    return said
