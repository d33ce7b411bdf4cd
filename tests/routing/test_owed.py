"""What happened is written down even when the disk was full for a moment; pins name a company."""

from __future__ import annotations

from pathlib import Path

import pytest

from routing import journal as journal_module
from routing.compiler import _by_name
from routing.core import Failure, attempts, decide
from routing.journal import Journal, JournalFull, read_records
from routing.model import Decision
from tests.routing.deployments import WANTED, call, deployment


def payloads(journal: Journal) -> list[bytes]:
    return [r.payload for r in read_records((journal.directory / "00000000.log").read_bytes())]


def test_an_outcome_that_the_disk_refused_is_written_before_the_next_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Journal(tmp_path, "w")
    opened.append(b"first")
    with monkeypatch.context() as full:
        full.setattr(journal_module, "RECORD_BYTES_MAX", 0)
        opened.append_later(b"outcome")
        with pytest.raises(JournalFull):
            opened.append(b"admission")
    opened.append(b"next")
    assert payloads(opened) == [b"first", b"outcome", b"next"]
    opened.close()


def test_what_is_owed_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Journal(tmp_path, "w")
    with monkeypatch.context() as full:
        full.setattr(journal_module, "RECORD_BYTES_MAX", 0)
        opened.append_later(b"outcome")
    opened.close()
    assert payloads(opened) == [b"outcome"]


def test_a_pin_wins_over_a_model_that_is_called_like_it() -> None:
    direct = deployment("d1", provider="openai", model="gpt-4o-mini")
    resold = deployment("d2", provider="openrouter", model="openai/gpt-4o-mini")
    names = _by_name((direct, resold))
    assert names["openai/gpt-4o-mini"].deployments == (direct,)
    assert names["openrouter/openai/gpt-4o-mini"].deployments == (resold,)


def test_the_last_attempt_goes_to_a_provider_that_has_not_failed() -> None:
    served = [deployment(f"a{n}", provider="one", quality=90 - n) for n in range(3)]
    served.append(deployment("b", provider="two", quality=10))
    decision = decide(call(), served, WANTED, health={}, now_ms=0)
    assert isinstance(decision, Decision)
    plan = attempts(decision, jitter=0.0)
    asked = [next(plan)[0]]
    asked += [plan.send(Failure(503, "x", "y"))[0] for _ in range(2)]
    assert [c.deployment.id for c in asked] == ["a0", "a1", "b"]
