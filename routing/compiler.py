"""Rows of all apps → ``Snapshot``: the only ORM of the gateway, off the event loop."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import orjson
from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from catalog import selectors as catalog
from catalog.models import Deployment as DeploymentRow
from catalog.models import Provider
from catalog.prices import load_prices, next_change, price_of
from catalog.services import open_secret
from lib.netguard import parse_base_url
from lib.secretbox import SecretError
from preferences.core import Preferences, effective
from preferences.selectors import all_levels
from routing.model import Deployment
from routing.snapshot import Candidates, DatabaseDown, Key, Snapshot
from routing.upstream import Target
from routing.wire import WIRES
from tenancy import selectors as tenancy
from tenancy.core import live_key
from tenancy.models import ApiKey
from tenancy.scope import tenant_scope

log = logging.getLogger(__name__)

CHANGED_WITHIN = timedelta(minutes=1)
REVOKED_KEPT = timedelta(days=30)


class DatabaseLoader:
    """Reads Postgres for the snapshot store; each call takes a connection and gives it back."""

    def organization_of(self, digest: bytes) -> str | None:
        """The organization that a key's digest belongs to."""
        try:
            found = tenancy.organization_of_key(digest)
        except Error as why:
            raise DatabaseDown from why
        finally:
            connection.close()
        return found.hex if found else None

    def load(self, organization_id: str) -> Snapshot | None:
        """The organization's snapshot as of now, or None when it is gone."""
        try:
            with tenant_scope(UUID(organization_id)):
                return compile_snapshot(UUID(organization_id))
        except Error as why:
            raise DatabaseDown from why
        finally:
            connection.close()

    def __init__(self) -> None:
        # The database's own time of the last look that succeeded.
        self._looked_at: datetime | None = None

    def to_begin_with(self, most: int) -> list[str]:
        """Some organizations to load before they call, those that were changed most often first.

        Takes along what the first load would wait for: a connection, and the list of prices.
        """
        load_prices()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT organization_id FROM app.organizations_changed_since('-infinity')"
                    " ORDER BY epoch DESC LIMIT %s",
                    [most],
                )
                return [row[0].hex for row in cursor.fetchall()]
        except Error as why:
            raise DatabaseDown from why
        finally:
            connection.close()

    def changed(self) -> Mapping[str, int]:
        """Epochs of the organizations that changed since the last look, and a minute before it.

        The minute is for transactions that commit well after they changed something.
        """
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                (now,) = cursor.fetchone()
                cursor.execute(
                    "SELECT organization_id, epoch FROM app.organizations_changed_since(%s)",
                    [(self._looked_at or now) - CHANGED_WITHIN],
                )
                found = {row[0].hex: row[1] for row in cursor.fetchall()}
            self._looked_at = now
        except Error as why:
            raise DatabaseDown from why
        else:
            return found
        finally:
            connection.close()


def compile_snapshot(organization_id: UUID) -> Snapshot | None:
    """The snapshot of the running scope.

    The epoch is read first: should a change commit in between, the snapshot counts as older than
    it is and is loaded once more, never as newer.
    """
    organization = tenancy.organization(organization_id)
    if organization is None:
        return None
    default, users, by_key = all_levels(organization_id)
    targets = {p.id: _Access(p) for p in catalog.providers(organization_id)}
    now = datetime.now(UTC)
    loaded_at_s = time.monotonic()
    rows = list(catalog.deployments(organization_id))
    deployments = tuple(_deployment(row, targets[row.provider_id], now) for row in rows)
    return Snapshot(
        organization_id=organization_id.hex,
        live_key=live_key(organization_id.hex),
        epoch=organization.epoch,
        loaded_at_s=loaded_at_s,
        keys=_keys(organization_id, default, users, by_key),
        by_name=_by_name(deployments),
        auto=_by_operation(deployments),
        models=deployments,
        wanted=effective((default,)),
        stores_bodies=organization.store_bodies,
        prices_end_s=loaded_at_s + _prices_hold_s(rows, targets, now),
        members={user_id.hex: effective((default, own)) for user_id, own in users.items()},
    )


