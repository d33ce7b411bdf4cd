"""bench/kill: kill -9 parts of a running product at random moments, then compare the books.

1. `./up` starts the product with two web processes; calls, half of them streams, come on a clock.
2. At random moments a web process, the drainer, Postgres or Valkey is killed with SIGKILL; the
   supervisor starts it again. The sandbox provider is spared: its own list is the other book.
3. When nothing more arrives, the ledger, the rollups and what callers were told must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench import books, system
from bench.upstream import ROOT

# The command lines by which each part is known among the supervisor's children.
PARTS = {
    "web": ("manage.py web",),
    "drainer": ("manage.py drain",),
    "postgres": ("/postgres -D",),
    "valkey": ("valkey-server", "redis-server"),  # whichever the machine has
}
MODEL = "sandbox-fast"
UNTOUCHED_S = 2.0
READY_S = 180.0
SETTLE_S = 90.0
CALL_S = 60.0
_OURS = ("DATABASE", "REDIS_URL", "SECRET_KEY", "API_KEY_PEPPER", "ENCRYPTION_KEY", "DATA_DIR")
_OURS += ("PUBLIC_URL", "ALLOWED_HOSTS", "SANDBOX_URL", "PRIVATE_NETWORKS", "CELERY_BROKER_URL")


@dataclass(frozen=True, slots=True)
class House:
    """A running product."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    key: str

    def fact(self, name: str) -> str:
        """One of the facts that ./up remembers of its servers, such as sandbox_port."""
        return str(json.loads((self.folder / "servers.json").read_text())[name])

    def database_url(self) -> str:
        """The administrator's address."""
        password = json.loads((self.folder / "secrets.json").read_text())["postgres"]
        port = self.fact("postgres_port")
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/enterprise_router"

    def pids(self, part: str) -> list[int]:
        """The supervisor's children that are this part."""
        found = []
        for pid in system.tree(self.process.pid)[1:]:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and any(mark in words for mark in PARTS[part]):
                found.append(pid)
        return found


@dataclass(slots=True)
class Told:
    """What callers were told: ids of complete answers by shape, and how calls ended."""

    plain: dict[str, str] = field(default_factory=dict)  # id: the cost in its header
    streamed: set[str] = field(default_factory=set)
    ends: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to; ``problems`` is empty when the books agree."""

    seed: int
    killed: Counter[str]
    ends: Counter[str]
    compared: books.Compared

    @property
    def problems(self) -> list[str]:
        """Everything that does not agree."""
        return self.compared.problems

    def text(self) -> str:
        """For a person."""
        killed = ", ".join(f"{count} x {part}" for part, count in sorted(self.killed.items()))
        ends = ", ".join(f"{count} {how}" for how, count in self.ends.most_common())
        verdict = "\n".join(self.problems) or "the books agree"
        return (
            f"seed {self.seed}; killed: {killed}\ncalls: {ends}\n{self.compared.text()}\n{verdict}"
        )


def run(
    *, seed: int, kills: int, seconds: float, per_second: float, say: Callable[[str], None]
) -> Report:
    """One whole run in a folder of its own."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(UNTOUCHED_S, seconds - UNTOUCHED_S) for _ in range(kills))
    parts: list[str] = []
    while len(parts) < kills:  # in turn, so that even a short run meets them all
        parts += chance.sample(sorted(PARTS), len(PARTS))
    plan = list(zip(moments, parts, strict=False))
    with tempfile.TemporaryDirectory(prefix="bench-kill-") as name:
        Path(name).chmod(0o711)  # Postgres runs as somebody else when this runs as root
        with _product(Path(name)) as house:
            told, killed = asyncio.run(
                _calls_and_kills(house, plan, chance, seconds, per_second, say)
            )
            say("waiting for the ledger")
            _until_ready(house)
            compared = _settled(house, told)
            return Report(seed, killed, told.ends, compared)


