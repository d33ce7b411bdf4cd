"""`./up` as a newcomer meets it: refusals in one sentence, a first call, an end, another start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from project.database import Urls
from project.processes import House, environment, migrate_environment, processes, sandbox
from project.up import parse
from tests.project.conftest import reachable_folder
from tests.project.test_supervisor import is_alive

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "API_KEY_PEPPER", "ENCRYPTION_KEY")
SETTINGS += ("DATA_DIR", "PUBLIC_URL", "ALLOWED_HOSTS", "SANDBOX_URL", "DATABASE_INGEST_URL")
SETTINGS += ("DATABASE_MIGRATE_URL", "PRIVATE_NETWORKS", "CELERY_BROKER_URL")
READY_S = 120.0


def clean() -> dict[str, str]:
    """The environment of somebody who has set nothing."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.endswith("_API_KEY")
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def up(*words: str, python: bool = True) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "project.up"] if python else ["./up"]
    return subprocess.run(
        [*command, *words], cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=60
    )


def test_help_answers_and_names_every_option() -> None:
    done = up("--help", python=False)
    assert done.returncode == 0
    for option in ("--port", "--host", "--data", "--workers", "--no-sandbox"):
        assert option in done.stdout


def test_folders_are_meant_from_where_it_was_called() -> None:
    assert parse(["--data", "mine"], called_from=Path("/srv")).data == Path("/srv/mine")
    assert parse([], called_from=Path("/srv")).data == ROOT / "var"


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "x"], ["--workers", "0"]])
def test_a_number_out_of_bounds_is_named(words: list[str]) -> None:
    done = up(*words)
    assert done.returncode == 2
    assert f"argument {words[0]}: '{words[1]}' is not a whole number" in done.stderr


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for data in (tmp_path, tmp_path / "new"):
            done = up("--data", str(data), "--port", str(port))
            assert (done.returncode, done.stdout) == (1, "")
            refused = f"Port {port} on 127.0.0.1 is in use: choose another with --port.\n"
            assert done.stderr == refused
    assert not (tmp_path / "new").exists()


