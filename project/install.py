"""Make .venv and install the pinned requirements into it, once per change of them.

Runs under the machine's own Python, before anything is installed: standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def main(name: str) -> int:
    """Install ``name`` (a requirements file); 0, or 1 after a sentence on what went wrong."""
    requirements = ROOT / name
    with requirements.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ./up and ./test may be started at the same time
        wanted = hashlib.sha256(file.read()).hexdigest()
        stamp = VENV / f".installed-{name}"
        if _works() and stamp.exists() and stamp.read_text() == wanted:
            return 0
        return _install(requirements, stamp=stamp, wanted=wanted)


def _install(requirements: Path, *, stamp: Path, wanted: str) -> int:
    began_at = time.monotonic()
    packages = requirements.read_text(encoding="utf-8").count("==")
    _say(f"Installing {packages} packages into {VENV} … ", end="")
    if not _works():
        shutil.rmtree(VENV, ignore_errors=True)
        failed = _run([sys.executable, "-m", "venv", str(VENV)])
        if failed is not None:
            _say("failed")
            return _fail(
                "The virtual environment could not be made; where Python's venv is a package of "
                "its own (Debian, Ubuntu: python3-venv), install that.",
                failed,
            )
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
    failed = _run([*pip, "--requirement", str(requirements)])
    if failed is not None:
        _say("failed")
        return _fail("The requirements could not be installed.", failed)
    stamp.write_text(wanted)
    _say(f"done in {time.monotonic() - began_at:.0f} s")
    return 0


def _works() -> bool:
    """Whether there is an environment whose Python is new enough and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return PYTHON.exists() and _run([str(PYTHON), "-c", check]) is None


def _run(command: list[str]) -> str | None:
    """Nothing when it went well, else what it printed last."""
    done = subprocess.run(  # noqa: S603 - Python and pip with words from above
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    return "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])


def _fail(sentence: str, details: str) -> int:
    print(details, file=sys.stderr)
    print(sentence, file=sys.stderr)
    return 1


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
