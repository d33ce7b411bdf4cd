"""manage.py provider: an organization's providers and their models, without a browser."""

from __future__ import annotations

import dataclasses
import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from getpass import getpass
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from catalog import selectors
from catalog.editing import remove_deployment
from catalog.models import Deployment, Provider
from catalog.presets import OPERATIONS, PRESETS, SEES_THINKS, ModelPreset, known_model
from catalog.prices import price_for
from catalog.services import (
    SECRET_CHARS_MAX,
    add_deployment,
    change_address,
    connect_provider,
    set_credential,
    set_price,
)
from lib.money import dollars, nano_from_usd
from project.management.operator_command import (
    OPERATOR,
    OperatorCommand,
    organization_of,
    words_of,
)
from routing.providers.services import disconnect_provider

DEFAULT_CAPABILITIES = "streaming"
DEFAULT_QUALITY = 50
PRESET_COLUMNS = ("slug", "name", "base_url", "key_variable", "models")
COLUMNS = ("slug", "name", "base_url", "credential", "model", "input_usd", "output_usd")


class Command(OperatorCommand):
    """Connects providers and changes them; a provider's secret is read, never shown."""

    help = (
        "List and connect the providers of an organization, renew their credentials, change their "
        "addresses, add models, set prices and take providers and models away."
    )
    options_by_param: ClassVar[Mapping[str, str]] = {"secret": "--secret-env or standard input"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A verb and what it needs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self.verb(verbs, "presets", "Show the providers known here.", needs_organization=False)
        self.verb(verbs, "list", "Show the connected providers with their models and prices.")
        self._add_connect(verbs)
        credential = self.verb(verbs, "credential", "Replace a provider's secret.")
        _add_secret_options(credential)
        address = self.verb(
            verbs,
            "address",
            "Change a provider's address. The credential is bound to the old one and is retired: "
            "the new address needs a new secret, which is read as by credential.",
        )
        address.add_argument("--base-url", required=True, metavar="URL", help="the new address")
        _add_local_option(address)
        _add_secret_options(address, may_lack=True)
        remove = self.verb(
            verbs,
            "remove",
            "Take a provider away with its models and credentials, and out of all preferences; "
            "or one of its models. The calls that it answered stay.",
        )
        remove.add_argument("--model", metavar="NAME", help="only this model, as list shows it")
        deploy = self.verb(verbs, "deploy", "Add a model to a provider.")
        deploy.add_argument("--model", required=True, metavar="NAME", help="as calls ask for it")
        deploy.add_argument(
            "--upstream-model",
            default="",
            metavar="NAME",
            help="the provider's own name for it, such as a deployment on Azure (default: --model)",
        )
        _add_model_options(deploy)
        price = self.verb(verbs, "price", "Set your own price of a model, in USD per million.")
        for changed in (credential, address, remove, deploy, price):
            changed.add_argument("slug", metavar="SLUG", help="of the provider, as list shows it")
        price.add_argument("model", metavar="MODEL", help="as list shows it")
        price.add_argument("--input", required=True, metavar="USD", help="per million input tokens")
        price.add_argument("--output", required=True, metavar="USD", help="per million written")
        price.add_argument(
            "--cached", metavar="USD", help="per million read from cache (default: as --input)"
        )
        price.add_argument(
            "--source", required=True, metavar="TEXT", help="where it is from, such as a contract"
        )

    def _add_connect(self, verbs: Any) -> None:
        connect = self.verb(verbs, "connect", "Connect a provider with its preset's models.")
        connect.add_argument(
            "--preset", required=True, metavar="SLUG", help="as presets shows it; local for vLLM"
        )
        connect.add_argument(
            "--slug", default="", help="its word in provider/model (default: the preset's)"
        )
        connect.add_argument("--name", default="", help="for people (default: the preset's)")
        connect.add_argument(
            "--base-url", default="", metavar="URL", help="where the preset's address has gaps"
        )
        _add_local_option(connect)
        connect.add_argument("--region", default="", help="where it computes, such as eu")
        connect.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="NAME",
            help="only these models instead of the preset's; give it several times",
        )
        _add_model_options(connect)
        _add_secret_options(connect, may_lack=True)

    def do_presets(self, options: dict[str, Any]) -> None:
        """Every preset."""
        rows = [
            {
                "slug": preset.slug,
                "name": preset.name,
                "base_url": preset.base_url,
                "key_variable": preset.key_variable,
                "models": [model.name for model in preset.models],
            }
            for preset in PRESETS.values()
        ]
        self.show_all(rows, PRESET_COLUMNS if options["as_json"] else PRESET_COLUMNS[:4], options)

    def do_list(self, options: dict[str, Any]) -> None:
        """Every provider; in JSON with its models within, else a line per model."""
        with organization_of(options) as organization_id:
            providers = list(selectors.providers(organization_id))
            deployed: dict[UUID, list[dict[str, Any]]] = {p.id: [] for p in providers}
            for deployment in selectors.deployments(organization_id):
                deployed[deployment.provider_id].append(_model_row(deployment))
            rows = [_row(provider) | {"models": deployed[provider.id]} for provider in providers]
        if not options["as_json"]:
            nothing = {"model": "none", "input_usd": None, "output_usd": None}
            rows = [row | model for row in rows for model in row["models"] or [nothing]]
        self.show_all(rows, COLUMNS, options)

    def do_connect(self, options: dict[str, Any]) -> None:
        """A new provider."""
        known = PRESETS.get(options["preset"])
        models = [_model(options["preset"], name, options) for name in options["model"]]
        if known and not models:
            _refuse_model_options(options)
        secret = _read_secret(options)
        if known and not (secret or known.is_local or options["no_secret"]):
            raise CommandError(f"--secret-env: {known.name} needs a secret, or say --no-secret.")
        with organization_of(options) as organization_id:
            provider = connect_provider(
                organization_id,
                preset=options["preset"],
                secret=secret,
                actor=OPERATOR,
                slug=options["slug"],
                name=options["name"],
                base_url=options["base_url"],
                region=options["region"],
                models=models or None,
                confirm_local=options["confirm_local"],
            )
            served = [d.model for d in provider.deployments.order_by("model")]
        self.show(_row(provider, has_secret=bool(secret)) | {"models": served}, options)

    def do_credential(self, options: dict[str, Any]) -> None:
        """Another secret for the same address."""
        secret = _read_secret(options)
        with organization_of(options) as organization_id:
            provider = _provider(organization_id, options)
            set_credential(provider, secret, actor=OPERATOR)
        self.show(_row(provider, has_secret=True), options)

    def do_address(self, options: dict[str, Any]) -> None:
        """Another address, with its secret."""
        secret = _read_secret(options)
        if not (secret or options["no_secret"]):
            told = "--secret-env: A new address needs a new secret, or say --no-secret."
            raise CommandError(told)
        with organization_of(options) as organization_id:
            provider = change_address(
                _provider(organization_id, options),
                options["base_url"],
                actor=OPERATOR,
                secret=secret,
                confirm_local=options["confirm_local"],
            )
        self.show(_row(provider, has_secret=bool(secret)), options)
        if not (secret or provider.is_local):
            self.stderr.write(
                f"{provider.slug} is not called until it has a new secret: "
                f"manage.py provider credential {provider.slug}"
            )

    def do_deploy(self, options: dict[str, Any]) -> None:
        """One more model."""
        with organization_of(options) as organization_id:
            provider = _provider(organization_id, options)
            model = _model(provider.preset, options["model"], options)
            there = options["upstream_model"]
            deployment = add_deployment(provider, model, actor=OPERATOR, upstream_model=there)
            made = {"slug": provider.slug} | _model_row(deployment)
        self.show(made, options)

    def do_remove(self, options: dict[str, Any]) -> None:
        """A provider, or one of its models, taken away."""
        with organization_of(options) as organization_id:
            provider = _provider(organization_id, options)
            if options["model"] is None:
                disconnect_provider(provider, actor=OPERATOR)
            else:
                remove_deployment(_deployment(provider, options), actor=OPERATOR)
        self.show({"removed": options["model"] or provider.slug}, options)

    def do_price(self, options: dict[str, Any]) -> None:
        """The organization's own price."""
        nano = {kind: _nano(kind, options[kind]) for kind in ("input", "output", "cached")}
        assert nano["input"] is not None
        assert nano["output"] is not None
        with organization_of(options) as organization_id:
            provider = _provider(organization_id, options)
            priced = set_price(
                _deployment(provider, options),
                input_nano=nano["input"],
                output_nano=nano["output"],
                cached_nano=nano["cached"],
                source=options["source"],
                as_of=timezone.now().date(),
                actor=OPERATOR,
            )
            made = {"slug": provider.slug} | _model_row(priced)
        self.show(made, options)


