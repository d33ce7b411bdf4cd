"""Fills a fresh database for the benchmark: reads sizes as JSON, prints one API key per line.

The first organization is made through the services, as every other would be. The thousands beside
it are copies of its shape, written in bulk past the services and their audit trail.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django

KEYS_CALLED_MAX = 10_000
_BATCH = 2_000
_PRICES = {
    "input_nano_per_mtok": 150_000_000,
    "cached_nano_per_mtok": 75_000_000,
    "output_nano_per_mtok": 600_000_000,
}


def main() -> None:
    """Runs as the role that migrates."""
    django.setup()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")  # sees all organizations, as only the migrating role may
    wanted = json.load(sys.stdin)
    secrets = _first(wanted["upstreams"], wanted["deployments"])
    secrets += _more(wanted)
    print("\n".join(secrets[:KEYS_CALLED_MAX]))


def _first(upstreams: dict[str, str], deployments: int) -> list[str]:
    from catalog.presets import ModelPreset
    from catalog.services import add_deployment, connect_provider
    from tenancy.core import SYSTEM, Scope
    from tenancy.services import create_key, create_organization, create_user

    owner = create_user("bench@example.com", "correct horse battery staple")
    made = create_organization(name="Bench", owner=owner, actor=SYSTEM)
    capabilities = frozenset({"streaming", "tools", "json_schema"})
    for kind, url in upstreams.items():
        names = [f"bench-{kind}"]
        if kind == "json":
            names += [f"other-{number}" for number in range(deployments - 1)]
        provider = connect_provider(
            made.id,
            preset="local",
            secret="upstream-secret-0123456789",
            actor=SYSTEM,
            slug=f"upstream-{kind}",
            base_url=url,
            models=[],
        )
        for name in names:
            model = ModelPreset(name, 128_000, 16_384, capabilities, 60)
            add_deployment(provider, model, actor=SYSTEM, prices=_PRICES)
    key = create_key(made.id, name="bench", scopes=[Scope.GATEWAY], actor=SYSTEM, user=owner)
    return [key.secret]


def _more(wanted: dict[str, Any]) -> list[str]:
    """Organizations and keys beyond the first; keys are dealt out evenly."""
    organizations, keys = wanted["organizations"], max(wanted["keys"], wanted["organizations"])
    if keys <= 1:
        return []
    ids = [*_first_id(), *_organizations(organizations - 1)]
    _providers(ids[1:], wanted["upstreams"])
    return _keys(ids, keys - 1)


def _first_id() -> list[Any]:
    from tenancy.models import Organization

    return list(Organization.objects.values_list("id", flat=True))


def _organizations(count: int) -> list[Any]:
    from tenancy.models import Organization

    rows = [Organization(name=f"Organization {number}") for number in range(count)]
    Organization.objects.bulk_create(rows, batch_size=_BATCH)
    return [row.id for row in rows]


def _providers(ids: list[Any], upstreams: dict[str, str]) -> None:
    from catalog.models import Deployment, Provider

    for kind, url in upstreams.items():
        providers = [
            Provider(
                organization_id=organization_id,
                slug=f"upstream-{kind}",
                preset="local",
                name="Local",
                base_url=url,
                wire="openai",
                auth="bearer",
                is_local=True,
            )
            for organization_id in ids
        ]
        Provider.objects.bulk_create(providers, batch_size=_BATCH)
        deployments = [
            Deployment(
                organization_id=provider.organization_id,
                provider=provider,
                model=f"bench-{kind}",
                upstream_model=f"bench-{kind}",
                context_window=128_000,
                max_output_tokens=16_384,
                capabilities=["json_schema", "streaming", "tools"],
                **_PRICES,
            )
            for provider in providers
        ]
        Deployment.objects.bulk_create(deployments, batch_size=_BATCH)


def _keys(ids: list[Any], count: int) -> list[str]:
    from django.conf import settings

    from lib.hashing import digest, make_api_key, parse_api_key
    from tenancy.models import ApiKey, ApiKeySecret

    keys, rows, secrets = [], [], []
    for number in range(1, count + 1):
        organization_id = ids[number % len(ids)]
        secret = make_api_key(os.urandom(32))
        parts = parse_api_key(secret)
        assert parts is not None
        key = ApiKey(
            organization_id=organization_id,
            name=f"key {number}",
            scopes=["gateway"],
            created_by="bench",
        )
        keys.append(key)
        rows.append(
            ApiKeySecret(
                organization_id=organization_id,
                api_key=key,
                digest=digest(settings.API_KEY_PEPPER, secret.encode()),
                prefix=parts.prefix,
                last_four=parts.last_four,
            )
        )
        secrets.append(secret)
    ApiKey.objects.bulk_create(keys, batch_size=_BATCH)
    ApiKeySecret.objects.bulk_create(rows, batch_size=_BATCH)
    return secrets


if __name__ == "__main__":
    main()
