"""Reads of providers and deployments; all need the organization's scope."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from catalog.models import Credential, Deployment, Provider


def providers(organization_id: UUID) -> QuerySet[Provider]:
    """Every provider with its live credential, by name."""
    live = Credential.objects.filter(organization_id=organization_id, active=True)
    return (
        Provider.objects.filter(organization_id=organization_id)
        .prefetch_related(Prefetch("credentials", queryset=live.order_by("-created_at")))
        .order_by("name", "id")
    )


def provider_slugs(organization_id: UUID) -> dict[str, str]:
    """Names of the organization's providers by slug."""
    rows = Provider.objects.filter(organization_id=organization_id).order_by("name")
    return dict(rows.values_list("slug", "name"))


def sandbox_slugs(organization_id: UUID) -> set[str]:
    """The providers whose answers are made up, and whose prices nobody charges."""
    rows = Provider.objects.filter(organization_id=organization_id, is_sandbox=True)
    return set(rows.values_list("slug", flat=True))


def provider(organization_id: UUID, slug: str) -> Provider | None:
    """The provider of that slug."""
    return Provider.objects.filter(organization_id=organization_id, slug=slug).first()


def deployment(provider: Provider, model: str) -> Deployment | None:
    """The provider's deployment of a model, active or not."""
    return Deployment.objects.filter(
        organization_id=provider.organization_id, provider=provider, model=model
    ).first()


def deployment_of(provider: Provider, deployment_id: UUID) -> Deployment | None:
    """The provider's deployment of that id, active or not."""
    return Deployment.objects.filter(
        organization_id=provider.organization_id, provider=provider, id=deployment_id
    ).first()


def deployments_of(organization_id: UUID, provider_ids: Sequence[UUID]) -> QuerySet[Deployment]:
    """Every deployment of some providers, active or not, by model."""
    return Deployment.objects.filter(
        organization_id=organization_id, provider_id__in=provider_ids
    ).order_by("model", "id")


def model_names(provider: Provider) -> list[str]:
    """The models that a provider has, active or not."""
    rows = Deployment.objects.filter(organization_id=provider.organization_id, provider=provider)
    return list(rows.values_list("model", flat=True))


def deployments(organization_id: UUID) -> QuerySet[Deployment]:
    """Every active deployment of an active provider."""
    return (
        Deployment.objects.filter(
            organization_id=organization_id, active=True, provider__active=True
        )
        .select_related("provider")
        .order_by("model", "provider__slug", "id")
    )
