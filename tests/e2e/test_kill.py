"""Parts of the product are killed while it answers; afterwards the books must agree."""

from __future__ import annotations

import random

import pytest

from bench import kill


@pytest.mark.e2e
def test_no_call_is_lost_or_counted_twice() -> None:
    """The short version of bench/kill; a failure is repeated with bench/kill --seed."""
    seed = random.SystemRandom().randrange(10**6)
    report = kill.run(seed=seed, kills=4, seconds=15, per_second=50, say=print)
    print(report.text())
    assert not report.problems, report.text()
    assert set(report.killed) == set(kill.PARTS), report.text()
    assert report.ends["answered"] > 100, report.text()
