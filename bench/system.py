"""Processor time, memory and life of processes, as Linux tells them under /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
GATEWAY_CORE = 0
OTHERS_CORE = 1


def pin_self(core: int) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})


def give_priority(nice: int) -> None:
    """Set the priority of this process and of what it starts, against other sessions too."""
    os.nice(nice)
    # With autogroups, niceness counts only within a session, so the session needs it as well.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def spawn(
    argv: Sequence[str],
    *,
    core: int,
    log: IO[bytes],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: tuple[int, int] | None = None,
    descriptors: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a program on one core with its output in ``log``."""
    uid, gid = user or (None, None)
    return subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        pass_fds=descriptors,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


def end(
    process: subprocess.Popen[bytes],
    *,
    number: signal.Signals = signal.SIGTERM,
    grace_s: float = 15.0,
) -> None:
    """End a process started here, and what it started."""
    pids = tree(process.pid)
    tell(pids, signal.SIGCONT)
    if process.poll() is None:
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    tell([pid for pid in pids[1:] if Path(f"/proc/{pid}").exists()], signal.SIGKILL)
    if process.poll() is None:
        process.kill()
        process.wait()


def tell(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each of these processes that still runs."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds used by these processes and by children of theirs that ended."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(word) for word in fields[11:15])
    return ticks / TICKS_PER_S


def rss_mib(pids: Iterable[int]) -> float:
    """Resident memory of these processes together."""
    total_kib = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total_kib += int(line.split()[1])
    return total_kib / 1024


@dataclass(frozen=True, slots=True)
class Cores:
    """How busy the two cores were until some moment, in ticks."""

    busy: Mapping[int, int]
    total: Mapping[int, int]
    of_processes: int

    @classmethod
    def read(cls) -> Cores:
        """As of now."""
        busy, total, of_processes = {}, {}, 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *rest = line.split()
            if name not in (f"cpu{GATEWAY_CORE}", f"cpu{OTHERS_CORE}"):
                continue
            ticks = [int(word) for word in rest[:8]]
            core = int(name[3:])
            total[core] = sum(ticks)
            busy[core] = total[core] - ticks[3] - ticks[4]
            of_processes += ticks[0] + ticks[1] + ticks[2]
        return cls(busy, total, of_processes)

    def share_since(self, before: Cores, core: int) -> float:
        """The part of the time since ``before`` that a core was busy, 0 to 1."""
        return (self.busy[core] - before.busy[core]) / max(1, self.total[core] - before.total[core])


def wait_for_quiet(limit_s: float, *, busy_max: float = 0.15) -> None:
    """Wait until both cores are idle, but no longer than the limit."""
    give_up = time.monotonic() + limit_s
    while time.monotonic() < give_up:
        before = Cores.read()
        time.sleep(0.4)
        now = Cores.read()
        if max(now.share_since(before, core) for core in now.total) <= busy_max:
            return


def wait_until(is_met: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Poll until something holds; raises ``TimeoutError`` saying ``what`` did not."""
    give_up = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what} within {timeout_s:.0f} s")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for one in held:
        one.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody accepts connections at a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
