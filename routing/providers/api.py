"""/api/providers: everything that the pages of providers do."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Status

from catalog import selectors
from catalog.editing import edit_provider
from catalog.models import Provider
from catalog.presets import PRESETS
from catalog.services import (
    SANDBOX_SLUG,
    change_address,
    connect_provider,
    connect_sandbox,
    set_credential,
)
from catalog.versions import provider_version
from lib.errors import RouterError
from routing.providers.asking import check_provider
from routing.providers.board import ProviderCard, cards
from routing.providers.forms import needs
from routing.providers.health import read_health
from routing.providers.schemas import (
    AddressIn,
    CheckOut,
    ConnectedProviderOut,
    ConnectedProvidersOut,
    PresetsOut,
    ProviderIn,
    ProviderPatch,
    SecretIn,
)
from routing.providers.services import disconnect_provider
from tenancy.api_auth import holder, in_scope
from tenancy.api_versions import IfMatch, match_of, shows_current, tagged

router = Router(tags=["providers"])


@router.get("", response=ConnectedProvidersOut, summary="List providers")
@in_scope
def list_providers(request: HttpRequest) -> dict[str, Any]:
    """Every provider of the organization with its state now; all in one page."""
    organization_id = holder(request).organization_id
    return {"data": _told(list(selectors.providers(organization_id))), "next_cursor": None}


@router.get("/presets", response=PresetsOut, summary="List presets of providers")
@in_scope
def list_presets(request: HttpRequest) -> dict[str, Any]:
    """The providers that are known here, with what each needs."""
    data = [
        {
            "slug": preset.slug,
            "name": preset.name,
            "base_url": preset.base_url,
            "needs": needs(preset),
            "wire": preset.wire,
            "is_local": preset.is_local,
            "models": [model.name for model in preset.models],
        }
        for preset in PRESETS.values()
    ]
    return {"data": data, "next_cursor": None}


@router.post("", response={201: ConnectedProviderOut}, summary="Connect a provider")
@in_scope
def connect(request: HttpRequest, wanted: ProviderIn) -> Any:
    """A provider with its credential and its preset's models; test it afterwards."""
    held = holder(request)
    actor = held.actor(request)
    if wanted.preset == SANDBOX_SLUG and settings.SANDBOX_URL:
        made = connect_sandbox(held.organization_id, base_url=settings.SANDBOX_URL, actor=actor)
    else:
        made = connect_provider(held.organization_id, actor=actor, **wanted.dict())
    return Status(201, _one(request, made.slug))


@router.get("/{slug:slug}", response=ConnectedProviderOut, summary="Show a provider")
@in_scope
def show_provider(request: HttpRequest, response: HttpResponse, slug: str) -> dict[str, Any]:
    """One provider, without its secret."""
    row = _row(request, slug)
    return tagged(_told([row])[0], response, provider_version(row))


@router.patch("/{slug:slug}", response=ConnectedProviderOut, summary="Change a provider")
@in_scope
def change_provider(
    request: HttpRequest,
    response: HttpResponse,
    slug: str,
    wanted: ProviderPatch,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Renames it, turns it on or off, or says where it computes."""
    sent = wanted.dict(exclude_unset=True)
    confirmed = bool(sent.pop("confirm_local", False))
    with shows_current(lambda: show_provider(request, response, slug)):
        edit_provider(
            found(request, slug),
            sent,
            actor=holder(request).actor(request),
            confirm_local=confirmed,
            match=match_of(if_match),
        )
    return show_provider(request, response, slug)


@router.delete("/{slug:slug}", response={204: None}, summary="Remove a provider")
@in_scope
def remove_provider(request: HttpRequest, slug: str) -> Any:
    """Deletes it with its credentials and models; no preferences name it any more."""
    disconnect_provider(found(request, slug), actor=holder(request).actor(request))
    return Status(204, None)


@router.post(
    "/{slug:slug}/credentials",
    response={201: ConnectedProviderOut},
    summary="Set a provider's credential",
)
@in_scope
def replace_credential(request: HttpRequest, slug: str, wanted: SecretIn) -> Any:
    """Takes the place of the one before, from the next call on."""
    actor = holder(request).actor(request)
    set_credential(found(request, slug), wanted.secret, actor=actor)
    return Status(201, _one(request, slug))


@router.put("/{slug:slug}/address", response=ConnectedProviderOut, summary="Move a provider")
@in_scope
def move_provider(
    request: HttpRequest,
    response: HttpResponse,
    slug: str,
    wanted: AddressIn,
    if_match: IfMatch = "",
) -> dict[str, Any]:
    """Another address, with its own credential: the present one is never sent there."""
    with shows_current(lambda: show_provider(request, response, slug)):
        change_address(
            found(request, slug),
            wanted.base_url,
            actor=holder(request).actor(request),
            secret=wanted.secret,
            is_local=wanted.is_local,
            confirm_local=wanted.confirm_local,
            match=match_of(if_match),
        )
    return show_provider(request, response, slug)


@router.post("/{slug:slug}/test", response=CheckOut, summary="Test a provider")
def test_provider(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Calls it with two small requests that cost nothing; takes up to ten seconds."""
    result = check_provider(holder(request).organization_id, slug)
    if result is None:
        raise _nowhere()
    return {
        "reachable": result.reachable,
        "credential": result.credential,
        "latency_ms": result.latency_ms,
        "models": None if result.models is None else list(result.models),
        "findings": [{"tone": f.tone.value, "text": f.text} for f in result.findings],
    }


def found(request: HttpRequest, slug: str) -> Provider:
    """The organization's provider of that slug; raises ``RouterError`` (404)."""
    provider = selectors.provider(holder(request).organization_id, slug)
    if provider is None:
        raise _nowhere()
    return provider


def _nowhere() -> RouterError:
    return RouterError(404, "not_found", "There is no such provider.", param="slug")


def _one(request: HttpRequest, slug: str) -> dict[str, Any]:
    return _told([_row(request, slug)])[0]


def _row(request: HttpRequest, slug: str) -> Provider:
    """The provider with its live credential, read once: the body and its version are of one."""
    row = selectors.providers(holder(request).organization_id).filter(slug=slug).first()
    if row is None:
        raise _nowhere()
    return row


def _told(rows: list[Provider]) -> list[dict[str, Any]]:
    if not rows:
        return []
    organization_id = rows[0].organization_id
    deployments = list(selectors.deployments_of(organization_id, [p.id for p in rows]))
    health = read_health(organization_id, [row.id for row in deployments])
    return [_card(card) for card in cards(rows, deployments, health, {}, timezone.now())]


def _card(card: ProviderCard) -> dict[str, Any]:
    provider, credential = card.provider, card.credential
    names = ("slug", "name", "preset", "base_url", "region", "is_local", "is_sandbox", "active")
    return {
        **{name: getattr(provider, name) for name in names},
        "created_at": provider.created_at,
        "state": card.state.label,
        "p95_ms": card.p95_ms,
        "credential": None
        if credential is None
        else {"last_four": credential.last_four, "created_at": credential.created_at},
        "models": [model.row.model for model in card.models if model.row.active],
    }