def _add_model_options(parser: ArgumentParser) -> None:
    about = parser.add_argument_group("models that the preset does not know")
    about.add_argument("--context-window", type=int, metavar="TOKENS", help="input and output")
    about.add_argument("--max-output-tokens", type=int, metavar="TOKENS", help="of one answer")
    about.add_argument(
        "--capabilities",
        metavar="WORDS",
        help=f"comma-separated: {', '.join(sorted(SEES_THINKS))} (default: {DEFAULT_CAPABILITIES})",
    )
    about.add_argument("--quality", type=int, metavar="N", help="0 to 100 (default: 50)")
    about.add_argument("--operation", choices=OPERATIONS, help="(default: chat)")


def _add_secret_options(parser: ArgumentParser, *, may_lack: bool = False) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--secret-env",
        metavar="NAME",
        help="the environment variable that holds the secret (default: it is asked for at a "
        "terminal, else read from standard input; never an argument, which other users see)",
    )
    if may_lack:
        where.add_argument("--no-secret", action="store_true", help="it has, or gets, none")


def _add_local_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--confirm-local",
        action="store_true",
        help="a local provider at an address that may be public: its machines are your own",
    )


def _read_secret(options: Mapping[str, Any]) -> str:
    """The secret; empty for none. What is wrong with it is said without it."""
    if options.get("no_secret"):
        return ""
    if (variable := options["secret_env"]) is not None:
        secret = os.environ.get(variable, "").strip()
        if not secret:
            # The name is not repeated: it may be a secret that was pasted in its place.
            raise CommandError("--secret-env: No environment variable of that name holds a secret.")
        return secret
    if sys.stdin.isatty():
        return getpass("Secret: ").strip()
    try:
        return sys.stdin.read(2 * SECRET_CHARS_MAX).strip()
    except UnicodeDecodeError:
        raise CommandError("standard input: A secret is one line of plain characters.") from None


