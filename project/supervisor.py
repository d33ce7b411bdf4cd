"""Run several programs as one: prefixed output, a new start after a death, an orderly end.

1. Every program runs in a session of its own, so Ctrl-C reaches this process alone.
2. What dies is started again, soon at first and then with growing pauses.
3. At the end the programs are stopped stage by stage; what outlives its grace is killed.
4. Should this process be killed itself, Linux ends its programs by their parent-death signal.
   Elsewhere they can compare ``os.getppid()`` with SUPERVISOR_PID in their environment.

There are no threads: a program is forked from a process that has only this one.
"""

from __future__ import annotations

import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from project.folder import StartRefused

RESPAWN_FIRST_S = 0.1
RESPAWN_MAX_S = 5.0
SETTLED_AFTER_S = 10.0
HURRIED_GRACE_S = 2.0
LINE_BYTES_MAX = 64 * 1024
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StopAsked(Exception):
    """A signal asked this process to end while it was waiting for something."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how it wants to be ended. Lower stages are stopped first."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    stage: int = 0
    grace_s: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    descriptors: tuple[int, ...] = ()
    user: tuple[int, int] | None = None  # (uid, gid)
    before: Callable[[], None] | None = None  # clears the way before each start
    hidden: re.Pattern[str] | None = None  # lines that nobody needs to see


@dataclass(slots=True)
class _Running:
    program: Program
    once: bool
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    due_at: float | None = None
    ended_with: int | None = None
    unfinished: bytearray = field(default_factory=bytearray)


class Supervisor:
    """Owns its programs from ``start`` to ``stop``. Use one per process, in its main thread."""

    def __init__(self, out: IO[str], *, name_width: int = 9) -> None:
        self._out: IO[str] | None = out
        self._width = name_width
        self._colours: dict[str, int] = {}
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._running: list[_Running] = []
        self._selector = selectors.DefaultSelector()
        self._stop_asks = 0
        self._stopping = False
        self._listen_for_signals()

    def start(self, program: Program) -> None:
        """Start a program and keep it running until ``stop``."""
        entry = _Running(program, once=False)
        self._running.append(entry)
        self._spawn(entry)

    def run_once(self, program: Program) -> int:
        """Run a program to its end beside the others; gives its exit code. Raises StopAsked."""
        entry = _Running(program, once=True)
        self._running.append(entry)
        self._spawn(entry)
        while entry.ended_with is None:
            self._turn_or_stop(60.0)
        self._running.remove(entry)
        return entry.ended_with

    def wait_for(self, is_met: Callable[[], bool], *, timeout_s: float, every_s: float) -> bool:
        """Serve the programs until ``is_met`` holds (True) or time runs out. Raises StopAsked."""
        deadline = time.monotonic() + timeout_s
        while not is_met():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._turn_or_stop(min(every_s, left_s))
        return True

    def run(self) -> None:
        """Serve the programs until a signal asks for the end."""
        with suppress(StopAsked):
            while True:
                self._turn_or_stop(60.0)

    def deaths(self, name: str) -> int:
        """How often a program ended in a row without having settled."""
        return max((e.deaths for e in self._running if e.program.name == name), default=0)

    def stop(self) -> None:
        """End all programs, stage by stage. A signal meanwhile shortens it, another one kills."""
        self._stopping = True
        self._stop_asks = max(self._stop_asks, 1)
        for stage in sorted({entry.program.stage for entry in self._running}):
            self._stop_stage([e for e in self._running if e.program.stage == stage])

    def say(self, text: str, name: str = "up") -> None:
        """Print a line as one of the programs'; a closed terminal is no reason to end."""
        if self._out is None:
            return
        label = f"{name:<{self._width}} │"
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            label = f"\x1b[{colour}m{label}\x1b[0m"
        self.print(f"{label} {text}")

    def print(self, text: str) -> None:
        """Print text as it is."""
        if self._out is None:
            return
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except OSError:
            self._out = None
            # Python flushes what is left when it ends, and would complain about the closed pipe.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def _listen_for_signals(self) -> None:
        """Signals wake the selector through a pipe, so nothing happens in between two lines."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, lambda _number, _frame: self._ask_to_stop())
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._selector.register(reader, selectors.EVENT_READ, None)

    def _ask_to_stop(self) -> None:
        self._stop_asks += 1

    def _turn_or_stop(self, wait_s: float) -> None:
        if self._stop_asks:
            raise StopAsked
        self._turn(wait_s)
        if self._stop_asks:
            raise StopAsked

    def _turn(self, wait_s: float) -> None:
        """One round: pass on what was printed, notice the dead, start what is due."""
        now = time.monotonic()
        dues = [e.due_at - now for e in self._running if e.due_at is not None]
        for key, _ in self._selector.select(max(0.0, min([wait_s, *dues]))):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            else:
                self._read(key.fd, key.data)
        for entry in self._running:
            if entry.process is not None and entry.process.poll() is not None:
                self._bury(entry, entry.process)
            elif entry.due_at is not None and entry.due_at <= time.monotonic():
                self._spawn(entry)

    def _spawn(self, entry: _Running) -> None:
        program = entry.program
        entry.due_at = None
        entry.started_at = time.monotonic()
        if program.before is not None:
            try:
                program.before()
            except (OSError, StartRefused) as why:
                self.say(str(why), program.name)
        try:
            process = _fork(program)
        except (OSError, subprocess.SubprocessError) as why:
            self.say(f"cannot be started: {why}", program.name)
            self._plan_respawn(entry, 127)
            return
        assert process.stdout is not None
        entry.process = process
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, entry)

    def _read(self, descriptor: int, entry: _Running) -> bool:
        """Pass on what a program printed, by whole lines; False when there is no more for now."""
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if not chunk:
            with suppress(KeyError):
                self._selector.unregister(descriptor)
            return False
        *lines, rest = (bytes(entry.unfinished) + chunk).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        entry.unfinished[:] = rest
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if entry.program.hidden is None or not entry.program.hidden.search(text):
                self.say(text, entry.program.name)
        return True

    def _bury(self, entry: _Running, process: subprocess.Popen[bytes]) -> None:
        """Clear up after a dead program."""
        _signal_group(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        while self._read(process.stdout.fileno(), entry):
            pass
        if entry.unfinished:
            self.say(entry.unfinished.decode("utf-8", "replace"), entry.program.name)
            entry.unfinished.clear()
        with suppress(KeyError):
            self._selector.unregister(process.stdout)
        process.stdout.close()
        entry.process = None
        self._plan_respawn(entry, process.returncode)

    def _plan_respawn(self, entry: _Running, code: int) -> None:
        """Note how a program ended and, if it is to go on, when it starts again."""
        entry.ended_with = code
        if entry.once or self._stopping or self._stop_asks:
            return
        if time.monotonic() - entry.started_at > SETTLED_AFTER_S:
            entry.deaths = 0
        pause_s = min(RESPAWN_MAX_S, RESPAWN_FIRST_S * 2**entry.deaths)
        entry.deaths += 1
        entry.due_at = time.monotonic() + pause_s
        how = _how_it_ended(code)
        self.say(f"ended ({how}); starting it again in {pause_s:.1f} s", entry.program.name)

    def _stop_stage(self, entries: list[_Running]) -> None:
        """Ask these to end, wait for as long as their grace and the caller's patience allow."""
        for entry in entries:
            entry.due_at = None
            if entry.process is not None:
                entry.process.send_signal(entry.program.stop_signal)
        began_at = time.monotonic()
        while alive := [e for e in entries if e.process is not None]:
            for entry in alive:
                left_s = began_at + self._grace_s(entry.program) - time.monotonic()
                if left_s <= 0 and entry.process is not None:
                    _signal_group(entry.process.pid, signal.SIGKILL)
            self._turn(0.2)

    def _grace_s(self, program: Program) -> float:
        if self._stop_asks >= 3:
            return 0.0
        return min(program.grace_s, HURRIED_GRACE_S) if self._stop_asks == 2 else program.grace_s


@contextmanager
def supervised(out: IO[str]) -> Iterator[Supervisor]:
    """A supervisor whose programs are all ended when the block is left, however that happens."""
    supervisor = Supervisor(out)
    try:
        yield supervisor
    finally:
        supervisor.stop()


def _fork(program: Program) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, as its user, with its output in a pipe."""
    uid, gid = program.user or (None, None)
    return subprocess.Popen(  # noqa: S603 - running what it is given is its purpose
        program.argv,
        env={**program.env, "SUPERVISOR_PID": str(os.getpid())},
        cwd=program.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=program.descriptors,
        start_new_session=True,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        preexec_fn=_end_with_parent(program.orphan_signal),
    )


def _end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a new process does before it becomes a program: ask to be told of its parent's death."""
    libc = _LIBC
    if libc is None:
        return None
    parent = os.getpid()

    def apply() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return apply


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
