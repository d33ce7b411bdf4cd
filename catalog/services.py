"""Changes of providers, credentials and deployments; each is audited and announced."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from catalog.checks import (
    REGION_CHARS_MAX,
    check_local,
    check_models,
    check_prices,
    check_slug,
    checked_address,
    checked_line,
    checked_model_name,
    checked_name,
    invalid,
)
from catalog.models import Credential, Deployment, Provider
from catalog.presets import PRESETS, ModelPreset, Preset
from catalog.sandbox.models import MODELS
from catalog.versions import locked_deployment, locked_provider
from lib.errors import RouterError
from lib.money import nano_from_usd
from lib.netguard import parse_base_url
from lib.secretbox import open_, seal
from tenancy import audit
from tenancy.core import Actor
from tenancy.models import new_id
from tenancy.scope import tenant_scope

SECRET_CHARS_MAX = 4096
SOURCE_CHARS_MAX = 200
SANDBOX_SLUG = "sandbox"
SANDBOX_SECRET = "sandbox"  # noqa: S105  the sandbox takes any key
SANDBOX_PRICES = "sandbox: no money is charged"
KEY_ID = 1


def connect_provider(
    organization_id: UUID,
    *,
    preset: str,
    secret: str,
    actor: Actor,
    slug: str = "",
    name: str = "",
    base_url: str = "",
    region: str = "",
    models: Sequence[ModelPreset] | None = None,
    is_local: bool | None = None,
    confirm_local: bool = False,
) -> Provider:
    """A provider with its credential and the preset's deployments.

    ``base_url`` is needed where the preset's address has gaps. ``is_local`` is the preset's unless
    given; at an address that may be public it needs ``confirm_local``. Raises ``RouterError``
    (422) naming the field that is wrong, 409 when the slug is taken.
    """
    known = PRESETS.get(preset)
    if known is None:
        raise invalid("preset", f"Choose one of: {', '.join(PRESETS)}.")
    address = base_url or known.base_url
    if "{" in address:
        raise invalid("base_url", f"{known.name} needs its address: {known.base_url}")
    provider = Provider(
        organization_id=organization_id,
        slug=slug or known.slug,
        preset=known.slug,
        name=checked_name(name or known.name),
        base_url=checked_address(address),
        wire=known.wire,
        auth=known.auth,
        region=checked_line(region, "region", REGION_CHARS_MAX),
        is_local=known.is_local if is_local is None else is_local,
    )
    if provider.is_local:
        check_local(provider.base_url, confirmed=confirm_local)
    with tenant_scope(organization_id):
        _save_new(provider)
        if secret:
            _seal(provider, secret)
        _deploy(provider, known.models if models is None else models)
        audit.record_of(provider, actor, "provider.connect", after=_told(provider, secret))
    return provider


def connect_sandbox(organization_id: UUID, *, base_url: str, actor: Actor) -> Provider:
    """The sandbox provider with all its models, priced but never charged.

    Raises ``RouterError``: 422 for an address that may not be used, 409 when it is connected.
    """
    address = checked_address(f"{base_url}/v1")
    with tenant_scope(organization_id):
        speaks = {}
        for wire, slug, name in (
            ("openai", SANDBOX_SLUG, "Sandbox"),
            ("anthropic", f"{SANDBOX_SLUG}-claude", "Sandbox (Anthropic wire)"),
        ):
            speaks[wire] = provider = Provider(
                organization_id=organization_id,
                slug=slug,
                preset=SANDBOX_SLUG,
                name=name,
                base_url=address,
                wire=wire,
                auth="bearer" if wire == "openai" else "x-api-key",
                is_local=True,
                is_sandbox=True,
            )
            _save_new(provider)
            _seal(provider, SANDBOX_SECRET)
            audit.record_of(
                provider, actor, "provider.connect", after=_told(provider, SANDBOX_SECRET)
            )
        for model in MODELS:
            Deployment.objects.create(
                organization_id=organization_id,
                provider=speaks[model.wire],
                model=model.name,
                upstream_model=model.name,
                operation=model.operation,
                context_window=model.context_window,
                max_output_tokens=model.max_output_tokens,
                capabilities=sorted(model.capabilities),
                quality=round(model.quality * 100),
                input_nano_per_mtok=nano_from_usd(Decimal(model.input_usd_per_mtok)),
                cached_nano_per_mtok=nano_from_usd(Decimal(model.cached_usd_per_mtok)),
                output_nano_per_mtok=nano_from_usd(Decimal(model.output_usd_per_mtok)),
                price_source=SANDBOX_PRICES,
                price_as_of=date(2026, 11, 1),
            )
    return speaks["openai"]


def add_deployment(
    provider: Provider,
    model: ModelPreset,
    *,
    actor: Actor,
    prices: Mapping[str, Any] | None = None,
    upstream_model: str = "",
    region: str = "",
) -> Deployment:
    """One more model at a provider; ``prices`` are nano-USD per million tokens by column.

    ``upstream_model`` is the provider's own name for it, where that differs, as on Azure. Raises
    ``RouterError``: 422 naming the field that is wrong, 409 when it has that model.
    """
    there = checked_model_name(upstream_model, "upstream_model") if upstream_model else model.name
    more = {
        "upstream_model": there,
        "region": checked_line(region, "region", REGION_CHARS_MAX),
    }
    with tenant_scope(provider.organization_id):
        try:
            with transaction.atomic():
                deployment = _deploy(provider, [model], {**(prices or {}), **more})[0]
        except IntegrityError:
            taken = f"{provider.name} has the model {model.name} already."
            raise RouterError(409, "already_exists", taken, param="model") from None
        told = {name: value for name, value in more.items() if value not in ("", model.name)}
        after = {"model": model.name, **told, **(prices or {})}
        audit.record_of(provider, actor, "deployment.create", after=after)
    return deployment


def set_credential(provider: Provider, secret: str, *, actor: Actor) -> Credential:
    """Seals a secret for the provider's present address and retires the ones before it.

    Raises ``RouterError`` (422) for a secret that no header can carry.
    """
    with tenant_scope(provider.organization_id):
        old = Credential.objects.filter(
            organization_id=provider.organization_id, provider=provider, active=True
        ).first()
        credential = _seal(provider, secret)
        audit.record_of(
            provider,
            actor,
            "credential.set",
            before={"credential": "set" if old else "none", "origin": old.origin if old else None},
            after={"credential": "set anew" if old else "set", "origin": credential.origin},
        )
    return credential


def change_address(
    provider: Provider,
    base_url: str,
    *,
    actor: Actor,
    secret: str = "",
    is_local: bool | None = None,
    confirm_local: bool = False,
    match: str | None = None,
) -> Provider:
    """Moves a provider; its credential was for the old address and is retired.

    ``secret`` is sealed for the new address in the same step; without one the provider is not
    called until ``set_credential``, unless it is local. ``is_local`` stays as it is unless given;
    at an address that may be public it needs ``confirm_local``. Raises ``RouterError``: 422, 412
    when ``match`` is given and is not ``provider_version``.
    """
    address = checked_address(base_url)
    with tenant_scope(provider.organization_id):
        moved = locked_provider(provider, match)
        old = Credential.objects.filter(
            organization_id=moved.organization_id, provider=moved, active=True
        )
        before = {
            "base_url": moved.base_url,
            "is_local": moved.is_local,
            "credential": "set" if old.exists() else "none",
        }
        moved.is_local = moved.is_local if is_local is None else is_local
        if moved.is_local:
            check_local(address, confirmed=confirm_local)
        old.update(active=False)
        moved.base_url = address
        moved.save(update_fields=["base_url", "is_local", "updated_at"])
        if secret:
            _seal(moved, secret)
        audit.record_of(
            moved,
            actor,
            "provider.change_address",
            before=before,
            after={
                "base_url": address,
                "is_local": moved.is_local,
                "credential": "set anew" if secret else "none",
            },
        )
    return moved


def set_price(
    deployment: Deployment,
    *,
    input_nano: int,
    output_nano: int,
    source: str,
    as_of: date,
    actor: Actor,
    cached_nano: int | None = None,
    match: str | None = None,
) -> Deployment:
    """The organization's own price of a deployment, which wins over the price list.

    Prices are nano-USD per million tokens; without ``cached_nano`` cached tokens cost what input
    does. Raises ``RouterError``: 422 naming the field that is wrong, 412 when ``match`` is given
    and is not ``deployment_version``.
    """
    check_prices({"input": input_nano, "output": output_nano, "cached": cached_nano})
    source = checked_line(source, "source", SOURCE_CHARS_MAX)
    if not source:
        raise invalid("source", "Say where the price is from, such as a contract or a page.")
    with tenant_scope(deployment.organization_id):
        priced = locked_deployment(deployment, match)
        before = _told_price(priced)
        priced.input_nano_per_mtok = input_nano
        priced.cached_nano_per_mtok = cached_nano
        priced.output_nano_per_mtok = output_nano
        priced.price_source = source
        priced.price_as_of = as_of
        priced.save()
        after = _told_price(priced)
        audit.record_of(priced, actor, "deployment.set_price", before=before, after=after)
    return priced


def _seal(provider: Provider, secret: str) -> Credential:
    secret = secret.strip()
    if not 1 <= len(secret) <= SECRET_CHARS_MAX or not (secret.isascii() and secret.isprintable()):
        raise invalid("secret", "The credential is one line of plain characters.")
    origin = origin_of(provider.base_url)
    Credential.objects.filter(
        organization_id=provider.organization_id, provider=provider, active=True
    ).update(active=False)
    credential = Credential(
        id=new_id(),
        organization_id=provider.organization_id,
        provider=provider,
        origin=origin,
        last_four=secret[-4:] if len(secret) >= 12 else "",
    )
    credential.secret_sealed = seal(
        {KEY_ID: settings.ENCRYPTION_KEY},
        secret.encode(),
        aad=_aad(credential),
        nonce=os.urandom(12),
    )
    credential.save(force_insert=True)
    return credential


def open_secret(credential: Credential, provider: Provider) -> str | None:
    """The secret, if it may be sent to the provider's present address; None otherwise."""
    if credential.origin != origin_of(provider.base_url):
        return None
    keys = {KEY_ID: settings.ENCRYPTION_KEY}
    return open_(keys, bytes(credential.secret_sealed), aad=_aad(credential)).decode()


