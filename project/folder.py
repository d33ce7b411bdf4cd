"""The data folder of one `./up`: its lock, its secrets and the ports it remembers."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import random
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

FREE_BYTES_MIN = 500 * 2**20
# Below the range from which Linux and macOS take the local ports of outgoing connections: while a
# killed server is away, a client that tries to reach it could otherwise be given its very port.
PORTS = range(20_000, 32_000)
DATABASE_ROLES = ("postgres", "er_migrate", "er_web", "er_ingest", "er_backup")


class StartRefused(Exception):
    """Starting makes no sense; the message is one sentence for the person who asked for it."""


ENVIRONMENT = "environment.json"


@dataclass(frozen=True, slots=True)
class Folder:
    """A data folder held by this process alone."""

    path: Path
    lock: int


def open_folder(path: Path) -> Folder:
    """Create and lock a data folder; refuses one that is in use, not writable or on a full disk."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
        lock = lock_file(path / "lock")
    except OSError as why:
        raise StartRefused(
            f"The data folder {path} cannot be written ({why.strerror}): "
            "choose another with --data."
        ) from None
    free = shutil.disk_usage(path).free
    if free < FREE_BYTES_MIN:
        raise StartRefused(
            f"The disk of {path} has {free // 2**20} MB left and "
            f"{FREE_BYTES_MIN // 2**20} MB are needed: free some, or choose another with --data."
        )
    return Folder(path, lock)


def is_running(path: Path) -> bool:
    """Whether a ./up holds the data folder."""
    try:
        descriptor = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_file(path: Path) -> int:
    """Hold ``path`` until this process ends and write its number there; gives the descriptor.

    Raises StartRefused when another process holds it and OSError when it cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise StartRefused(
            f"{path.parent} is in use by another ./up (process {holder}): stop that one, "
            "or give this one --data DIR and --port N of its own."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def read_secrets(folder: Folder) -> dict[str, str]:
    """The folder's passwords and keys, made on first use and kept in secrets.json (mode 0600)."""
    path = folder.path / "secrets.json"
    if not path.exists() and (folder.path / "servers.json").exists():
        raise StartRefused(
            f"{path} is missing, and the data beside it cannot be opened without: put it back."
        )
    found = _read_json(path)
    fresh = {
        "secret_key": secrets.token_urlsafe(50),
        "api_key_pepper": secrets.token_urlsafe(32),
        "encryption_key": base64.b64encode(secrets.token_bytes(32)).decode(),
        "valkey": secrets.token_urlsafe(24),
        **{role: secrets.token_urlsafe(24) for role in DATABASE_ROLES},
    }
    if fresh.keys() - found.keys():
        found = fresh | found
        _write_json(path, found)
    return found


def remember(folder: Folder, name: str, value: str) -> None:
    """Keep one fact about this folder's servers for the next start."""
    path = folder.path / "servers.json"
    facts = _read_json(path)
    if facts.get(name) != value:
        _write_json(path, facts | {name: value})


def recall(folder: Folder, name: str) -> str | None:
    """What ``remember`` kept under this name, if anything."""
    return _read_json(folder.path / "servers.json").get(name)


def keep_environment(folder: Folder, environment: dict[str, str]) -> None:
    """Remembers the settings that the processes run with, for ./manage; readable by the owner."""
    _write_json(folder.path / ENVIRONMENT, environment)


def read_environment(path: Path) -> dict[str, str]:
    """What ``keep_environment`` kept; raises ``StartRefused`` where ./up never ran."""
    found = _read_json(path / ENVIRONMENT)
    if not found:
        raise StartRefused(f"Nothing was started with {path} yet: run ./up first.")
    return found


def free_port(folder: Folder, name: str) -> int:
    """The loopback port that ``name`` listened on last time, or another when that is taken."""
    remembered = int(recall(folder, f"{name}_port") or 0)
    chance = random.SystemRandom()
    for port in (remembered, *chance.sample(PORTS, 50)):
        if port and _is_free(port):
            remember(folder, f"{name}_port", str(port))
            return port
    raise StartRefused(f"No free port between {PORTS[0]} and {PORTS[-1]} was found for {name}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _read_json(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as why:
        raise StartRefused(f"{path} cannot be read ({why}): put a good copy back.") from None
    return {str(name): str(value) for name, value in found.items()}


def _write_json(path: Path, content: dict[str, str]) -> None:
    """Replace a file whole, so that a crash leaves the old one or the new one."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