def test_a_command_says_in_one_sentence_that_nothing_runs(tmp_path: Path) -> None:
    kept = {
        "DATABASE_URL": f"postgresql://er_web:x@127.0.0.1:{free_port()}/enterprise_router",
        **dict.fromkeys(("SECRET_KEY", "API_KEY_PEPPER"), "x" * 50),
        "ENCRYPTION_KEY": "A" * 43 + "=",
    }
    (tmp_path / "environment.json").write_text(json.dumps(kept))
    words = ("api_key", "list", "--organization", str(UUID(int=1)))
    done = manage(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"./up is not running on {tmp_path}: start it first.\n"
    assert manage(tmp_path, "api_key", "--help").returncode == 0
    kept["DATABASE_URL"] = os.environ["DATABASE_URL"]
    (tmp_path / "environment.json").write_text(json.dumps(kept))
    assert "There is no organization" in manage(tmp_path, *words).stderr


def manage(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end."""
    command = [sys.executable, "-m", "project.operate", "--data", str(data), *words]
    return subprocess.run(
        command, cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=60
    )


def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    done = up("--data", "/dev/null/data")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"The data folder /dev/null/data cannot be written .*--data\.\n", done.stderr
    )


def test_an_old_python_is_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for name in ("dirname", "sh"):
        (tmp_path / name).symlink_to(f"/bin/{name}" if name == "sh" else f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", "./up"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed and was not found (found: Python 3.9.2)" in done.stderr


def test_an_address_that_is_no_administrators_is_one_sentence(tmp_path: Path) -> None:
    env = clean() | {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": "redis://127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "project.up", "--data", str(tmp_path), "--port", str(free_port())],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'signs in as "er_web", which may not set up roles' in done.stderr


def house(tmp_path: Path, **given: str) -> House:
    urls = Urls("postgresql://migrate", "postgresql://web", "postgresql://ingest", "postgresql://b")
    secrets = {"secret_key": "s", "api_key_pepper": "p", "encryption_key": "e"}
    return House(
        root=ROOT,
        data=tmp_path,
        host="0.0.0.0",
        port=80,
        databases=urls,
        redis_url="redis://live/0",
        sandbox_port=20001,
        secrets=secrets,
        given=given,
    )


def test_no_process_sees_more_addresses_than_it_needs(tmp_path: Path) -> None:
    made = house(tmp_path, DATABASE_URL="postgresql://admin", DATABASE_URL_FILE="/x", PATH="/bin")
    for program in [*processes(made, workers=2, listening=9), sandbox(made)]:
        values = set(program.env.values())
        assert not values & {"postgresql://admin", "postgresql://migrate", "/x"}
        assert ("postgresql://ingest" in values) == (program.name == "drainer")
    assert not set(sandbox(made).env) & {"SECRET_KEY", "DATABASE_URL", "ENCRYPTION_KEY"}
    assert migrate_environment(made)["DATABASE_URL"] == "postgresql://migrate"


def test_what_the_operator_has_set_stands(tmp_path: Path) -> None:
    plain = environment(house(tmp_path))
    assert plain["PUBLIC_URL"] == "http://127.0.0.1:80"
    assert plain["SECRET_KEY"] == "s"
    own = environment(house(tmp_path, PUBLIC_URL="https://er.example", SECRET_KEY_FILE="/k"))
    assert own["PUBLIC_URL"] == "https://er.example"
    assert "SECRET_KEY" not in own


class Running:
    """`./up` in a process of its own, and what it has printed."""

    def __init__(self, data: Path, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.began_at = time.monotonic()
        command = [sys.executable, "-m", "project.up", "--data", str(data), "--port", str(port)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--workers", "1"],
                cwd=ROOT,
                env=clean(),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> str:
        """What it printed until it said it was ready."""
        while "│ ready in" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - self.began_at < READY_S, self.log.read_text()
            time.sleep(0.05)
        return self.log.read_text()

    def children(self) -> list[int]:
        """Every process below it."""
        parents = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # gone meanwhile
                parent = place.read_text().rpartition(")")[2].split()[1]
                parents[int(place.parent.name)] = int(parent)
        found = [self.process.pid]
        for pid in found:
            found.extend(child for child, its in parents.items() if its == pid)
        return found[1:]

    def get(self, path: str, key: str = "") -> tuple[int, bytes]:
        """Status and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as why:
            with why:
                return why.code, why.read()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made


@pytest.fixture(scope="module")
def first(place: Path) -> Iterator[Running]:
    running = Running(place / "data", free_port(), place / "first.log")
    running.wait_until_ready()
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_pasted_curl_answers_and_every_end_and_start_keeps_it(
    place: Path, first: Running
) -> None:
    text = first.log.read_text()
    key = re.search(r"API key +(er_live_\S+)", text)
    assert key is not None
    assert "Password" in text
    assert "owner@example.com" in text
    curl = text[text.index("\ncurl ") : text.index("│ ready in")].rpartition("\n")[0]
    pasted = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=60)
    answer = json.loads(pasted.stdout)
    assert answer["choices"][0]["message"]["content"]
    wait_for_calls(first, key[1], 1)
    children = first.children()
    assert len(children) >= 8
    assert first.end(signal.SIGINT) == 0
    assert not any(is_alive(pid) for pid in children)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", first.port)) != 0

    for path in (place / "data").rglob("*"):
        if path.is_file():
            assert key[1].encode() not in path.read_bytes(), path

    second = Running(place / "data", first.port, place / "second.log")
    text = second.wait_until_ready()
    assert "Password" not in text
    assert key[1] not in text
    assert "setting up" not in text
    wait_for_calls(second, key[1], 1)
    for pid in (second.process.pid, *second.children()):
        with suppress(ProcessLookupError):  # died with its supervisor
            os.kill(pid, signal.SIGKILL)
    second.process.wait()

    third = Running(place / "data", first.port, place / "third.log")
    third.wait_until_ready()
    wait_for_calls(third, key[1], 1)
    children = third.children()
    assert third.end() == 0
    assert third.log.read_text().splitlines()[-1].endswith("│ ended")
    assert not any(is_alive(pid) for pid in children)


def wait_for_calls(running: Running, key: str, count: int) -> None:
    """The ledger shows that many calls within 5 s."""
    deadline = time.monotonic() + 5
    while True:
        status, body = running.get("/api/calls", key)
        assert status == 200, body
        found = json.loads(body)
        items = (
            found
            if isinstance(found, list)
            else next(v for v in found.values() if isinstance(v, list))
        )
        if len(items) == count:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
