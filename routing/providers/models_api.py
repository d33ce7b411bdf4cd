"""/api/providers/{slug}/deployments: a provider's models and their prices."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Status

from catalog import selectors
from catalog.editing import clear_price, edit_deployment
from catalog.editing import remove_deployment as take_away
from catalog.models import Deployment, Provider
from catalog.presets import ModelPreset, known_model
from catalog.services import add_deployment, set_price
from catalog.versions import deployment_version
from lib.errors import RouterError
from lib.money import nano_from_usd
from routing.providers.api import found
from routing.providers.board import price_shown
from routing.providers.forms import invalid
from routing.providers.schemas import (
    DeploymentIn,
    DeploymentOut,
    DeploymentPatch,
    DeploymentsOut,
    PriceIn,
)
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged

router = Router(tags=["providers"])

_ONE = "/{slug:slug}/deployments/{uuid:deployment_id}"
_TOLD = (
    "id",
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


@router.get("/{slug:slug}/deployments", response=DeploymentsOut, summary="List a provider's models")
@in_scope
def list_deployments(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Every model of a provider with the price that holds; all in one page."""
    provider = found(request, slug)
    rows = selectors.deployments_of(provider.organization_id, [provider.id])
    return {"data": [_told(provider, row) for row in rows], "next_cursor": None}


@router.post("/{slug:slug}/deployments", response={201: DeploymentOut}, summary="Add a model")
@in_scope
def create_deployment(request: HttpRequest, slug: str, wanted: DeploymentIn) -> Any:
    """One more model at a provider; its name there may differ, as on Azure."""
    provider = found(request, slug)
    made = add_deployment(
        provider,
        _preset(provider, wanted),
        actor=holder(request).actor(request),
        upstream_model=wanted.upstream_model,
        region=wanted.region,
    )
    return Status(201, _told(provider, made))


@router.get(_ONE, response=DeploymentOut, summary="Show a model")
@in_scope
def show_deployment(
    request: HttpRequest, response: HttpResponse, slug: str, deployment_id: UUID
) -> dict[str, Any]:
    """One model at a provider, with the price that holds."""
    provider, row = _found(request, slug, deployment_id)
    return tagged(_told(provider, row), response, deployment_version(row))


@router.patch(_ONE, response=DeploymentOut, summary="Change a model")
@in_scope
def change_deployment(
    request: HttpRequest,
    response: HttpResponse,
    slug: str,
    deployment_id: UUID,
    wanted: DeploymentPatch,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Changes its names, limits, capabilities, region or quality, or turns it on or off."""
    _, row = _found(request, slug, deployment_id)
    sent = wanted.dict(exclude_unset=True)
    actor = holder(request).actor(request)
    with shows_current(lambda: show_deployment(request, response, slug, deployment_id)):
        edit_deployment(row, sent, actor=actor, match=match_of(if_match))
    return show_deployment(request, response, slug, deployment_id)


@router.delete(_ONE, response={204: None}, summary="Remove a model")
@in_scope
def remove_deployment(request: HttpRequest, slug: str, deployment_id: UUID) -> Any:
    """Takes it away from the provider; calls that it answered stay."""
    _, row = _found(request, slug, deployment_id)
    take_away(row, actor=holder(request).actor(request))
    return Status(204, None)


@router.put(f"{_ONE}/price", response=DeploymentOut, summary="Set your own price of a model")
@in_scope
def override_price(
    request: HttpRequest,
    response: HttpResponse,
    slug: str,
    deployment_id: UUID,
    wanted: PriceIn,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Wins over the price list from the next call on; exact to the nano-dollar."""
    _, row = _found(request, slug, deployment_id)
    today = timezone.localdate()
    if wanted.as_of is not None and wanted.as_of > today:
        raise invalid("as_of", "A price holds from now on; choose today or a day before.")
    cached = wanted.cached_usd_per_mtok
    with shows_current(lambda: show_deployment(request, response, slug, deployment_id)):
        set_price(
            row,
            input_nano=_nano("input_usd_per_mtok", wanted.input_usd_per_mtok),
            output_nano=_nano("output_usd_per_mtok", wanted.output_usd_per_mtok),
            cached_nano=None if cached is None else _nano("cached_usd_per_mtok", cached),
            source=wanted.source,
            as_of=wanted.as_of or today,
            actor=holder(request).actor(request),
            match=match_of(if_match),
        )
    return show_deployment(request, response, slug, deployment_id)


@router.delete(f"{_ONE}/price", response=DeploymentOut, summary="Use the price list again")
@in_scope
def forget_price(
    request: HttpRequest, response: HttpResponse, slug: str, deployment_id: UUID
) -> dict[str, Any]:
    """Takes your own price back; 422 where the price list does not know the model."""
    _, row = _found(request, slug, deployment_id)
    clear_price(row, actor=holder(request).actor(request))
    return show_deployment(request, response, slug, deployment_id)


def _found(request: HttpRequest, slug: str, deployment_id: UUID) -> tuple[Provider, Deployment]:
    provider = found(request, slug)
    row = selectors.deployment_of(provider, deployment_id)
    if row is None:
        message = "The provider has no such model."
        raise RouterError(404, "not_found", message, param="deployment_id")
    return provider, row


def _preset(provider: Provider, wanted: DeploymentIn) -> ModelPreset:
    """What the preset knows of the model, with what was sent instead."""
    known = known_model(provider.preset, wanted.upstream_model or wanted.model)
    given = {
        name: value
        for name in ("operation", "context_window", "max_output_tokens", "quality")
        if (value := getattr(wanted, name)) is not None
    }
    if wanted.capabilities is not None:
        given["capabilities"] = frozenset(wanted.capabilities)
    if known is not None:
        return replace(known, name=wanted.model, **given)
    for name in ("context_window", "max_output_tokens"):
        if name not in given:
            raise invalid(name, f'"{wanted.model[:80]}" is in no preset; say its tokens.')
    plain = {"capabilities": frozenset({"streaming"}), "quality": 50}
    return ModelPreset(name=wanted.model, **{**plain, **given})


def _told(provider: Provider, row: Deployment) -> dict[str, Any]:
    price = price_shown(row, provider, timezone.now())
    return {
        **{name: getattr(row, name) for name in _TOLD},
        "input_usd_per_mtok": price.input or None,
        "cached_usd_per_mtok": price.cached or None,
        "output_usd_per_mtok": price.output or None,
        "price_source": price.source,
        "price_as_of": price.since,
        "price_is_own": price.own,
    }


def _nano(param: str, usd: str) -> int:
    try:
        return nano_from_usd(usd)
    except ValueError as why:
        raise invalid(param, str(why)) from None
