"""Which deployment is tried next, after which wait, as a table of failures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core import ATTEMPTS_MAX, RETRY_AFTER_MAX_S, Failure, attempts
from routing.model import Candidate, Decision
from tests.routing.deployments import WANTED, deployment

JITTER = 0.5
BACKOFF = 0.4


def plan(*ids: str) -> Decision:
    """A decision over deployments; "p:d" is deployment d at provider p, else one of its own."""
    ranked = []
    for name in ids:
        provider, _, id = name.rpartition(":")
        ranked.append(Candidate(deployment(id, provider=provider or id)))
    return Decision(ranked=tuple(ranked), out=(), preferences=WANTED)


def walk(decision: Decision, failures: list[Failure]) -> list[tuple[str, float]]:
    """The deployments that are tried and the waits before them; the last failure repeats."""
    going = attempts(decision, jitter=JITTER)
    candidate, wait_s = next(going)
    tried = [(candidate.deployment.id, wait_s)]
    given_so_far = 0
    while True:
        failure = failures[min(given_so_far, len(failures) - 1)]
        given_so_far += 1
        try:
            candidate, wait_s = going.send(failure)
        except StopIteration:
            return tried
        tried.append((candidate.deployment.id, round(wait_s, 6)))


def fail(status: int, scope: str = "deployment", **fields: object) -> Failure:
    """A failure with this status."""
    return Failure(status, "upstream_error", "It failed.", scope=scope, **fields)  # type: ignore[arg-type]


BAD = fail(502)
LIMITED = fail(429, retry_after_s=2.0)


@pytest.mark.parametrize(
    ("ids", "failures", "expected"),
    [
        pytest.param(["a"], [BAD], [("a", 0), ("a", BACKOFF)], id="alone: one retry"),
        pytest.param(
            ["a", "b"], [BAD], [("a", 0), ("b", 0), ("a", BACKOFF)], id="two: others first"
        ),
        pytest.param(["a", "b", "c"], [BAD], [("a", 0), ("b", 0), ("c", 0)], id="three: each once"),
        pytest.param(
            ["a", "b", "c", "d"], [BAD], [("a", 0), ("b", 0), ("c", 0)], id="four: three tries"
        ),
        pytest.param(["a"], [LIMITED], [("a", 0), ("a", 2.0)], id="waits as asked"),
        pytest.param(
            ["a"],
            [fail(429, retry_after_s=10.0)],
            [("a", 0), ("a", 10.0)],
            id="waits ten seconds",
        ),
        pytest.param(["a"], [fail(429, retry_after_s=10.1)], [("a", 0)], id="waits no longer"),
        pytest.param(["a"], [fail(429, retry_after_s=0.0)], [("a", 0), ("a", 0)], id="no wait"),
        pytest.param(
            ["a", "b"],
            [LIMITED, fail(429, retry_after_s=1.0), BAD],
            [("a", 0), ("b", 0), ("b", 1.0)],
            id="the shorter wait first",
        ),
        pytest.param(
            ["a", "b"],
            [LIMITED, BAD],
            [("a", 0), ("b", 0), ("b", BACKOFF)],
            id="who asked for no wait first",
        ),
        pytest.param(["a", "b", "c"], [fail(400, "call")], [("a", 0)], id="the client's fault"),
        pytest.param(
            ["a", "b", "c"],
            [BAD, fail(413, "call")],
            [("a", 0), ("b", 0)],
            id="the client's fault, seen by the second",
        ),
        pytest.param(["a"], [fail(502, "credential")], [("a", 0)], id="a credential: never again"),
        pytest.param(
            ["a", "b"],
            [fail(502, "credential"), BAD],
            [("a", 0), ("b", 0), ("b", BACKOFF)],
            id="a credential: only the other again",
        ),
        pytest.param(
            ["p:a", "p:b", "q:c"],
            [fail(502, "credential"), BAD],
            [("a", 0), ("c", 0), ("c", BACKOFF)],
            id="a credential holds for the whole provider",
        ),
        pytest.param(
            ["p:a", "p:b", "p:c", "p:d", "q:e"],
            [fail(502, "credential"), BAD],
            [("a", 0), ("e", 0), ("e", BACKOFF)],
            id="the next provider is found however far down it is",
        ),
        pytest.param(
            ["p:a", "p:b"],
            [BAD, fail(502, "credential")],
            [("a", 0), ("b", 0)],
            id="no retry with a credential that another attempt saw refused",
        ),
        pytest.param(["a"], [fail(504, may_pass=False)], [("a", 0)], id="a timeout: not again"),
        pytest.param(
            ["a", "b"],
            [fail(504, may_pass=False), BAD],
            [("a", 0), ("b", 0), ("b", BACKOFF)],
            id="a timeout: others",
        ),
        pytest.param(["a"], [fail(501)], [("a", 0)], id="not a status that passes"),
        pytest.param(
            ["a", "b"], [fail(501)], [("a", 0), ("b", 0)], id="not a status that passes: others"
        ),
    ],
)
def test_what_is_tried_after_which_failures(
    ids: list[str], failures: list[Failure], expected: list[tuple[str, float]]
) -> None:
    assert walk(plan(*ids), failures) == expected


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529])
def test_what_passes_by_itself_is_retried(status: int) -> None:
    assert len(walk(plan("a"), [fail(status)])) == 2


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.2), (0.999999, 0.6)])
def test_the_wait_is_spread(jitter: float, wait_s: float) -> None:
    going = attempts(plan("a"), jitter=jitter)
    next(going)
    assert going.send(BAD)[1] == pytest.approx(wait_s, abs=1e-3)


_failures = st.lists(
    st.builds(
        fail,
        st.sampled_from([400, 401, 408, 429, 500, 501, 502, 503, 529]),
        st.sampled_from(["deployment", "deployment", "credential", "call"]),
        retry_after_s=st.none() | st.floats(0, 20),
    ),
    min_size=1,
    max_size=4,
)
_ids = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)


@given(ids=_ids, providers=st.sampled_from(["", "p"]), failures=_failures)
def test_at_most_three_attempts_and_none_that_cannot_help(
    ids: list[str], providers: str, failures: list[Failure]
) -> None:
    tried = walk(plan(*(f"{providers}:{id}" for id in ids)), failures)
    assert 1 <= len(tried) <= ATTEMPTS_MAX
    names = [name for name, _ in tried]
    assert max(names.count(name) for name in names) <= 2
    assert tried[0] == (ids[0], 0.0)
    for at, (name, wait_s) in enumerate(tried[1:], start=1):
        before = failures[min(at - 1, len(failures) - 1)]
        assert before.scope != "call"
        assert 0 <= wait_s <= RETRY_AFTER_MAX_S
        if name in names[:at]:
            own = failures[min(names.index(name), len(failures) - 1)]
            assert own.scope == "deployment"
            assert own.retry_after_s is None or wait_s == round(own.retry_after_s, 6)