@contextmanager
def _product(folder: Path) -> Iterator[House]:
    """``./up`` with two web processes, on a fresh folder, while the block runs."""
    (port,) = system.free_ports(1)
    argv = [sys.executable, "-m", "project.up", "--data", str(folder), "--workers", "2"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    env = {k: v for k, v in env.items() if not k.endswith("_API_KEY")} | {"PYTHONUNBUFFERED": "1"}
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*argv, "--port", str(port)], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        give_up = time.monotonic() + READY_S
        while "ready in" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"./up did not start: {log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.1)
        key = re.search(r"API key\s+(\S+)", log.read_text(errors="replace"))
        assert key is not None, "./up printed no API key"
        yield House(process, folder, f"http://127.0.0.1:{port}", key[1])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.unlink()


async def _calls_and_kills(
    house: House,
    plan: list[tuple[float, str]],
    chance: random.Random,
    seconds: float,
    per_second: float,
    say: Callable[[str], None],
) -> tuple[Told, Counter[str]]:
    told, killed = Told(), Counter[str]()
    shapes = [chance.random() < 0.5 for _ in range(int(seconds * per_second))]
    began_at = time.monotonic()

    async def kill() -> None:
        for moment, part in plan:
            await asyncio.sleep(max(0.0, began_at + moment - time.monotonic()))
            alive = house.pids(part)
            if not alive:
                say(f"{moment:5.1f} s  {part} is down already")
                continue
            os.kill(chance.choice(alive), signal.SIGKILL)
            killed[part] += 1
            say(f"{moment:5.1f} s  killed {part}")

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with (
        httpx.AsyncClient(timeout=CALL_S, limits=limits, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(kill())
        for number, is_stream in enumerate(shapes):
            await asyncio.sleep(max(0.0, began_at + number / per_second - time.monotonic()))
            group.create_task(_call(client, house, told, is_stream=is_stream))
    return told, killed


async def _call(client: httpx.AsyncClient, house: House, told: Told, *, is_stream: bool) -> None:
    """One call, without retries; how it ended is counted."""
    body = {
        "model": MODEL,
        "stream": is_stream,
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "Count the boats in the harbour."}],
    }
    headers = {"Authorization": f"Bearer {house.key}"}
    url = f"{house.url}/v1/chat/completions"
    try:
        async with client.stream("POST", url, json=body, headers=headers) as reply:
            text = (await reply.aread()).decode()
    except httpx.HTTPError as why:
        told.ends[type(why).__name__] += 1
        return
    if reply.status_code != 200:
        told.ends[f"HTTP {reply.status_code}"] += 1
    elif is_stream and not text.rstrip().endswith("[DONE]"):
        told.ends["stream cut"] += 1
    else:
        told.ends["answered"] += 1
        call_id = reply.headers["x-router-call-id"]
        if is_stream:
            told.streamed.add(call_id)
        else:
            told.plain[call_id] = reply.headers["x-router-cost"]


def _until_ready(house: House) -> None:
    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"{house.url}/health/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    system.wait_until(is_ready, timeout_s=READY_S, what="not ready again")


def _settled(house: House, told: Told) -> books.Compared:
    """The comparison once the ledger has stopped growing, or when waiting makes no sense."""
    url = f"http://127.0.0.1:{house.fact('sandbox_port')}/sandbox/calls"
    with urllib.request.urlopen(url, timeout=30) as reply:
        sandbox = json.load(reply)["calls"]
    asked = Counter(str(call["request_id"]) for call in sandbox)
    give_up = time.monotonic() + SETTLE_S
    rows, changed_at = -1, time.monotonic()
    while True:
        compared = books.compare(
            house.database_url(), asked=asked, plain=told.plain, streamed=told.streamed
        )
        if compared.rows != rows:
            rows, changed_at = compared.rows, time.monotonic()
        quiet_s = time.monotonic() - changed_at
        if quiet_s > (3.0 if not compared.problems else 20.0) or time.monotonic() > give_up:
            return compared
        time.sleep(0.5)


def main() -> int:
    """0 when the books agree."""
    parser = argparse.ArgumentParser(prog="bench/kill", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to repeat it")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="calls per second")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    report = run(
        seed=seed,
        kills=options.kills,
        seconds=options.seconds,
        per_second=options.rate,
        say=lambda text: print(text, flush=True),
    )
    print(report.text())
    return int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
