"""One load on one target: by wrk where it is installed, else by our own client."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import client
from bench.client import Load

KIND_OF = {"c": "json", "o": "json", "s": "stream", "p": "paced"}
SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Phase:
    """Such as c64: a letter for kind and shape, and how many connections or calls a second."""

    name: str
    kind: str
    is_open: bool
    size: int

    @classmethod
    def read(cls, name: str) -> Phase:
        """Raises ``ValueError`` for a name that is none."""
        found = re.fullmatch(r"([cosp])([1-9]\d*)", name)
        if found is None:
            raise ValueError(f'"{name}" is no phase: write c64, s64, p64 or o500.')
        return cls(name, KIND_OF[found[1]], found[1] == "o", int(found[2]))


def has_wrk() -> bool:
    """Whether wrk is on the machine."""
    return shutil.which("wrk") is not None


def http_request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole POST request as it goes over the wire."""
    head = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    phase: Phase, port: int, requests: Sequence[bytes], *, seconds: float, folder: Path
) -> Load:
    """The load of one phase; the open loop is always our own."""
    if phase.is_open or not has_wrk():
        shape = "open" if phase.is_open else "closed"
        return client.run(port, requests, shape=shape, size=phase.size, seconds=seconds)
    return _wrk(phase, port, requests, seconds=seconds, folder=folder)


def _wrk(
    phase: Phase, port: int, requests: Sequence[bytes], *, seconds: float, folder: Path
) -> Load:
    listing = folder / "requests"
    listing.write_bytes(b"".join(b"%d\n%s" % (len(r), r) for r in requests))
    words = ["wrk", "-t1", f"-c{phase.size}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    words += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--", str(listing)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=False)
    figures = re.search(r"^FIGURES (.*)$", done.stdout, re.MULTILINE)
    if figures is None:
        raise RuntimeError(f"wrk said: {(done.stdout + done.stderr)[-400:]}")
    total, took_s, p50_us, p99_us, status, broken, late = (float(w) for w in figures[1].split())
    load = Load(int(total - status), took_s, p50_us, p99_us)
    load.fail("HTTP status", int(status))
    load.fail("connection", int(broken))
    load.fail("timeout", int(late))
    return load