class _Access:
    """How to reach one provider: its address and, where there is one, its secret.

    A provider whose address or secret cannot be used any more has no target; the rest of the
    organization goes on.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.secret: str | None = "" if provider.is_local and not provider.is_sandbox else None
        for credential in provider.credentials.all()[:1]:
            try:
                self.secret = open_secret(credential, provider)
            except (SecretError, ValueError) as why:
                log.warning("provider %s: its credential cannot be used: %s", provider.id, why)
                self.secret = None

    def target(self, operation: str) -> Target | None:
        """The address of an operation; None without a credential or where it does not exist."""
        wire = WIRES[self.provider.wire]
        path = wire.path(operation)
        if self.secret is None or path is None:
            return None
        try:
            origin = parse_base_url(self.provider.base_url, allowed=settings.PRIVATE_NETWORKS)
            headers = wire.headers(self.secret, self.provider.auth)
            return Target(
                scheme=origin.scheme,
                host=origin.host,
                port=origin.port,
                path=origin.path.rstrip("/") + path,
                headers=((b"content-type", b"application/json"), *headers),
                allowed_networks=settings.PRIVATE_NETWORKS,
            )
        except ValueError as why:
            log.warning("provider %s cannot be called: %s", self.provider.id, why)
            return None


def _deployment(row: DeploymentRow, access: _Access, now: datetime) -> Deployment:
    provider = access.provider
    price = price_of(row, provider, at=now)
    return Deployment(
        id=row.id.hex,
        provider=provider.slug,
        model=row.model,
        upstream_model=row.upstream_model,
        operation=row.operation,
        wire=provider.wire,
        capabilities=frozenset(row.capabilities),
        streams="streaming" in row.capabilities,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        region=row.region or provider.region,
        quality=row.quality,
        is_local=provider.is_local,
        price=price,
        target=access.target(row.operation),
        price_json=b"null" if price is None else orjson.dumps(price.record()),
    )


def _prices_hold_s(
    rows: Sequence[DeploymentRow], targets: Mapping[UUID, _Access], now: datetime
) -> float:
    """For how many seconds the listed prices stay what they are; some change with the hour."""
    listed = (
        next_change(targets[row.provider_id].provider.preset, row.upstream_model, at=now)
        for row in rows
        if row.input_nano_per_mtok is None
    )
    return min(((at - now).total_seconds() for at in listed if at is not None), default=math.inf)


def _keys(
    organization_id: UUID,
    default: Preferences,
    users: Mapping[UUID, Preferences],
    by_key: Mapping[UUID, Preferences],
) -> dict[bytes, Key]:
    now = timezone.now()
    found: dict[bytes, Key] = {}
    for row in tenancy.api_keys(organization_id):
        if row.revoked_at and row.revoked_at < now - REVOKED_KEPT:
            continue
        nothing = Preferences()
        levels = (
            default,
            users.get(row.user_id, nothing) if row.user_id else nothing,
            by_key.get(row.id, nothing),
        )
        wanted = effective(levels)
        for secret in row.secrets.all():
            found[bytes(secret.digest)] = _key(row, secret.expires_at, wanted)
    return found


def _key(row: ApiKey, secret_ends: datetime | None, wanted: Preferences) -> Key:
    ends = min((t for t in (row.expires_at, secret_ends) if t is not None), default=None)
    return Key(
        id=row.id.hex,
        name=row.name,
        user_id=row.user_id.hex if row.user_id else None,
        scopes=frozenset(row.scopes),
        networks=tuple(ip_network(n) for n in row.allowed_networks),
        expires_at_s=ends.timestamp() if ends else None,
        revoked=row.revoked_at is not None,
        wanted=wanted,
    )


def _by_name(deployments: tuple[Deployment, ...]) -> dict[str, Candidates]:
    """Deployments by model name, and each by ``provider/model``."""
    named: dict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        named[deployment.model].append(deployment)
    # A pin names a company, so it wins over a model whose own name looks like one.
    named |= {f"{d.provider}/{d.model}": [d] for d in deployments}
    return {name: Candidates.of(tuple(found)) for name, found in named.items()}


def _by_operation(deployments: tuple[Deployment, ...]) -> dict[str, Candidates]:
    """All deployments of each operation, for ``auto``."""
    operations: dict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        operations[deployment.operation].append(deployment)
    return {name: Candidates.of(tuple(found)) for name, found in operations.items()}
