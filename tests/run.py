"""`./test`: linters, types, contracts and all tests on a Postgres and a Valkey of their own.

1. Take a slot (var/test/0, 1, …), so that several runs and a running ./up do not meet.
2. Start its servers; bring a template database to this release as ./up does, as er_migrate.
3. Copy it afresh for this run, sign in as er_web, and go through the steps.
With arguments only pytest runs, with these: ./test tests/routing -k decide
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from project import database, embedded, processes, release
from project.folder import Folder, StartRefused, open_folder, read_secrets
from project.processes import House
from project.supervisor import StopAsked, Supervisor, supervised
from tests.tools import find_or_install_browser, install_node_tools

ROOT = Path(__file__).resolve().parent.parent
SLOTS = 16
TEMPLATE = "er_release"
DATABASE = "er_test"
KEPT = ("lock", "postgres", "secrets.json", "servers.json")
PACKAGES = ("project", "routing", "preferences", "analytics", "catalog", "tenancy", "lib")


@dataclass(frozen=True, slots=True)
class Result:
    """How one step went."""

    name: str
    code: int
    seconds: float


def main(words: list[str]) -> int:
    """All steps, or pytest with ``words``; 0 only if everything went well."""
    may_install = "--install-browser" in words or os.environ.get("CI") == "true"
    words = [word for word in words if word != "--install-browser"]
    try:
        folder = _take_slot()
        with (folder.path / "servers.log").open("w") as log, supervised(log) as supervisor:
            return _run(words, folder, supervisor, may_install=may_install)
    except StartRefused as why:
        print(why, file=sys.stderr)
        return 1
    except StopAsked:
        return 130


def _run(words: list[str], folder: Folder, supervisor: Supervisor, *, may_install: bool) -> int:
    house, admin_url = _prepare(folder, supervisor)
    env = processes.environment(house) | {
        "DATABASE_MIGRATE_URL": house.databases.migrate,
        "DATABASE_INGEST_URL": house.databases.ingest,
        "TEST_ADMIN_URL": admin_url,
        "TEST_BACKUP_PASSWORD": house.secrets["er_backup"],
        "PYTHONWARNINGS": "",
    }
    report = folder.path / "pytest.xml"
    pytest = ["-m", "pytest", f"--junitxml={report}"]
    if words:
        return _step(supervisor, "pytest", [*pytest, *words], env).code
    browser = find_or_install_browser(may_install=may_install)
    node = install_node_tools(ROOT)
    env |= {"CHROMIUM": browser} if browser else {}
    env |= {"NODE_PATH": str(ROOT / "var" / "node" / "node_modules")} if node else {}
    steps = {
        "ruff check": ["-m", "ruff", "check", "."],
        "ruff format": ["-m", "ruff", "format", "--check", "--quiet", "."],
        "mypy": ["-m", "mypy", "--no-error-summary", *PACKAGES, "manage.py"],
        "contracts": ["-c", "from importlinter.cli import lint_imports_command as c; c()"],
        "django check": ["manage.py", "check"],
        "migrations": ["manage.py", "makemigrations", "--check", "--dry-run"],
        "pytest": pytest,
    }
    results = [_step(supervisor, name, command, env) for name, command in steps.items()]
    _summarize(results, report)
    return int(any(result.code for result in results))


def _take_slot() -> Folder:
    """A data folder nobody else uses now, empty but for its database server."""
    for number in range(SLOTS):
        path = ROOT / "var" / "test" / str(number)
        try:
            folder = open_folder(path)
        except StartRefused:
            if number + 1 == SLOTS:
                raise
            continue
        for entry in folder.path.iterdir():
            if entry.is_dir() and entry.name not in KEPT:
                shutil.rmtree(entry)
            elif entry.name not in KEPT:
                entry.unlink()
        return folder
    raise AssertionError(SLOTS)


def _prepare(folder: Folder, supervisor: Supervisor) -> tuple[House, str]:
    """Servers, a migrated database of this run's own, and the superuser's address."""
    secrets = read_secrets(folder)
    postgres = embedded.postgres(folder, {}, secrets, forgetful=True)
    redis = embedded.redis(folder, {}, secrets)
    for server in (postgres, redis):
        assert server.program is not None
        supervisor.start(server.program)
    if not supervisor.wait_for(postgres.is_ready, timeout_s=60, every_s=0.02):
        raise StartRefused(f"Postgres does not start: see {folder.path}/servers.log.")

    def house(name: str) -> House:
        return House(
            root=ROOT,
            data=folder.path,
            host="127.0.0.1",
            port=8000,
            databases=database.urls(postgres.url, database=name, passwords=secrets),
            redis_url=redis.url,
            sandbox_port=0,
            secrets=secrets,
            given=_caller(),
        )

    _migrate_template(house(TEMPLATE), supervisor, admin_url=postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE} OWNER er_owner")
    database.bootstrap(postgres.url, database=DATABASE, passwords=secrets)
    return house(DATABASE), postgres.url


def _migrate_template(house: House, supervisor: Supervisor, *, admin_url: str) -> None:
    """Make the template anew unless it is of this release already."""
    wanted = release.database_release(ROOT)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        there = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,))
        if there.fetchone() and release.read_state(house.databases.migrate).release == wanted:
            return
        admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    database.bootstrap(admin_url, database=TEMPLATE, passwords=house.secrets)
    env = processes.migrate_environment(house)
    command = ["manage.py", "migrate", "--no-input", "--verbosity=0"]
    if _step(supervisor, "migrate", command, env).code != 0:
        raise StartRefused("The migrations failed; the lines above say why.")
    release.write_state(house.databases.migrate, release.State(wanted))


def _caller() -> dict[str, str]:
    """The caller's environment without the product's settings, on which no test may depend."""
    example = ROOT / ".env.example"
    words = example.read_text().split() if example.exists() else []
    settings = {word.lstrip("#").split("=")[0] for word in words if "=" in word}
    return {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in settings and not name.endswith("_API_KEY")
    }


def _step(supervisor: Supervisor, name: str, command: list[str], env: dict[str, str]) -> Result:
    """Run one step in the foreground while the supervisor looks after the servers."""
    began_at = time.monotonic()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env)
    try:
        supervisor.wait_for(lambda: process.poll() is not None, timeout_s=7200, every_s=1.0)
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
    return Result(name, process.wait(), time.monotonic() - began_at)


def _summarize(results: list[Result], report: Path) -> None:
    print()
    for result in results:
        verdict = "ok" if result.code == 0 else "FAILED"
        print(f"{result.name:<14} {verdict:<7} {result.seconds:7.1f} s")
    with suppress(OSError, ET.ParseError):
        suite = next(ET.parse(report).getroot().iter("testsuite")).attrib
        bad = int(suite["failures"]) + int(suite["errors"])
        skipped = int(suite["skipped"])
        passed = int(suite["tests"]) - bad - skipped
        print(
            f"pytest: {passed} passed, {bad} failed, {skipped} skipped "
            f"in {float(suite['time']):.1f} s"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
