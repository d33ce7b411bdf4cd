"""`./up`: start Enterprise Router with everything it needs, in one terminal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    data: Path
    host: str
    port: int
    workers: int
    sandbox: bool


def main(words: list[str]) -> int:
    """Run until Ctrl-C or SIGTERM; 0 then, and 1 after one sentence when it cannot start."""
    options = parse(words, called_from=Path(os.environ.get("CALLED_FROM", ".")))
    # Only now: `./up --help` answers before the requirements are installed.
    from project.launch import launch

    return launch(options, root=ROOT, environment=os.environ, out=sys.stdout)


def parse(words: list[str], *, called_from: Path) -> Options:
    """Read the command line; prints help or a mistake and exits as argparse does."""
    parser = argparse.ArgumentParser(
        prog="./up",
        description="Start Enterprise Router: web, worker, beat, drainer, sandbox provider, and a "
        "Postgres and a Valkey of its own unless DATABASE_URL and REDIS_URL name others "
        "(DATABASE_URL then is an administrator's address). The first start prints the sign-in.",
    )
    parser.add_argument("--port", type=_between(1, 65535), default=8000, help="default: 8000")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--data", metavar="DIR", help="where everything is kept (var)")
    parser.add_argument(
        "--workers", metavar="N", type=_between(1, 64), default=2, help="web processes (2)"
    )
    parser.add_argument(
        "--no-sandbox", action="store_true", help="without the built-in provider for trying out"
    )
    found = parser.parse_args(words)
    return Options(
        data=called_from / found.data if found.data else ROOT / "var",
        host=found.host,
        port=found.port,
        workers=found.workers,
        sandbox=not found.no_sandbox,
    )


def _between(at_least: int, at_most: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds, for argparse."""

    def read(word: str) -> int:
        if not (word.isascii() and word.isdigit() and at_least <= int(word) <= at_most):
            raise argparse.ArgumentTypeError(
                f"{word!r} is not a whole number from {at_least} to {at_most}"
            )
        return int(word)

    return read


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