def origin_of(base_url: str) -> str:
    """Scheme, host and port of an address, which a credential is bound to."""
    origin = parse_base_url(base_url, allowed=settings.PRIVATE_NETWORKS)
    return f"{origin.scheme}://{origin.host}:{origin.port}"


def providers_of_environment(environment: Mapping[str, str]) -> list[tuple[Preset, str]]:
    """The presets whose key stands in the environment under its usual name."""
    return [
        (preset, environment[preset.key_variable])
        for preset in PRESETS.values()
        if environment.get(preset.key_variable) and "{" not in preset.base_url
    ]


def _aad(credential: Credential) -> str:
    return f"catalog_credential|secret|{credential.organization_id}|{credential.id}"


def _save_new(provider: Provider) -> None:
    """Saves it; the unique constraint decides, so that of two at once one is told."""
    check_slug(provider.slug)
    try:
        with transaction.atomic():
            provider.save(force_insert=True)
    except IntegrityError:
        taken = f'There is a provider "{provider.slug}" already.'
        raise RouterError(409, "already_exists", taken, param="slug") from None


def _deploy(
    provider: Provider, models: Sequence[ModelPreset], more: Mapping[str, Any] | None = None
) -> list[Deployment]:
    check_models(models)
    return [
        Deployment.objects.create(
            organization_id=provider.organization_id,
            provider=provider,
            model=model.name,
            operation=model.operation,
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
            capabilities=sorted(model.capabilities),
            quality=model.quality,
            **{"upstream_model": model.name, **(more or {})},
        )
        for model in models
    ]


def _told(provider: Provider, secret: str) -> dict[str, Any]:
    return {"base_url": provider.base_url, "credential": "set" if secret else "none"}


def _told_price(deployment: Deployment) -> dict[str, Any]:
    as_of = deployment.price_as_of
    return {
        "input_nano_per_mtok": deployment.input_nano_per_mtok,
        "cached_nano_per_mtok": deployment.cached_nano_per_mtok,
        "output_nano_per_mtok": deployment.output_nano_per_mtok,
        "price_source": deployment.price_source,
        "price_as_of": as_of.isoformat() if as_of else None,
    }