def _model(preset: str, name: str, options: Mapping[str, Any]) -> ModelPreset:
    """A model as the preset knows it, with what the options say instead."""
    given: dict[str, Any] = {
        field: options[field]
        for field in ("context_window", "max_output_tokens", "quality", "operation")
        if options[field] is not None
    }
    if options["capabilities"] is not None:
        given["capabilities"] = frozenset(words_of(options["capabilities"]))
    known = known_model(preset, name)
    if known is not None:
        return dataclasses.replace(known, **given)
    for field in ("context_window", "max_output_tokens"):
        if field not in given:
            option = f"--{field.replace('_', '-')}"
            raise CommandError(f'{option}: "{name[:80]}" is not in the preset; say its tokens.')
    plain: dict[str, Any] = {
        "capabilities": frozenset({DEFAULT_CAPABILITIES}),
        "quality": DEFAULT_QUALITY,
    }
    if given.get("operation") == "embeddings":
        plain["capabilities"] = frozenset()
    return ModelPreset(name, **(plain | given))


def _refuse_model_options(options: Mapping[str, Any]) -> None:
    """Without ``--model`` they would be about nothing."""
    for field in ("context_window", "max_output_tokens", "capabilities", "quality", "operation"):
        if options[field] is not None:
            raise CommandError(f"--{field.replace('_', '-')}: Say which --model it is about.")


def _provider(organization_id: UUID, options: Mapping[str, Any]) -> Provider:
    provider = selectors.provider(organization_id, options["slug"])
    if provider is None:
        slugs: Sequence[str] = list(selectors.provider_slugs(organization_id))
        told = f"it has {', '.join(slugs)}" if slugs else "connect one first"
        raise CommandError(f'SLUG: There is no provider "{options["slug"][:80]}"; {told}.')
    return provider


def _deployment(provider: Provider, options: Mapping[str, Any]) -> Deployment:
    deployment = selectors.deployment(provider, options["model"])
    if deployment is None:
        raise CommandError(f'MODEL: {provider.slug} has no model "{options["model"]}".')
    return deployment


def _nano(kind: str, text: str | None) -> int | None:
    try:
        return None if text is None else nano_from_usd(text)
    except ValueError as why:
        raise CommandError(f"--{kind}: {why}") from None


def _row(provider: Provider, *, has_secret: bool | None = None) -> dict[str, Any]:
    if has_secret is None:
        # As selectors.providers fetched them: the live one alone.
        has_secret = bool(provider.credentials.all())
    return {
        "slug": provider.slug,
        "name": provider.name,
        "preset": provider.preset,
        "base_url": provider.base_url,
        "region": provider.region,
        "is_local": provider.is_local,
        "active": provider.active,
        "credential": "set" if has_secret else "none",
    }


def _model_row(deployment: Deployment) -> dict[str, Any]:
    """A deployment with the price that holds for it: its own, else that of the price list."""
    own = deployment.input_nano_per_mtok is not None
    listed = price_for(deployment.provider.preset, deployment.upstream_model, at=timezone.now())
    rates = (
        (
            deployment.input_nano_per_mtok,
            deployment.cached_nano_per_mtok,
            deployment.output_nano_per_mtok,
        )
        if own or listed is None
        else (listed.input, listed.cached, listed.output)
    )
    names = ("input_usd", "cached_usd", "output_usd")
    return {
        "model": deployment.model,
        "upstream_model": deployment.upstream_model,
        "operation": deployment.operation,
        "context_window": deployment.context_window,
        "max_output_tokens": deployment.max_output_tokens,
        "capabilities": deployment.capabilities,
        "quality": deployment.quality,
        **{n: None if r is None else dollars(r) for n, r in zip(names, rates, strict=True)},
        "price_source": deployment.price_source if own else (listed.source if listed else ""),
    }
