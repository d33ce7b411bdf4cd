"""What some tests need beyond Python: a Chromium and a few npm packages, where they can be had."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_or_install_browser(*, may_install: bool) -> str:
    """The path of a Chromium, "" without one. Installs Debian's as root when that is wanted."""
    given = os.environ.get("CHROMIUM")
    if given and Path(given).exists():
        return given
    found = _on_path()
    if found or not may_install or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    print("Installing chromium …", flush=True)
    quiet = ["-qq", "-o=Dpkg::Use-Pty=0"]
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", *quiet],
        ["apt-get", "install", *quiet, "--yes", "--no-install-recommends", "chromium"],
    ):
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print((done.stderr.strip().splitlines() or ["apt-get failed"])[-1])
            break
    return _on_path()


def install_node_tools(root: Path) -> bool:
    """Install tests/e2e/node/package.json under var/node where npm exists; once per change."""
    npm = shutil.which("npm")
    wanted = (root / "tests" / "e2e" / "node" / "package.json").read_bytes()
    place = root / "var" / "node"
    stamp = place / ".installed"
    digest = hashlib.sha256(wanted).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return True
    if npm is None:
        return False
    print("Installing npm packages for tests …", flush=True)
    place.mkdir(parents=True, exist_ok=True)
    (place / "package.json").write_bytes(wanted)
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(
        [npm, "install", *options],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(done.stderr.strip() or "npm install failed")
        return False
    stamp.write_text(digest)
    return True


def _on_path() -> str:
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), "")
