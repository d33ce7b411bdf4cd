"""The words that explain a decision."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.story import Told, tell
from tests.analytics.rows import DEAR, FAST, GOOD, OVERLOADED, POLICY

ANSWERED = {"provider": "sandbox", "model": "sandbox-small", "ms": 412, "status": 200}
SECOND = {"provider": "sandbox-claude", "model": "sandbox-large", "ms": 410, "status": 200}


def told(status: int = 200, error_code: str = "", **decision: Any) -> Told:
    return Told(status, error_code, input_tokens=1204, output_tokens=312, decision=decision)


def sentence(story: Any) -> str:
    return f"{story.lead} {story.answered_by}. {story.because}".replace(" . ", " ").strip()


@pytest.mark.parametrize(
    ("attempts", "candidates", "because"),
    [
        ([ANSWERED], [FAST, GOOD], "It was the first choice."),
        ([ANSWERED], [FAST], "It was the only candidate."),
        (
            [OVERLOADED, SECOND],
            [FAST, GOOD],
            "It was the second choice: sandbox / sandbox-small ended with 529 (overloaded error).",
        ),
        (
            [OVERLOADED, ANSWERED],
            [FAST],
            "It answered at the attempt number 2: before, sandbox / sandbox-small ended with 529"
            " (overloaded error).",
        ),
    ],
)
def test_an_answer_names_its_model_and_the_cause(
    attempts: list[Any], candidates: list[Any], because: str
) -> None:
    story = tell(told(policy=POLICY, candidates=candidates, out=[], attempts=attempts))
    assert story.lead == "Answered by"
    assert story.answered_by == f"{attempts[-1]['provider']} / {attempts[-1]['model']}"
    assert story.because == because


def test_steps_go_from_policy_to_the_last_attempt() -> None:
    story = tell(
        told(policy=POLICY, candidates=[FAST, GOOD], out=[DEAR], attempts=[OVERLOADED, SECOND])
    )
    assert [step.title for step in story.steps] == [
        "Policy",
        "Candidates: 2 of 3 left",
        "Ranked by cost",
        "sandbox / sandbox-small: 529 (overloaded error)",
        "sandbox-claude / sandbox-large: 200",
    ]
    assert story.steps[0].detail == "Priority cost; at most $0.05; blocked groq."
    assert story.steps[1].detail == "Fell out: openai / gpt-large, could cost $0.061."
    assert [step.tone for step in story.steps[3:]] == ["bad", "good"]
    assert story.steps[3].took == "1.90 s"


def test_an_attempt_has_the_providers_status_and_the_client_its_own() -> None:
    alone = tell(told(502, "upstream_error", candidates=[FAST], attempts=[OVERLOADED])).steps[-1]
    assert alone.title == "sandbox / sandbox-small: 529 (overloaded error)"
    assert alone.detail == "Overloaded. The client got 502."
    gone = tell(told(499, "client_left", candidates=[FAST], attempts=[OVERLOADED])).steps[-1]
    assert gone.detail == "Overloaded. Then the client left."
    silent = {**OVERLOADED, "status": 0, "error": "upstream_unreachable"}
    story = tell(told(502, "upstream_unreachable", candidates=[FAST], attempts=[silent]))
    assert story.lead == "No answer. sandbox / sandbox-small ended with upstream unreachable."


def test_each_candidate_has_a_result() -> None:
    story = tell(
        told(policy=POLICY, candidates=[FAST, GOOD], out=[DEAR], attempts=[OVERLOADED, SECOND])
    )
    assert [(row.model, row.result, row.out) for row in story.rows] == [
        ("sandbox / sandbox-small", "Tried, 529", False),
        ("sandbox-claude / sandbox-large", "Answered", False),
        ("openai / gpt-large", "Over max cost", True),
    ]


def test_a_candidate_nobody_needed_says_so() -> None:
    story = tell(told(policy=POLICY, candidates=[FAST, GOOD], out=[], attempts=[ANSWERED]))
    assert [row.result for row in story.rows] == ["Answered", "Not needed"]


@pytest.mark.parametrize(
    ("it", "said"),
    [
        (
            told(400, "max_cost_exceeded", out=[DEAR], policy=POLICY, attempts=[]),
            "Refused before any provider was called: openai / gpt-large, could cost $0.061.",
        ),
        (told(401, "key_revoked", attempts=[]), "Refused before routing: key revoked."),
        (told(500), "Refused before routing: status 500."),
        (
            told(499, "client_left", candidates=[FAST], attempts=[ANSWERED]),
            "The client left while sandbox / sandbox-small was answering,"
            " before the answer was complete.",
        ),
        (
            told(502, "x", candidates=[FAST], attempts=[OVERLOADED]),
            "No answer. sandbox / sandbox-small ended with 529 (overloaded error).",
        ),
        (
            told(502, "x", candidates=[FAST, GOOD], attempts=[OVERLOADED, OVERLOADED]),
            "No answer. Both attempts failed; the last, at sandbox / sandbox-small,"
            " ended with 529 (overloaded error).",
        ),
    ],
)
def test_without_an_answer_the_sentence_says_why(it: Told, said: str) -> None:
    assert tell(it).lead == said


def test_many_that_fell_out_are_counted_with_few_names() -> None:
    out = [{**DEAR, "provider": p, "reason": "blocked"} for p in ("a", "b", "c", "d")] + [DEAR]
    story = tell(told(policy=POLICY, candidates=[FAST], out=out, attempts=[ANSWERED]))
    assert story.steps[1].detail == "Fell out: 4 blocked, 1 over the max cost (openai)."


def test_beside_a_failure_nobody_was_not_needed() -> None:
    story = tell(told(502, "x", policy=POLICY, candidates=[FAST, GOOD], attempts=[OVERLOADED]))
    assert [row.result for row in story.rows] == ["Tried, 529", "Not tried"]


def test_a_candidate_that_was_passed_over_says_why() -> None:
    why = "This provider cannot carry the field logit_bias."
    passed = {"provider": GOOD["provider"], "model": GOOD["model"], "ms": 0, "message": why}
    story = tell(
        told(policy=POLICY, candidates=[GOOD, FAST], attempts=[ANSWERED], passed_over=[passed])
    )
    assert [(row.result, row.note) for row in story.rows] == [
        ("Passed over", why),
        ("Answered", ""),
    ]
    over = f"{GOOD['provider']} / {GOOD['model']} was passed over"
    assert story.because == f"It was the second choice: {over}."


def test_the_rank_of_who_answered_counts_those_left_out() -> None:
    flaky, balanced = {**FAST, "model": "flaky"}, {**FAST, "model": "balanced"}
    message = "Its provider had failed twice."
    passed = {"provider": "sandbox", "model": "balanced", "message": message}
    again = {**OVERLOADED, "model": "flaky"}
    story = tell(
        told(
            policy=POLICY,
            candidates=[FAST, flaky, balanced, GOOD],
            attempts=[OVERLOADED, again, SECOND],
            passed_over=[passed],
        )
    )
    assert story.because == (
        "It was the fourth choice: sandbox / sandbox-small ended with 529 (overloaded error),"
        " sandbox / flaky ended with 529 (overloaded error), sandbox / balanced was passed over."
    )
    assert [(row.result, row.note) for row in story.rows[2:]] == [
        ("Passed over", message),
        ("Answered", ""),
    ]


def test_the_first_choice_may_answer_after_another() -> None:
    story = tell(told(candidates=[FAST, GOOD], attempts=[OVERLOADED, SECOND, ANSWERED]))
    assert story.because.startswith("It answered at the attempt number 3: before, sandbox / ")


@pytest.mark.parametrize("attempt", [ANSWERED, {**ANSWERED, "status": 499, "error": "client_left"}])
def test_a_candidate_whose_client_left_did_not_fail(attempt: dict[str, Any]) -> None:
    left = told(499, "client_left", candidates=[FAST, GOOD], attempts=[attempt])
    assert [row.result for row in tell(left).rows] == ["Client left", "Not needed"]
    late = told(499, "client_left", candidates=[FAST, GOOD], attempts=[OVERLOADED])
    assert tell(late).rows[0].result == "Tried, 529"


def test_of_a_call_whose_process_ended_no_more_is_told_than_is_known() -> None:
    story = tell(Told(500, "interrupted", 0, 0, {"interrupted": True}, sent_to="groq / llama"))
    assert "had gone to groq / llama." in story.lead
    assert "Refused" not in story.lead
    assert [step.title for step in story.steps] == ["groq / llama: outcome not known"]
