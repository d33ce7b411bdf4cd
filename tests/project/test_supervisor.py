"""The supervisor with small stand-ins: output, new starts, order of ending, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import os, signal, sys
from pathlib import Path
from project.supervisor import Program, Supervisor, supervised, StopAsked
def program(name, code, **more):
    return Program(name, (sys.executable, "-uc", code), dict(os.environ), Path("."), **more)
FOREVER = "import time, os; print('pid', os.getpid())\\nwhile True: time.sleep(1)"
"""
DEADLINE_S = 20.0


class Script:
    """A supervisor in a process of its own, and what it has printed."""

    def __init__(self, body: str, folder: Path) -> None:
        self.log = folder / "out.log"
        code = PRELUDE + textwrap.dedent(body)
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, is_met: Callable[[], bool]) -> None:
        """Until it holds; fails with the output after DEADLINE_S."""
        deadline = time.monotonic() + DEADLINE_S
        while not is_met():
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    def pids(self, name: str) -> list[int]:
        """The process numbers that a stand-in of this name printed, in order."""
        lines = [line.split("│") for line in self.text.splitlines() if "│ pid " in line]
        return [int(said.split()[1]) for who, said in lines if who.strip() == name]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[[str], Script]]:
    made: list[Script] = []

    def _run(body: str) -> Script:
        made.append(Script(body, tmp_path))
        return made[-1]

    yield _run
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_line_carries_its_programs_name(script: Callable[[str], Script]) -> None:
    run = script(
        """
        with supervised(sys.stdout) as s:
            code = s.run_once(program("short", "print('one'); print('two', end='')"))
            sys.exit(code)
        """
    )
    assert run.process.wait(DEADLINE_S) == 0
    assert run.text.splitlines() == ["short     │ one", "short     │ two"]


def test_run_once_gives_the_exit_code(script: Callable[[str], Script]) -> None:
    run = script(
        """
        with supervised(sys.stdout) as s:
            sys.exit(s.run_once(program("short", "raise SystemExit(7)")))
        """
    )
    assert run.process.wait(DEADLINE_S) == 7


def test_a_killed_program_starts_again_and_its_helpers_are_gone(
    script: Callable[[str], Script],
) -> None:
    run = script(
        """
        helper = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']);"
        helper += "print('pid', p.pid); " + FOREVER
        with supervised(sys.stdout) as s:
            s.start(program("web", helper))
            s.run()
        """
    )
    run.wait_for(lambda: len(run.pids("web")) == 2)
    helper, main = run.pids("web")
    os.kill(main, signal.SIGKILL)
    run.wait_for(lambda: len(run.pids("web")) == 4)
    assert "ended (signal SIGKILL); starting it again in 0.1 s" in run.text
    assert not is_alive(helper)
    assert run.end() == 0
    assert not any(is_alive(pid) for pid in run.pids("web"))


def test_pauses_grow_while_a_program_keeps_dying(script: Callable[[str], Script]) -> None:
    run = script(
        """
        with supervised(sys.stdout) as s:
            s.start(program("bad", "raise SystemExit(3)"))
            s.wait_for(lambda: s.deaths("bad") >= 4, timeout_s=20, every_s=1)
        """
    )
    assert run.process.wait(DEADLINE_S) == 0
    pauses = [
        line.split(" in ")[1] for line in run.text.splitlines() if "ended (exit code 3)" in line
    ]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s", "0.8 s"]


def test_a_program_that_does_not_exist_is_tried_again(script: Callable[[str], Script]) -> None:
    run = script(
        """
        with supervised(sys.stdout) as s:
            s.start(Program("none", ("/nowhere/none",), {}, Path(".")))
            s.wait_for(lambda: s.deaths("none") >= 2, timeout_s=20, every_s=1)
        """
    )
    assert run.process.wait(DEADLINE_S) == 0
    assert "cannot be started" in run.text


def test_stages_end_one_after_the_other(script: Callable[[str], Script]) -> None:
    run = script(
        """
        slow = '''
        import signal, sys, time
        def end(*_):
            print("asked"); time.sleep(0.3); print("gone"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        import os; print("pid", os.getpid())
        while True: time.sleep(1)
        '''
        import textwrap
        with supervised(sys.stdout) as s:
            for stage, name in ((30, "last"), (10, "first"), (20, "middle")):
                s.start(program(name, textwrap.dedent(slow), stage=stage))
            s.run()
        """
    )
    run.wait_for(lambda: all(run.pids(name) for name in ("first", "middle", "last")))
    assert run.end(signal.SIGINT) == 0
    told = [line for line in run.text.splitlines() if "pid" not in line]
    assert [line.replace(" ", "") for line in told] == [
        f"{name}│{word}" for name in ("first", "middle", "last") for word in ("asked", "gone")
    ]


STUBBORN = """
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
    with supervised(sys.stdout) as s:
        s.start(program("web", code, grace_s={grace}))
        s.run()
"""


def test_what_outlives_its_grace_is_killed(script: Callable[[str], Script]) -> None:
    run = script(STUBBORN.format(grace=0.5))
    run.wait_for(lambda: bool(run.pids("web")))
    assert run.end() == 0
    assert not is_alive(run.pids("web")[0])


def test_a_second_signal_hurries_and_a_third_kills(script: Callable[[str], Script]) -> None:
    run = script(STUBBORN.format(grace=600))
    run.wait_for(lambda: bool(run.pids("web")))
    began_at = time.monotonic()
    for _ in range(3):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert run.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - began_at < 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_a_killed_supervisor_takes_its_programs_along(script: Callable[[str], Script]) -> None:
    run = script(
        """
        with supervised(sys.stdout) as s:
            s.start(program("web", FOREVER))
            s.run()
        """
    )
    run.wait_for(lambda: bool(run.pids("web")))
    run.end(signal.SIGKILL)
    run.wait_for(lambda: not is_alive(run.pids("web")[0]))


def test_a_closed_terminal_is_no_reason_to_end(tmp_path: Path) -> None:
    body = """
    import os
    with supervised(sys.stdout) as s:
        s.start(program("web", "import time\\nwhile True: print('line'); time.sleep(0.01)"))
        s.wait_for(lambda: False, timeout_s=0.7, every_s=0.1)
    open(os.environ["DONE"], "w").close()
    """
    done = tmp_path / "done"
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body)],
        cwd=ROOT,
        env=os.environ | {"DONE": str(done)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(DEADLINE_S) == 0
    assert done.exists()
