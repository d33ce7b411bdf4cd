"""The ASGI application: /v1 goes to the gateway's own door, everything else to Django."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from project.health import ready  # noqa: E402
from routing.door import Receive, Scope, Send  # noqa: E402
from routing.runtime import Runtime  # noqa: E402

# The gateway's description is a page like any other.
_OPENAPI = "/v1/openapi.json"
# Whoever asks for one of these elsewhere forgot /v1; the door tells them as their SDK expects.
_STRAY = ("/chat/completions", "/embeddings")


class Application:
    """Opens the gateway with the process and closes it with it."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event or request."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if self.runtime is not None and _is_for_the_door(path):
                await self.runtime.door(scope, receive, send)
            elif path == "/health/live":
                await _plain(send, 200, b"ok")
            elif path == "/health/ready":
                status, text = await ready(self.runtime)
                await _plain(send, status, text.encode())
            else:
                await django_application(scope, receive, send)  # type: ignore[arg-type]
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self.runtime = Runtime(
                    redis_url=settings.REDIS_URL,
                    journal_dir=settings.JOURNAL_DIR,
                    pepper=settings.API_KEY_PEPPER,
                    trusted_proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT,
                    body_bytes_max=settings.BODY_BYTES_MAX,
                    body_key=settings.ENCRYPTION_KEY,
                )
                self.runtime.warm()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.runtime is not None:
                    await self.runtime.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _is_for_the_door(path: str) -> bool:
    return (path.startswith("/v1/") and path != _OPENAPI) or path.endswith(_STRAY)


async def _plain(send: Send, status: int, text: bytes) -> None:
    headers: list[Any] = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


application = Application()
