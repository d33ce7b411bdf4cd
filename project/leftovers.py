"""Ending servers that a killed supervisor left running, recognized by their command lines."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

END_AFTER_S = 10.0
REAPED_AFTER_S = 3.0


def command_line(pid: int) -> str:
    """The words a process was started with, or "" when there is none by this number."""
    if Path("/proc/self/cmdline").exists():  # Linux, where `ps` need not be installed
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    return subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def end(pid: int, marks: tuple[str, ...], *, signals: tuple[signal.Signals, ...]) -> bool:
    """End a process if its command line carries all marks, by ever harsher signals.

    False when there is another process by this number, or none.
    """
    if not _is_it(pid, marks):
        return False
    for number in signals:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + END_AFTER_S
        while time.monotonic() < deadline:
            if not _is_it(pid, marks):
                return True
            time.sleep(0.05)
    return True


def is_gone(pid: int) -> bool:
    """Whether the number is free, given a moment.

    A dead process keeps its number until its parent takes notice, which a busy machine's first
    process does late and that of some containers never.
    """
    deadline = time.monotonic() + REAPED_AFTER_S
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # somebody else's by now
        if command_line(pid) or time.monotonic() >= deadline:
            return False
        time.sleep(0.05)


def _is_it(pid: int, marks: tuple[str, ...]) -> bool:
    line = command_line(pid)
    return bool(line) and all(mark in line for mark in marks)
