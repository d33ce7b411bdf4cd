"""The pages served to a real browser: a thread in this process, and people who are signed in."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from uuid import UUID
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler

from analytics.ledger import Ledger
from catalog.models import Provider
from preferences.services import save_preferences
from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import Organization, User, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_organization, create_user
from tests.analytics.rows import after_fallback, failed, refused, row
from tests.conftest import signed_in

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The path of a Chromium on this machine."""
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # so that closing waits for them

    def __init__(self, *args: Any, **options: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends every connection, as browsers do that are closed; threads that wait for one end."""
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests say what is wrong."""


@contextmanager
def served() -> Iterator[str]:
    """The address of the pages, while the block runs."""
    app = StaticFilesHandler(WSGIHandler())
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()


@dataclass(frozen=True, slots=True)
class House:
    """An organization with two admins, providers and some requests; and one that is new."""

    organization: Organization
    owner: User
    admin: User
    calls: tuple[str, ...]
    new_organization: Organization
    newcomer: User

    def cookie(self, user: User) -> str:
        """The session cookie of a user who is signed in."""
        return signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value


def make_house(calls: int = 60) -> House:
    """A fresh house, committed, so that the server's threads see it."""
    tag = new_id().hex[-12:]
    owner, admin, newcomer = (
        create_user(f"{name}-{tag}@example.com", None) for name in ("jana", "ravi", "noor")
    )
    organization = create_organization(
        name=f"Acme {tag}", owner=owner, actor=SYSTEM, time_zone="Europe/Berlin"
    )
    add_member(organization.id, user=admin, role=Role.ADMIN, actor=SYSTEM)
    with tenant_scope(organization.id):
        for slug, name in (("groq", "Groq"), ("openai", "OpenAI"), ("local", "Our own vLLM")):
            Provider.objects.create(
                organization=organization,
                slug=slug,
                preset=slug,
                name=name,
                wire="openai",
                is_local=slug == "local",
            )
    made = tuple(add_calls(organization.id, calls))
    new = create_organization(name=f"New {tag}", owner=newcomer, actor=SYSTEM)
    return House(organization, owner, admin, made, new, newcomer)


def add_calls(organization_id: UUID, count: int) -> list[str]:
    """Requests of every kind, the newest first, as the drainer writes them; their ids."""
    makers = (row, after_fallback, refused, failed)
    now_ms = time.time_ns() // 1_000_000
    rows = [makers[i % 4](organization_id, now_ms - i * 60_000, chance=i) for i in range(count)]
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    if rows:
        ledger.write(rows)
    ledger.close()
    return [made["id"] for made in rows]


def add_long_names(house: House) -> str:
    """A call, its key and a provider with names as long and as strange as may be; the call's id."""
    # The last of the signs turns the direction of writing, and nothing turns it back.
    hostile = "<script>alert(1)</script> 😀 שלום \u202e" + "W" * 120
    key = create_key(
        house.organization.id, name=hostile[:120], scopes=[Scope.GATEWAY], actor=SYSTEM
    ).key
    with tenant_scope(house.organization.id):
        Provider.objects.create(
            organization=house.organization,
            slug="w" * 40,
            preset="openai",
            name=hostile[:80],
            wire="openai",
        )
    save_preferences(house.organization.id, None, {"blocked_providers": ["w" * 40]}, actor=SYSTEM)
    made = row(
        house.organization.id,
        time.time_ns() // 1_000_000,
        api_key_id=str(key.id),
        provider="w" * 40,
        model_used="m" * 120,
        model_requested=hostile,
        metadata={"note": hostile},
    )
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    ledger.write([made])
    ledger.close()
    call: str = made["id"]
    return call
