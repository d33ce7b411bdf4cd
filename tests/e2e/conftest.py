"""The gateway as real processes, with an organization connected to upstreams of other hands."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.e2e import upstreams
from tests.e2e.browsing import address, browser, house, open_page  # noqa: F401  are fixtures

LEDGER_S = 10.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    url: str
    organization_id: UUID
    admin_key: str

    @property
    def base_url(self) -> str:
        """What SDKs want."""
        return f"{self.url}/v1"

    def api(self, path: str) -> Any:
        """JSON from the product's own API; None where it answers 404."""
        request = urllib.request.Request(
            f"{self.url}/api{path}", headers={"Authorization": f"Bearer {self.admin_key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as why:
            if why.code == 404:
                return None
            raise


@dataclass(frozen=True, slots=True)
class Caller:
    """One test's own API key, so that the ledger tells its calls from all others."""

    gateway: Gateway
    key: str
    key_id: UUID

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The ledger's rows of this key, the oldest first, once there are ``count``: no more."""
        give_up = time.monotonic() + LEDGER_S
        while len(found := self._rows()) < count and time.monotonic() < give_up:
            time.sleep(0.05)
        if len(found) == count:
            time.sleep(0.25)  # one too many would arrive with the next batch
            found = self._rows()
        assert len(found) == count, f"{len(found)} rows in the ledger instead of {count}"
        return found[::-1]

    def row(self) -> dict[str, Any]:
        """The only row of this key."""
        return self.rows(1)[0]

    def _rows(self) -> list[dict[str, Any]]:
        return list(self.gateway.api(f"/calls?key={self.key_id}")["data"])


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for models, logs and the gateway's journal."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def gateway(place: Path, django_db_blocker: Any) -> Iterator[Gateway]:
    """One web process and the drainer, on a journal of their own."""
    from tenancy.core import SYSTEM, Scope
    from tenancy.models import new_id
    from tenancy.services import create_key, create_organization, create_user

    with django_db_blocker.unblock():
        tag = new_id().hex[-12:]
        owner = create_user(f"sdk-{tag}@example.com", None)
        organization = create_organization(name=f"SDKs {tag}", owner=owner, actor=SYSTEM)
        admin = create_key(organization.id, name="admin", scopes=[Scope.ADMIN], actor=SYSTEM)
    port = upstreams.free_port()
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "DATA_DIR": str(place), "PUBLIC_URL": url}
    manage = [sys.executable, "manage.py"]
    ready = upstreams.answers(f"{url}/health/ready")
    lock = place / "journal" / "drainer.lock"
    with (
        upstreams.running([*manage, "drain"], place / "drain.log", env=env, is_ready=lock.exists),
        upstreams.running(
            [*manage, "web", "--port", str(port)], place / "web.log", env=env, is_ready=ready
        ),
    ):
        yield Gateway(url, organization.id, admin.secret)


@pytest.fixture
def caller(gateway: Gateway, request: pytest.FixtureRequest, django_db_blocker: Any) -> Caller:
    """A key of this test's own."""
    from tenancy.core import SYSTEM, Scope
    from tenancy.services import create_key

    with django_db_blocker.unblock():
        made = create_key(
            gateway.organization_id,
            name=request.node.name[:120],
            scopes=[Scope.GATEWAY],
            actor=SYSTEM,
        )
    return Caller(gateway, made.secret, made.key.id)


@pytest.fixture(scope="session")
def llama(gateway: Gateway, place: Path, django_db_blocker: Any) -> Iterator[str]:
    """The model name under which llama.cpp answers chats; embeddings by the same with -embed."""
    from catalog.presets import TEXT, ModelPreset

    chat = ModelPreset("tiny", 2048, 1024, TEXT, 50)
    embed = ModelPreset("tiny-embed", 2048, 1, frozenset(), 50, "embeddings")
    with (
        upstreams.llama(place, embeddings=False) as chat_url,
        upstreams.llama(place, embeddings=True) as embed_url,
        django_db_blocker.unblock(),
    ):
        _connect(gateway, "local", "llama", chat_url, chat)
        _connect(gateway, "local", "llama-embed", embed_url, embed)
        yield chat.name


@pytest.fixture(scope="session")
def aimock(gateway: Gateway, place: Path, django_db_blocker: Any) -> Iterator[str]:
    """aimock's base URL; it serves gpt-4o-mini, embeddings and, as Anthropic, claude-haiku-4-5."""
    from catalog.presets import TEXT, ModelPreset

    chat = ModelPreset("gpt-4o-mini", 128_000, 16_384, TEXT, 60)
    embed = ModelPreset("text-embedding-3-small", 8_191, 1, frozenset(), 60, "embeddings")
    claude = ModelPreset("claude-haiku-4-5", 200_000, 64_000, TEXT, 80)
    with upstreams.aimock(place) as url, django_db_blocker.unblock():
        _connect(gateway, "local", "aimock", url, chat, embed)
        _connect(gateway, "anthropic", "aimock-claude", url, claude)
        yield url


def _connect(gateway: Gateway, preset: str, slug: str, base_url: str, *models: Any) -> None:
    from catalog.services import connect_provider
    from tenancy.core import SYSTEM

    connect_provider(
        gateway.organization_id,
        preset=preset,
        secret="upstream-secret",
        actor=SYSTEM,
        slug=slug,
        base_url=base_url,
        models=models,
    )
