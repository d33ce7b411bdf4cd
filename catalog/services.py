"""Changes of providers, credentials and deployments; each is audited and announced."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from catalog.models import Credential, Deployment, Provider
from catalog.presets import PRESETS, ModelPreset, Preset
from catalog.sandbox.models import MODELS
from lib.errors import RouterError
from lib.money import NANO_PER_USD, USD_MAX, nano_from_usd
from lib.netguard import parse_base_url
from lib.secretbox import open_, seal
from tenancy import audit
from tenancy.core import Actor
from tenancy.models import new_id
from tenancy.scope import tenant_scope

SECRET_CHARS_MAX = 4096
NAME_CHARS_MAX = 80
REGION_CHARS_MAX = 40
SOURCE_CHARS_MAX = 200
SANDBOX_SLUG = "sandbox"
SANDBOX_SECRET = "sandbox"  # noqa: S105  the sandbox takes any key
SANDBOX_PRICES = "sandbox: no money is charged"
KEY_ID = 1

_SLUG = re.compile(r"[-\w]{1,40}", re.ASCII)


def _invalid(param: str, message: str) -> RouterError:
    return RouterError(422, "invalid_value", message, param=param)


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
) -> Provider:
    """A provider with its credential and the preset's deployments.

    ``base_url`` is needed where the preset's address has gaps. Raises ``RouterError`` (422)
    naming the field that is wrong, 409 when the slug is taken.
    """
    known = PRESETS.get(preset)
    if known is None:
        raise _invalid("preset", f"Choose one of: {', '.join(PRESETS)}.")
    address = base_url or known.base_url
    if "{" in address:
        raise _invalid("base_url", f"{known.name} needs its address: {known.base_url}")
    provider = Provider(
        organization_id=organization_id,
        slug=slug or known.slug,
        preset=known.slug,
        name=_line(name or known.name, "name", NAME_CHARS_MAX),
        base_url=_checked_address(address),
        wire=known.wire,
        auth=known.auth,
        region=_line(region, "region", REGION_CHARS_MAX),
        is_local=known.is_local,
    )
    with tenant_scope(organization_id):
        _save_new(provider)
        if secret:
            _seal(provider, secret)
        _deploy(provider, known.models if models is None else models)
        _record(provider, actor, "provider.connect", after=_told(provider, secret))
    return provider


def connect_sandbox(organization_id: UUID, *, base_url: str, actor: Actor) -> Provider:
    """The sandbox provider with all its models, priced but never charged.

    Raises ``RouterError``: 422 for an address that may not be used, 409 when it is connected.
    """
    address = _checked_address(f"{base_url}/v1")
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
            _record(provider, actor, "provider.connect", after=_told(provider, SANDBOX_SECRET))
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
    provider: Provider, model: ModelPreset, *, actor: Actor, prices: Mapping[str, Any] | None = None
) -> Deployment:
    """One more model at a provider; ``prices`` are nano-USD per million tokens by column.

    Raises ``RouterError``: 422 naming the field that is wrong, 409 when it has that model.
    """
    with tenant_scope(provider.organization_id):
        try:
            with transaction.atomic():
                deployment = _deploy(provider, [model], prices)[0]
        except IntegrityError:
            taken = f"{provider.name} has the model {model.name} already."
            raise RouterError(409, "already_exists", taken, param="model") from None
        _record(provider, actor, "deployment.create", after={"model": model.name, **(prices or {})})
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
        audit.record(
            provider.organization_id,
            actor,
            action="credential.set",
            kind="provider",
            object_id=provider.id,
            name=provider.name,
            before={"credential": "set" if old else "none", "origin": old.origin if old else None},
            after={"credential": "set anew" if old else "set", "origin": credential.origin},
        )
    return credential


def change_address(
    provider: Provider, base_url: str, *, actor: Actor, secret: str = ""
) -> Provider:
    """Moves a provider; its credential was for the old address and is retired.

    ``secret`` is sealed for the new address in the same step; without one the provider is not
    called until ``set_credential``, unless it is local. Raises ``RouterError`` (422).
    """
    address = _checked_address(base_url)
    with tenant_scope(provider.organization_id):
        moved = Provider.objects.select_for_update().get(
            organization_id=provider.organization_id, id=provider.id
        )
        old = Credential.objects.filter(
            organization_id=moved.organization_id, provider=moved, active=True
        )
        before = {"base_url": moved.base_url, "credential": "set" if old.exists() else "none"}
        old.update(active=False)
        moved.base_url = address
        moved.save(update_fields=["base_url", "updated_at"])
        if secret:
            _seal(moved, secret)
        audit.record(
            moved.organization_id,
            actor,
            action="provider.change_address",
            kind="provider",
            object_id=moved.id,
            name=moved.name,
            before=before,
            after={"base_url": address, "credential": "set anew" if secret else "none"},
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
) -> Deployment:
    """The organization's own price of a deployment, which wins over the price list.

    Prices are nano-USD per million tokens; without ``cached_nano`` cached tokens cost what input
    does. Raises ``RouterError`` (422) naming the field that is wrong.
    """
    prices = {"input": input_nano, "output": output_nano, "cached": cached_nano}
    for kind, nano in prices.items():
        if nano is not None and not 0 <= nano <= USD_MAX * NANO_PER_USD:
            raise _invalid(kind, f"A price is from nothing to ${USD_MAX:,} per million tokens.")
    source = _line(source, "source", SOURCE_CHARS_MAX)
    if not source:
        raise _invalid("source", "Say where the price is from, such as a contract or a page.")
    with tenant_scope(deployment.organization_id):
        priced = Deployment.objects.select_for_update().get(
            organization_id=deployment.organization_id, id=deployment.id
        )
        before = _told_price(priced)
        priced.input_nano_per_mtok = input_nano
        priced.cached_nano_per_mtok = cached_nano
        priced.output_nano_per_mtok = output_nano
        priced.price_source = source
        priced.price_as_of = as_of
        priced.save()
        audit.record(
            priced.organization_id,
            actor,
            action="deployment.set_price",
            kind="deployment",
            object_id=priced.id,
            name=priced.model,
            before=before,
            after=_told_price(priced),
        )
    return priced


def _seal(provider: Provider, secret: str) -> Credential:
    secret = secret.strip()
    if not 1 <= len(secret) <= SECRET_CHARS_MAX or not (secret.isascii() and secret.isprintable()):
        raise _invalid("secret", "The credential is one line of plain characters.")
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


def _line(text: str, param: str, chars_max: int) -> str:
    text = text.strip()
    if len(text) > chars_max or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise _invalid(param, f"This is one line of at most {chars_max} characters.")
    return text


def _save_new(provider: Provider) -> None:
    """Saves it; the unique constraint decides, so that of two at once one is told."""
    if not _SLUG.fullmatch(provider.slug):
        raise _invalid("slug", "A slug is 1 to 40 letters, digits, hyphens and underscores.")
    try:
        with transaction.atomic():
            provider.save(force_insert=True)
    except IntegrityError:
        taken = f'There is a provider "{provider.slug}" already.'
        raise RouterError(409, "already_exists", taken, param="slug") from None


def _checked_address(base_url: str) -> str:
    try:
        parse_base_url(base_url, allowed=settings.PRIVATE_NETWORKS)
    except ValueError as why:
        raise _invalid("base_url", str(why)) from None
    return base_url.rstrip("/")


def _check_models(models: Sequence[ModelPreset]) -> None:
    for model in models:
        if flaw := model.flaw():
            raise _invalid(*flaw)
    if len({model.name for model in models}) < len(models):
        raise _invalid("model", "A model is given twice.")


def _deploy(
    provider: Provider, models: Sequence[ModelPreset], prices: Mapping[str, Any] | None = None
) -> list[Deployment]:
    _check_models(models)
    return [
        Deployment.objects.create(
            organization_id=provider.organization_id,
            provider=provider,
            model=model.name,
            upstream_model=model.name,
            operation=model.operation,
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
            capabilities=sorted(model.capabilities),
            quality=model.quality,
            **(prices or {}),
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


def _record(provider: Provider, actor: Actor, action: str, *, after: dict[str, Any]) -> None:
    audit.record(
        provider.organization_id,
        actor,
        action=action,
        kind="provider",
        object_id=provider.id,
        name=provider.name,
        after=after,
    )
