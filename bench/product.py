"""The product as a user runs it, its one web process alone on a core, all else on the other."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import system
from bench.upstream import ROOT
from project import database, embedded, processes
from project.folder import free_port, open_folder, read_secrets
from project.launch import listen
from project.supervisor import Program

START_S = 120.0
DRAIN_S = 300.0
_LEDGER = """
SELECT count(*), coalesce(sum(attempts), 0), count(*) FILTER (WHERE success),
       (SELECT count(*) FROM router_quarantine)
FROM router_analytics
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is in the database."""

    organizations: int = 1
    keys: int = 1
    deployments: int = 1


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sums over all rows of the ledger."""

    rows: int
    attempts: int
    successes: int
    quarantined: int


class Product:
    """Started by ``start``; every process of it is ended by ``stop``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o711, parents=True)
        folder.chmod(0o711)  # Postgres runs as somebody else when this runs as root
        self._folder = open_folder(folder)
        self._log_path = folder / "log"
        self._running: dict[str, tuple[subprocess.Popen[bytes], Program]] = {}
        self.port = 0
        self.servers = ""
        self._migrate_url = ""

    def start(self, upstreams: Mapping[str, str], sizes: Sizes) -> list[str]:
        """Make the database, fill it and start everything; gives the keys to call with."""
        secrets = read_secrets(self._folder)
        self.port = free_port(self._folder, "web")
        postgres = embedded.postgres(self._folder, os.environ, secrets)
        redis = embedded.redis(self._folder, os.environ, secrets)
        self.servers = f"{postgres.label}, {redis.label}"
        for server in (postgres, redis):
            if server.program is not None:
                self._spawn(server.program, core=system.OTHERS_CORE)
        system.wait_until(
            lambda: _answers(postgres.url), timeout_s=START_S, what="Postgres did not answer"
        )
        name = embedded.database_name(postgres.url)
        urls = database.bootstrap(postgres.url, database=name, passwords=secrets)
        self._migrate_url = urls.migrate
        house = processes.House(
            root=ROOT,
            data=self._folder.path,
            host="127.0.0.1",
            port=self.port,
            databases=urls,
            redis_url=redis.url,
            sandbox_port=0,
            secrets=secrets,
            given=os.environ,
        )
        self._step(house, "manage.py", "migrate", "--no-input", "--verbosity=0")
        keys = self._seed(house, upstreams, sizes)
        self._step(house, "manage.py", "collectstatic", "--no-input", "--verbosity=0")
        with listen("127.0.0.1", self.port) as listening:
            programs = processes.processes(house, workers=1, listening=listening.fileno())
            # The Celery worker and beat take no part in a call; they stay out of the figures.
            for program in programs:
                if program.name == "web.1":
                    self._spawn(program, core=system.GATEWAY_CORE)
                elif program.name == "drainer":
                    self._spawn(program, core=system.OTHERS_CORE)
        system.wait_until(self._is_ready, timeout_s=START_S, what=f"not ready, {self._log_path}")
        return keys

    @property
    def has_web(self) -> bool:
        """Whether the web process was started."""
        return "web.1" in self._running

    def web_pids(self) -> list[int]:
        """The web process and whatever it started."""
        return system.tree(self._running["web.1"][0].pid)

    def cpu_s(self, name: str) -> float:
        """Processor seconds of one of the other processes: drainer, postgres, valkey."""
        if name not in self._running:
            return 0.0
        return system.cpu_s(system.tree(self._running[name][0].pid))

    def ledger(self) -> Ledger:
        """What the ledger holds right now."""
        with psycopg.connect(self._migrate_url, options="-c role=none") as connection:
            row = connection.execute(_LEDGER).fetchone()
        assert row is not None
        return Ledger(*(int(value) for value in row))

    def drained(self, rows_before: int) -> tuple[Ledger, float]:
        """The ledger once nothing more arrives, and how many seconds after this call that was."""
        asked_at = changed_at = time.monotonic()
        known = self.ledger()
        while (now := time.monotonic()) - asked_at < DRAIN_S:
            time.sleep(0.25)
            self._all_run()
            found = self.ledger()
            if found != known:
                known, changed_at = found, time.monotonic()
            elif now - changed_at > (2.0 if known.rows > rows_before else 20.0):
                break
        return known, changed_at - asked_at

    def stop(self) -> None:
        """End everything: web first, the servers last."""
        for process, program in sorted(self._running.values(), key=lambda one: one[1].stage):
            system.end(process, number=program.stop_signal, grace_s=program.grace_s)
        os.close(self._folder.lock)

    def _spawn(self, program: Program, *, core: int) -> None:
        if program.before is not None:
            program.before()
        with self._log_path.open("ab") as log:
            process = system.spawn(
                program.argv,
                core=core,
                log=log,
                env=program.env,
                cwd=program.cwd,
                user=program.user,
                descriptors=program.descriptors,
            )
        self._running[program.name] = (process, program)

    def _step(self, house: processes.House, *command: str) -> None:
        program = processes.release_step(house, command[1], *command[1:])
        done = subprocess.run(
            program.argv, env=program.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-800:]}")

    def _seed(
        self, house: processes.House, upstreams: Mapping[str, str], sizes: Sizes
    ) -> list[str]:
        wanted = {
            "upstreams": dict(upstreams),
            "organizations": sizes.organizations,
            "keys": sizes.keys,
            "deployments": sizes.deployments,
        }
        program = processes.release_step(house, "seed")
        done = subprocess.run(
            [program.argv[0], "-m", "bench.seed"],
            input=json.dumps(wanted),
            env=program.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"bench.seed: {done.stderr[-800:]}")
        return done.stdout.split()

    def _is_ready(self) -> bool:
        self._all_run()
        try:
            url = f"http://127.0.0.1:{self.port}/health/ready"
            with urllib.request.urlopen(url, timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _all_run(self) -> None:
        """Nothing starts again here what ended, so figures without it would mean nothing."""
        for name, (process, _) in self._running.items():
            code = process.poll()
            if code is not None:
                said = self._log_path.read_text(errors="replace")[-1500:]
                raise RuntimeError(f"{name} ended with {code}: {said}")


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
