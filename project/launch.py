"""Starting everything, in order, and ending it again.

1. Refuse what cannot work, in one sentence, before anything runs: folder, disk, lock, port.
2. Postgres and Valkey; then, if this release has not seen this database, roles and migrations.
3. Web, worker, beat, drainer and sandbox side by side; the address is shown once they are ready.
4. At the end: web first, so that open streams finish; the drainer after those who write for it;
   the servers last.
"""

from __future__ import annotations

import errno
import http.client
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from project import database, embedded, first_run, processes, release
from project.embedded import Server
from project.folder import (
    Folder,
    StartRefused,
    free_port,
    keep_environment,
    open_folder,
    read_secrets,
    recall,
    remember,
)
from project.processes import House
from project.supervisor import StopAsked, Supervisor, supervised

if TYPE_CHECKING:
    from project.up import Options

SERVERS_START_S = 60.0
READY_S = 120.0
DEATHS_MAX = 5


def launch(options: Options, *, root: Path, environment: Mapping[str, str], out: IO[str]) -> int:
    """Run the product until a signal asks for its end; gives the exit code."""
    began_at = time.monotonic()
    try:
        if not options.data.exists():
            listen(options.host, options.port).close()  # A refusal leaves no new folder behind.
        folder = open_folder(options.data)
        with listen(options.host, options.port) as listening, supervised(out) as supervisor:
            try:
                house = _start(options, folder, listening, supervisor, root, environment)
                supervisor.say(
                    f"ready in {time.monotonic() - began_at:.1f} s: "
                    f"{house.public_url}/enterprise-router/ (Ctrl-C ends everything)"
                )
                supervisor.run()
            except StopAsked:
                pass
            listening.close()
            supervisor.say("ending: open streams have up to 60 s, Ctrl-C again hurries")
        supervisor.say("ended")
    except OSError as why:
        print(f"Starting failed: {why}.", file=sys.stderr)
        return 1
    except StartRefused as why:
        print(why, file=sys.stderr)
        return 1
    return 0


def listen(host: str, port: int) -> socket.socket:
    """The socket that all web processes share; refuses a taken port in one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as why:
        reason = {
            errno.EADDRINUSE: f"Port {port} on {host} is in use: choose another with --port.",
            errno.EACCES: f"Port {port} may not be opened by this user: take one above 1023.",
        }.get(why.errno or 0, f"Cannot listen on {host} port {port}: {why.strerror or why}.")
        raise StartRefused(reason) from None


def _start(
    options: Options,
    folder: Folder,
    listening: socket.socket,
    supervisor: Supervisor,
    root: Path,
    environment: Mapping[str, str],
) -> House:
    """Start servers and processes; returns once the product is ready for calls."""
    secrets = read_secrets(folder)
    postgres = embedded.postgres(folder, environment, secrets)
    redis = embedded.redis(folder, environment, secrets)
    for server in (postgres, redis):
        if server.program is not None:
            supervisor.start(server.program)
    name = embedded.database_name(postgres.url)
    house = House(
        root=root,
        data=folder.path,
        host=options.host,
        port=options.port,
        databases=database.urls(postgres.url, database=name, passwords=secrets),
        redis_url=redis.url,
        sandbox_port=free_port(folder, "sandbox") if options.sandbox else 0,
        secrets=secrets,
        given=environment,
    )
    keep_environment(folder, processes.kept_environment(house))
    if house.sandbox_port:
        supervisor.start(processes.sandbox(house))
    supervisor.say(f"{postgres.label}, {redis.label}, data in {folder.path}")
    _wait_for_postgres(supervisor, postgres)
    welcome = _release(house, supervisor, folder, admin_url=postgres.url, name=name)
    programs = processes.processes(house, workers=options.workers, listening=listening.fileno())
    for program in programs:
        supervisor.start(program)
    _wait_until_ready(supervisor, house)
    if welcome:
        supervisor.print(welcome)
    return house


def _wait_for_postgres(supervisor: Supervisor, server: Server) -> None:
    def is_ready() -> bool:
        return server.is_ready() or _not_given_up(supervisor, "postgres")

    if not supervisor.wait_for(is_ready, timeout_s=SERVERS_START_S, every_s=0.02):
        raise StartRefused(f"Postgres did not answer within {SERVERS_START_S:.0f} s.")


def _release(
    house: House, supervisor: Supervisor, folder: Folder, *, admin_url: str, name: str
) -> str:
    """Bring database and static files to this release; gives the first run's text, else ""."""
    wanted = release.database_release(house.root)
    state = release.State()
    if recall(folder, "roles_made_in") == name:  # else nobody can sign in yet
        state = release.read_state(house.databases.migrate)
    elif house.given.get("DATABASE_URL"):
        database.refuse_others_roles(admin_url, passwords=house.secrets)
    if state.release != wanted:
        supervisor.say("setting up the database")
        database.bootstrap(admin_url, database=name, passwords=house.secrets)
        remember(folder, "roles_made_in", name)
        _step(house, supervisor, "migrate", "migrate", "--no-input", "--verbosity=0")
        state = release.State(wanted, release.read_state(house.databases.migrate).provisioned)
        release.write_state(house.databases.migrate, state)
    static = release.static_release(house.root)
    if recall(folder, "static_release") != static or not (folder.path / "static").exists():
        _step(house, supervisor, "static", "collectstatic", "--no-input", "--verbosity=0")
        remember(folder, "static_release", static)
    if state.provisioned:
        return ""
    welcome = first_run.provision(house)
    release.write_state(house.databases.migrate, release.State(wanted, provisioned=True))
    return welcome


def _step(house: House, supervisor: Supervisor, name: str, *command: str) -> None:
    code = supervisor.run_once(processes.release_step(house, name, *command))
    if code != 0:
        raise StartRefused(f"`manage.py {' '.join(command)}` failed; the lines above say why.")


def _wait_until_ready(supervisor: Supervisor, house: House) -> None:
    """Until /health/ready answers 200; refuses when a process keeps dying instead."""

    def is_ready() -> bool:
        for name in ("web.1", "worker", "drainer", "sandbox"):
            _not_given_up(supervisor, name)
        address = house.public_url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=0.5)
        try:
            connection.request("GET", "/health/ready", headers={"Host": "localhost"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    if not supervisor.wait_for(is_ready, timeout_s=READY_S, every_s=0.05):
        raise StartRefused(f"Not ready within {READY_S:.0f} s; the lines above say why.")


def _not_given_up(supervisor: Supervisor, name: str) -> bool:
    """False (there is still hope), or StartRefused for a program that keeps dying."""
    if supervisor.deaths(name) >= DEATHS_MAX:
        raise StartRefused(f"{name} keeps ending; the lines above say why.")
    return False
