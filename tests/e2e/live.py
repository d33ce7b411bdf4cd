"""The whole product as processes: web with the gateway, drainer and sandbox, for browser tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tenancy.models import User
from tests.catalog.sandbox_process import Server
from tests.catalog.sandbox_process import running as sandbox_running
from tests.conftest import signed_in
from tests.e2e import upstreams
from tests.e2e.browsing import SIZES

Enter = Callable[..., Page]
PASSWORD = "correct horse battery"
SCRIPT_S = 60


@dataclass(frozen=True, slots=True)
class Product:
    """Where the product runs, and the sandbox that it may call."""

    url: str
    sandbox: Server


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """All processes that a first request passes through."""
    place = tmp_path_factory.mktemp("live")
    url = f"http://127.0.0.1:{(port := upstreams.free_port())}"
    manage = [sys.executable, "manage.py"]
    ready = upstreams.answers(f"{url}/health/ready")
    lock = place / "journal" / "drainer.lock"
    with ExitStack() as stack:
        sandbox = stack.enter_context(sandbox_running())
        # Static files as they are, without collecting them first.
        env = {**os.environ, "DATA_DIR": str(place), "PUBLIC_URL": url, "DEBUG": "1"}
        env["SANDBOX_URL"] = sandbox.url
        for argv, log, is_ready in (
            ([*manage, "drain"], "drain.log", lock.exists),
            ([*manage, "web", "--port", str(port)], "web.log", ready),
        ):
            stack.enter_context(upstreams.running(argv, place / log, env=env, is_ready=is_ready))
        yield Product(url, sandbox)


@pytest.fixture
def enter(
    browser: Browser,
    product: Product,
    django_db_blocker: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Enter]:
    """Opens an address of the product, as ``user`` or as nobody, in a browser of their own."""
    # Playwright's own loop runs in this thread, which Django takes for an async context.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with django_db_blocker.unblock(), ExitStack() as stack:

        def _enter(path: str, *, user: User | None = None, width: int = 1280, **more: Any) -> Page:
            size = {"width": width, "height": SIZES.get(width, 800)}
            context = browser.new_context(base_url=product.url, viewport=size, **more)
            stack.callback(context.close)
            if user is not None:
                name = settings.SESSION_COOKIE_NAME
                session = signed_in(user).cookies[name].value
                context.add_cookies([{"name": name, "value": session, "url": product.url}])
            page = context.new_page()
            page.goto(path)
            return page

        yield _enter


def run(*argv: str, **env: str) -> str:
    """What a process prints; a failure to end well is the test's."""
    done = subprocess.run(
        argv,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout
