"""The pages served to a real browser: a thread in this process, and people who are signed in."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from tenancy.core import SYSTEM, Role
from tenancy.models import Organization, User, new_id
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_organization, create_user
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
    daemon_threads = True


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
        server.server_close()


@dataclass(frozen=True, slots=True)
class House:
    """An organization of its own with two admins, providers and some requests."""

    organization: Organization
    owner: User
    admin: User
    calls: tuple[str, ...]

    def cookie(self, user: User) -> str:
        """The session cookie of a user who is signed in."""
        return signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value


def make_house(calls: int = 60) -> House:
    """A fresh house, committed, so that the server's threads see it."""
    tag = new_id().hex[-12:]
    owner, admin = (create_user(f"{n}-{tag}@example.com", None) for n in ("jana", "ravi"))
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
    return House(organization, owner, admin, tuple(add_calls(organization.id, calls)))


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
