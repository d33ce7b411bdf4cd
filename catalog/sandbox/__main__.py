"""``python -m catalog.sandbox --port P``: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from catalog.sandbox.server import Sandbox

KEEP_ALIVE_S = 75
STOP_WITHIN_S = 1  # a stalled answer must not keep the process


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    options = _options(arguments)
    # Uvicorn raises the signal that ended it once more; that must not look like a failure.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        listener = _listener(options)
    except OSError as error:
        where = f"fd {options.fd}" if options.fd is not None else f"{options.host}:{options.port}"
        print(
            f"The sandbox cannot listen on {where}: {os.strerror(error.errno or 0)}.",
            file=sys.stderr,
        )
        return 1
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = uvicorn.Server(_config())
    if options.parent_exit:
        _stop_without_parent(server)
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    print(f"Sandbox provider at http://{host}:{address[1]}/sandbox", flush=True)
    server.run(sockets=[listener])
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m catalog.sandbox", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="0 takes a free one")
    where.add_argument("--fd", type=int, help="a bound socket that was handed over")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--parent-exit", action="store_true", help="end when the process that started this ends"
    )
    return parser.parse_args(arguments)


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    return socket.create_server((options.host, options.port), family=family, backlog=2048)


def _config() -> uvicorn.Config:
    return uvicorn.Config(
        Sandbox(),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )


def _stop_without_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()

    async def look() -> None:
        if os.getppid() != parent:
            server.should_exit = True

    server.config.callback_notify = look
    server.config.timeout_notify = 0  # at every tick that looks, which is once a second


def _is_news(record: logging.LogRecord) -> bool:
    """False for what is meant here: streams cut on demand, and answers ended by the shutdown."""
    message = record.getMessage()
    if message.startswith(("ASGI callable returned without completing", "Cancel ")):
        return False
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != "CancelledError"


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
