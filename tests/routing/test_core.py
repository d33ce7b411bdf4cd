"""Decisions as tables: who falls out and why, who comes first, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from preferences.core import Preferences, Priority
from routing.core import decide
from routing.model import Decision, Deployment, Health, Refusal
from routing.refusals import refuse
from tests.routing.deployments import WANTED, call, deployment, price

NOW = 1_000_000


def ask(
    deployments: list[Deployment],
    wanted: Preferences = WANTED,
    *,
    health: dict[str, Health] | None = None,
    served: tuple[str, ...] = (),
    **fields: Any,
) -> Decision | Refusal:
    """The decision for a call with these fields."""
    return decide(
        call(**fields), deployments, wanted, health=health or {}, now_ms=NOW, served=served
    )


def order(decision: Decision | Refusal) -> list[str]:
    """Ids in the order in which they are tried."""
    assert isinstance(decision, Decision)
    return [c.deployment.id for c in decision.ranked]


def wishes(**fields: Any) -> Preferences:
    """Balanced, and what a test wants."""
    return Preferences(**({"priority": Priority.BALANCED} | fields))


# reason: (the deployment, the wishes, the call's fields, its health, status, code, param, words)
REASONS: dict[str, tuple[Any, ...]] = {
    "operation": (
        deployment(operation="embeddings"),
        WANTED,
        {},
        (400, "wrong_endpoint", "model", "invalid_request_error"),
        "serves embeddings, not chat",
    ),
    "blocked": (
        deployment(),
        wishes(blocked_providers=frozenset({"d1"})),
        {},
        (403, "provider_blocked", None, "permission_error"),
        "blocked providers: d1",
    ),
    "not_allowed": (
        deployment(),
        wishes(allowed_providers=frozenset({"other"})),
        {},
        (403, "provider_not_allowed", None, "permission_error"),
        "allows only: other",
    ),
    "not_local": (
        deployment(),
        wishes(priority=Priority.PRIVACY),
        {},
        (403, "privacy_unmet", None, "permission_error"),
        "Priority is privacy",
    ),
    "no_credential": (
        deployment(target=None),
        WANTED,
        {},
        (403, "provider_without_credential", None, "permission_error"),
        "d1, which has no credential",
    ),
    "capability": (
        deployment(),
        WANTED,
        {"needs": frozenset({"vision", "tools"})},
        (400, "unsupported_capability", "model", "invalid_request_error"),
        "offers: vision.",
    ),
    "unsupported_field": (
        deployment(wire="anthropic"),
        WANTED,
        {"unsupported": {"anthropic": ("logprobs",)}},
        (400, "unsupported_field", "logprobs", "invalid_request_error"),
        "honour: logprobs",
    ),
    "context_window": (
        deployment(context_window=149),
        WANTED,
        {},
        (400, "context_length_exceeded", "messages", "invalid_request_error"),
        "150 tokens",
    ),
    "no_price": (
        deployment(price=None),
        wishes(max_cost_nano=10**9),
        {},
        (400, "model_not_priced", "model", "invalid_request_error"),
        "has no price",
    ),
    "max_cost": (
        deployment(),
        wishes(max_cost_nano=349_999),
        {},
        (400, "max_cost_exceeded", "max_tokens", "invalid_request_error"),
        "could cost up to $0.00035",
    ),
    "max_latency": (
        deployment(),
        wishes(max_latency_ms=899),
        {},
        (503, "max_latency_unmet", None, "server_error"),
        "the fastest takes 900 ms",
    ),
}
HEALTH = {"d1": Health(p50_ms=300, p95_ms=900)}


@pytest.mark.parametrize("reason", REASONS)
def test_a_lone_candidate_falls_out_with_its_reason_and_error(reason: str) -> None:
    one, wanted, fields, (status, code, param, kind), words = REASONS[reason]
    refusal = ask([one], wanted, health=HEALTH, **fields)
    assert isinstance(refusal, Refusal)
    assert [c.reason for c in refusal.out] == [reason]
    assert refusal.out[0].detail
    assert (refusal.status, refusal.code, refusal.param, refusal.type) == (
        status,
        code,
        param,
        kind,
    )
    assert words in refusal.message
    # What fits may answer, and the one that fell out is told beside it.
    fits = deployment("fits", is_local=True, capabilities=frozenset({"vision", "tools"}))
    if reason not in ("not_allowed", "max_cost"):
        beside = ask([one, fits], wanted, health=HEALTH, **fields)
        assert order(beside) == ["fits"]
        assert [c.reason for c in beside.out] == [reason]


def test_streaming_that_is_not_offered_is_a_capability() -> None:
    refusal = ask([deployment(streams=False)], stream=True)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.out[0].detail) == ("unsupported_capability", "lacks streaming")
    assert "streaming" in refusal.message


@pytest.mark.parametrize("beside", ["no_price", "no_credential", "max_cost"])
def test_a_block_is_named_before_what_is_not_set_up_where_its_end_is_enough(beside: str) -> None:
    other = {
        "no_price": deployment("bare", price=None),
        "no_credential": deployment("bare", target=None),
        "max_cost": deployment("bare", price=price(1000, 1000)),
    }[beside]
    wanted = wishes(max_cost_nano=10**6, blocked_providers=frozenset({"d1", "dear"}))
    dear = deployment("dear", price=price(1000, 1000))
    refusal = ask([deployment(), dear, other], wanted)
    assert isinstance(refusal, Refusal)
    if beside == "max_cost":
        # This the caller can mend alone.
        assert refusal.code == "max_cost_exceeded"
        return
    assert refusal.code == "provider_blocked"
    assert "blocked providers: d1. Unblock one" in refusal.message
    # Without its block the dear one would fall out all the same.
    still = ask([dear, other], wanted)
    assert isinstance(still, Refusal)
    assert still.code != "provider_blocked"


@pytest.mark.parametrize(
    ("fields", "limit", "fits"),
    [
        ({"context_window": 150}, None, True),
        ({"context_window": 149}, None, False),
        # 150 tokens at $1 and at most 100 at $2 per million: 350,000 nano-USD.
        ({}, 350_000, True),
        ({}, 349_999, False),
        # What the model can write is less than what was asked for.
        ({"max_output_tokens": 10}, 170_000, True),
        ({"max_output_tokens": 10}, 169_999, False),
    ],
)
def test_limits_hold_to_the_last_unit(
    fields: dict[str, Any], limit: int | None, fits: bool
) -> None:
    decision = ask([deployment(**fields)], wishes(max_cost_nano=limit))
    assert isinstance(decision, Decision) is fits


def test_without_a_maximum_of_output_the_models_own_counts() -> None:
    # 150 at $1 and 1,000 at $2 per million.
    assert isinstance(
        ask([deployment()], wishes(max_cost_nano=2_150_000), max_output_tokens=None), Decision
    )
    assert isinstance(
        ask([deployment()], wishes(max_cost_nano=2_149_999), max_output_tokens=None), Refusal
    )


def test_every_choice_is_paid_for() -> None:
    assert isinstance(ask([deployment()], wishes(max_cost_nano=750_000), n=3), Decision)
    assert isinstance(ask([deployment()], wishes(max_cost_nano=749_999), n=3), Refusal)


@pytest.mark.parametrize(
    ("model", "served", "words"),
    [
        ("nope", (), "No chat model is connected"),
        ("auto", ("a",), "No chat model is connected"),
        ("nope", ("a", "b"), '"nope" is not served here. Add it under Providers'),
        ("nope", ("a", "b"), "ask for one of: a, b."),
        ("nope", tuple("abcdefghij"), "a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_an_unknown_model_says_what_there_is(
    model: str, served: tuple[str, ...], words: str
) -> None:
    refusal = ask([], model=model, served=served)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.param) == (404, "model_not_found", "model")
    assert words in refusal.message


def test_the_reason_that_came_furthest_names_the_error_and_the_rest_is_counted() -> None:
    refusal = ask(
        [
            deployment("a", operation="embeddings"),
            deployment("b", target=None),
            deployment("c", target=None),
            deployment("d", context_window=1),
        ]
    )
    assert isinstance(refusal, Refusal)
    assert refusal.code == "context_length_exceeded"
    assert refusal.message.endswith(
        "(3 more fell out: 1 for another endpoint, 2 without a credential.)"
    )
    assert len(refusal.out) == 4


CHEAP = deployment("cheap", price=price(0.1, 0.1), quality=10)
FAST = deployment("fast", price=price(5, 5), quality=40)
SMART = deployment("smart", price=price(10, 10), quality=95)
NUMBERS = {
    "cheap": Health(p50_ms=900, p95_ms=2000, first_p50_ms=50, first_p95_ms=90),
    "fast": Health(p50_ms=100, p95_ms=200, first_p50_ms=800, first_p95_ms=900),
    "smart": Health(p50_ms=700, p95_ms=900, first_p50_ms=700, first_p95_ms=900),
}


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        (Priority.COST, ["cheap", "fast", "smart"]),
        (Priority.SPEED, ["fast", "smart", "cheap"]),
        (Priority.QUALITY, ["smart", "fast", "cheap"]),
        # 0.4 cost + 0.3 speed + 0.3 quality: cheap 0.46, fast 0.43, smart 0.35.
        (Priority.BALANCED, ["cheap", "fast", "smart"]),
    ],
)
def test_each_priority_ranks_by_what_it_names(priority: Priority, expected: list[str]) -> None:
    for given_order in ([CHEAP, FAST, SMART], [SMART, FAST, CHEAP]):
        assert order(ask(given_order, wishes(priority=priority), health=NUMBERS)) == expected


def test_the_balanced_score_is_the_one_that_is_documented() -> None:
    decision = ask([CHEAP, FAST, SMART], health=NUMBERS)
    assert isinstance(decision, Decision)
    scores = {c.deployment.id: round(c.score, 3) for c in decision.ranked}
    assert scores == {
        "cheap": round(0.4 + 0.3 * 100 / 900 + 0.3 * 10 / 95, 3),
        "fast": round(0.4 * 0.1 / 5 + 0.3 + 0.3 * 40 / 95, 3),
        "smart": round(0.4 * 0.1 / 10 + 0.3 * 100 / 700 + 0.3, 3),
    }


def test_a_stream_is_ranked_by_its_first_token() -> None:
    decision = ask(
        [CHEAP, FAST, SMART], wishes(priority=Priority.SPEED), health=NUMBERS, stream=True
    )
    assert order(decision) == ["cheap", "smart", "fast"]


def test_privacy_keeps_to_local_ones_and_balances_them() -> None:
    near = deployment("near", is_local=True, price=price(9, 9))
    cheaper = deployment("cheaper", is_local=True, price=price(1, 1))
    decision = ask([CHEAP, near, cheaper], wishes(priority=Priority.PRIVACY))
    assert order(decision) == ["cheaper", "near"]
    assert [c.reason for c in decision.out] == ["not_local"]


def test_preferred_providers_come_first_whatever_their_score() -> None:
    decision = ask(
        [CHEAP, FAST, SMART],
        wishes(priority=Priority.COST, preferred_providers=("smart", "fast")),
        health=NUMBERS,
    )
    assert order(decision) == ["fast", "smart", "cheap"]


def test_resting_comes_last_even_when_preferred() -> None:
    resting = {**NUMBERS, "cheap": Health(open_until_ms=NOW + 1)}
    decision = ask(
        [CHEAP, FAST],
        wishes(priority=Priority.COST, preferred_providers=("cheap",)),
        health=resting,
    )
    assert order(decision) == ["fast", "cheap"]
    assert isinstance(decision, Decision)
    assert [c.resting for c in decision.ranked] == [False, True]
    rested = {**NUMBERS, "cheap": Health(open_until_ms=NOW)}
    assert order(ask([CHEAP, FAST], wishes(priority=Priority.COST), health=rested))[0] == "cheap"


def test_the_last_deployment_answers_even_while_resting() -> None:
    assert order(ask([CHEAP], health={"cheap": Health(open_until_ms=NOW + 9)})) == ["cheap"]


def test_what_was_never_measured_counts_as_fast() -> None:
    fresh = deployment("fresh", price=price(10, 10), quality=1)
    decision = ask([CHEAP, FAST, fresh], wishes(priority=Priority.SPEED), health=NUMBERS)
    assert set(order(decision)[:2]) == {"fast", "fresh"}
    assert order(decision)[2] == "cheap"
    # And no latency limit keeps it from being measured.
    assert order(ask([fresh], wishes(max_latency_ms=50))) == ["fresh"]


def test_a_deployment_without_a_price_comes_after_all_others_by_cost() -> None:
    unpriced = deployment("unpriced", price=None)
    decision = ask([unpriced, SMART], wishes(priority=Priority.COST))
    assert order(decision) == ["smart", "unpriced"]


def test_a_free_deployment_comes_first_by_cost() -> None:
    free = deployment("free", price=price(0, 0))
    assert order(ask([CHEAP, free], wishes(priority=Priority.COST)))[0] == "free"


@pytest.mark.parametrize(
    ("fields", "counted", "wants"),
    [
        ({"context_window": 149}, False, True),
        ({"context_window": 149}, True, False),
        ({}, False, True),  # over the maximum cost
        ({}, True, False),
        ({"target": None}, False, False),
    ],
)
def test_a_count_is_wanted_where_it_could_change_the_answer(
    fields: dict[str, Any], counted: bool, wants: bool
) -> None:
    for beside in ([], [deployment("free", price=price(0, 0))]):
        decision = ask(
            [deployment(**fields), *beside], wishes(max_cost_nano=1_000), counted=counted
        )
        assert decision.wants_count is wants


def test_a_decision_explains_itself_in_full() -> None:
    decision = ask(
        [CHEAP, FAST, deployment("gone", target=None)],
        wishes(priority=Priority.SPEED, max_latency_ms=5_000),
        health={**NUMBERS, "cheap": Health(open_until_ms=NOW + 1)},
    )
    told = decision.explain()
    assert told["policy"] == {"priority": "speed", "max_latency_ms": 5_000}
    assert [c["provider"] for c in told["candidates"]] == ["fast", "cheap"]
    assert told["candidates"][0]["p95_ms"] == 200
    assert told["candidates"][1]["resting"] is True
    assert told["out"] == [
        {
            "provider": "gone",
            "model": "m",
            "reason": "no_credential",
            "detail": "gone has no credential",
            "estimate_nano": 300_000,
        }
    ]


def test_every_reason_has_its_error() -> None:
    from routing import refusals

    assert set(refusals._TABLE) == set(refusals._ORDER) == set(refusals._WORDS) == set(REASONS)
    assert refuse(call(), [], WANTED, served=()).status == 404
