"""`./manage`: a management command with the settings of the product that `./up` runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from project.folder import StartRefused, is_running, read_environment

ROOT = Path(__file__).resolve().parent.parent


def main(words: list[str]) -> int:
    """Runs ``manage.py`` with what ./up remembered; a variable that is set stands."""
    data = ROOT / "var"
    if words[:1] == ["--data"] and len(words) > 1:
        data, words = Path(words[1]), words[2:]
    try:
        remembered = read_environment(data)
    except StartRefused as why:
        print(why, file=sys.stderr)
        return 1
    env = remembered | dict(os.environ)
    helps = not words or words[0] in ("help", "--help") or "--help" in words
    if not (helps or is_running(data) or _answers(env["DATABASE_URL"])):
        print(f"./up is not running on {data}: start it first.", file=sys.stderr)
        return 1
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    os.execve(sys.executable, command, env)  # noqa: S606 - our own


def _answers(address: str) -> bool:
    """Whether the database is there: one that is given by address does not end with ./up."""
    import psycopg

    try:
        psycopg.connect(address, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
