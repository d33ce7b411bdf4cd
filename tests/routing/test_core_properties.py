"""What holds of every decision, whatever the call, the deployments, the wishes and the health."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from preferences.core import Preferences, Priority
from routing.core import decide
from routing.model import Decision, Deployment, Health, Refusal
from tests.routing.deployments import TARGET, call, deployment, price

NOW = 1_000_000
_ids = st.sampled_from(["a", "b", "c", "d", "e"])
_deployments = st.lists(
    st.builds(
        deployment,
        id=_ids,
        operation=st.sampled_from(["chat", "chat", "embeddings"]),
        wire=st.sampled_from(["openai", "anthropic"]),
        capabilities=st.frozensets(st.sampled_from(["tools", "vision"])),
        streams=st.booleans(),
        context_window=st.integers(1, 400),
        max_output_tokens=st.integers(0, 400),
        quality=st.integers(0, 100),
        is_local=st.booleans(),
        price=st.none() | st.builds(price, st.integers(0, 20), st.integers(0, 20)),
        target=st.sampled_from([None, TARGET]),
    ),
    max_size=5,
    unique_by=lambda d: d.id,
)
_calls = st.builds(
    call,
    operation=st.sampled_from(["chat", "embeddings"]),
    stream=st.booleans(),
    needs=st.frozensets(st.sampled_from(["tools", "vision"])),
    prompt_estimate=st.integers(0, 400),
    input_tokens=st.integers(0, 400),
    counted=st.booleans(),
    max_output_tokens=st.none() | st.integers(1, 400),
    n=st.integers(1, 8),
    text_only=st.booleans(),
    unsupported=st.dictionaries(st.just("anthropic"), st.just(("seed",))),
)
_wanted = st.builds(
    Preferences,
    priority=st.sampled_from(Priority),
    max_cost_nano=st.none() | st.integers(1, 10**7),
    max_latency_ms=st.none() | st.integers(50, 1_000),
    preferred_providers=st.lists(_ids, unique=True).map(tuple),
    blocked_providers=st.frozensets(_ids),
    allowed_providers=st.none() | st.frozensets(_ids),
)
_ms = st.none() | st.integers(0, 2_000)
_health = st.dictionaries(
    _ids,
    st.builds(
        Health,
        open_until_ms=st.integers(NOW - 2, NOW + 2),
        p50_ms=_ms,
        p95_ms=_ms,
        first_p50_ms=_ms,
        first_p95_ms=_ms,
    ),
)


@given(deployments=_deployments, asked=_calls, wanted=_wanted, health=_health)
def test_every_candidate_is_ranked_or_out_with_a_reason(
    deployments: list[Deployment], asked: Any, wanted: Preferences, health: dict[str, Health]
) -> None:
    def again() -> Decision | Refusal:
        return decide(asked, deployments, wanted, health=health, now_ms=NOW, served=("m",))

    decision = again()
    assert decision == again()
    ranked = decision.ranked if isinstance(decision, Decision) else ()
    assert bool(ranked) is isinstance(decision, Decision)
    judged = sorted(c.deployment.id for c in (*ranked, *decision.out))
    assert judged == sorted(d.id for d in deployments)
    assert all(c.reason and c.detail for c in decision.out)
    assert not any(c.reason for c in ranked)
    for candidate in ranked:
        one = candidate.deployment
        assert one.operation == asked.operation
        assert one.target is not None
        assert one.provider not in wanted.blocked_providers
        assert wanted.allowed_providers is None or one.provider in wanted.allowed_providers
        assert wanted.priority is not Priority.PRIVACY or one.is_local
        assert asked.needs <= one.capabilities
        assert asked.input_tokens <= one.context_window
        assert wanted.max_cost_nano is None or one.price is not None
    if isinstance(decision, Refusal):
        assert 400 <= decision.status < 600
        assert decision.code
        assert decision.message.endswith((".", ".)"))
    told = [c["provider"] for c in decision.explain()["out"]]
    assert told == [c.deployment.provider for c in decision.out]


@given(deployments=_deployments, asked=_calls, wanted=_wanted, health=_health)
def test_the_order_of_candidates_does_not_matter(
    deployments: list[Deployment], asked: Any, wanted: Preferences, health: dict[str, Health]
) -> None:
    one = decide(asked, deployments, wanted, health=health, now_ms=NOW)
    other = decide(asked, deployments[::-1], wanted, health=health, now_ms=NOW)
    assert type(one) is type(other)
    if isinstance(one, Decision) and isinstance(other, Decision):
        assert [c.deployment.id for c in one.ranked] == [c.deployment.id for c in other.ranked]
    elif isinstance(one, Refusal) and isinstance(other, Refusal):
        assert (one.status, one.code) == (other.status, other.code)
