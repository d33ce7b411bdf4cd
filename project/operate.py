"""`./manage`: a management command with the settings of the product that `./up` runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from project.folder import StartRefused, read_environment

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
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    os.execve(sys.executable, command, remembered | dict(os.environ))  # noqa: S606 - our own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
