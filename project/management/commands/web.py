"""manage.py web: serve the gateway, the pages and the API."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand

from project.protocol import GatewayProtocol

APPLICATION = "project.asgi:application"
KEEP_ALIVE_S = 75
GRACE_S = 60


class Command(BaseCommand):
    """One process, or several behind one address with --workers."""

    help = "Serve /v1, the dashboard and the API."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--fd", type=int, help="a listening socket that is already open")
        parser.add_argument("--workers", type=int, default=1)

    def handle(self, **options: Any) -> None:
        """Runs until SIGTERM; open calls get a minute to finish."""
        settings: dict[str, Any] = {
            "host": options["host"],
            "port": options["port"],
            "workers": options["workers"],
            "loop": "uvloop",
            "http": GatewayProtocol,
            "ws": "none",
            "lifespan": "on",
            "access_log": False,
            "proxy_headers": False,
            "server_header": False,
            "date_header": False,
            "log_level": "warning",
            "backlog": 4096,
            "timeout_keep_alive": KEEP_ALIVE_S,
            "timeout_graceful_shutdown": GRACE_S,
        }
        if options["fd"] is None:
            uvicorn.run(APPLICATION, **settings)
            return
        # uvicorn's own way takes any descriptor for a Unix socket: no client address, and no
        # TCP_NODELAY, which costs 40 ms an answer.
        with socket.socket(fileno=options["fd"]) as listening:
            uvicorn.Server(uvicorn.Config(APPLICATION, **settings)).run(sockets=[listening])
