"""A call's decision in words: why it was routed where it was. Pure.

The ledger keeps the decision as the router explained it: ``policy``, ``candidates`` in the order of
their score, those that fell ``out`` with their reason, each of the ``attempts``, and whom the
router ``passed_over``, because their interface cannot carry the request or their provider failed.
Of a call whose process ended there is only where it had gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics.waterfall import Bar, Shape, shape
from lib.figures import count, duration
from lib.money import format_usd

CLIENT_LEFT = 499
NAMED_MAX = 3

# How a candidate that fell out is counted, and how it is labelled in the table.
REASONS = {
    "operation": ("for another endpoint", "Other endpoint"),
    "blocked": ("blocked", "Blocked"),
    "not_allowed": ("not allowed for this request", "Not allowed"),
    "not_local": ("not local", "Not local"),
    "no_credential": ("without a credential", "No credential"),
    "capability": ("lacking a capability", "Lacks a capability"),
    "unsupported_field": ("unable to pass on a field", "Cannot pass on a field"),
    "context_window": ("with too small a context window", "Context too small"),
    "no_price": ("without a price", "No price"),
    "max_cost": ("over the max cost", "Over max cost"),
    "max_latency": ("over the max latency", "Over max latency"),
}
_NTH = {2: "the second", 3: "the third", 4: "the fourth", 5: "the fifth"}
# Reasons whose detail says more than the label.
TELLING = frozenset(
    {"capability", "unsupported_field", "context_window", "max_cost", "max_latency"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the ledger holds of one call, as far as its story needs it."""

    status: int
    error_code: str
    input_tokens: int
    output_tokens: int
    decision: Mapping[str, Any]
    latency_ms: int = 0
    sent_to: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step. ``tone`` is "good", "bad" or nothing; ``took`` a duration in words.

    An attempt has a ``bar`` on the time axis that all attempts share.
    """

    title: str
    detail: str
    more: str = ""
    tone: str = ""
    took: str = ""
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of candidates; ``out`` when it was not allowed to answer.

    A figure that nobody measured is empty.
    """

    model: str
    score: str
    cost: str
    p95: str
    result: str
    note: str = ""
    out: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the attempts' time axis: where, in per cent of the width, and what it says."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Story:
    """The whole explanation: a sentence, with the model that answered apart, steps and table."""

    lead: str
    answered_by: str
    because: str
    steps: Sequence[Step] = ()
    rows: Sequence[Row] = field(default=())
    axis: Sequence[Tick] = ()


def tell(told: Told) -> Story:
    """Why the call went where it went, or why it went nowhere."""
    decision = told.decision
    if decision.get("interrupted"):
        return _interrupted(told.sent_to)
    candidates = decision.get("candidates", [])
    out = decision.get("out", [])
    attempts = decision.get("attempts", [])
    lead, answered_by, because = _sentence(told, candidates, out, attempts)
    drawn = shape(attempts, told.latency_ms)
    steps = [
        *_policy_step(decision.get("policy")),
        *_candidate_step(candidates, out),
        *_ranking_step(decision.get("policy"), candidates),
        *(
            _attempt_step(a, told, bar, last=a is attempts[-1])
            for a, bar in zip(attempts, drawn.bars, strict=True)
        ),
    ]
    rows = _rows(told, decision)
    return Story(lead, answered_by, because, steps, rows, _axis(drawn))


def _interrupted(sent_to: str) -> Story:
    lead = (
        f"The router's process ended before the answer was complete; this request had gone to "
        f"{sent_to}. Whether that answered is not known, and the cost is an estimate."
    )
    detail = "The router's process ended. The client got no whole answer."
    return Story(lead, "", "", [Step(f"{sent_to}: outcome not known", detail, tone="bad")])


def _axis(drawn: Shape) -> list[Tick]:
    return [Tick(x, duration(round(ms))) for x, ms in drawn.ticks]


def _name(told: Mapping[str, Any]) -> str:
    return f"{told['provider']} / {told['model']}"


def _sentence(
    told: Told,
    candidates: Sequence[Mapping[str, Any]],
    out: Sequence[Mapping[str, Any]],
    attempts: Sequence[Mapping[str, Any]],
) -> tuple[str, str, str]:
    if told.status == 200 and attempts:
        passed = told.decision.get("passed_over", [])
        return "Answered by", _name(attempts[-1]), _why_chosen(candidates, attempts, passed)
    if told.status == CLIENT_LEFT:
        where = f" while {_name(attempts[-1])} was answering" if attempts else ""
        return f"The client left{where}, before the answer was complete.", "", ""
    if attempts:
        last = attempts[-1]
        if len(attempts) == 1:
            return f"No answer. {_name(last)} ended with {_ending(last)}.", "", ""
        count = "Both" if len(attempts) == 2 else f"All {len(attempts)}"
        tail = f"the last, at {_name(last)}, ended with {_ending(last)}"
        return f"No answer. {count} attempts failed; {tail}.", "", ""
    if out:
        return f"Refused before any provider was called: {_counted(out)}.", "", ""
    code = told.error_code.replace("_", " ") or f"status {told.status}"
    return f"Refused before routing: {code}.", "", ""


def _why_chosen(
    candidates: Sequence[Mapping[str, Any]],
    attempts: Sequence[Mapping[str, Any]],
    passed: Sequence[Mapping[str, Any]],
) -> str:
    answered = _name(attempts[-1])
    failed = [f"{_name(a)} ended with {_ending(a)}" for a in attempts[:-1]]
    if answered in {_name(a) for a in attempts[:-1]}:
        number = len(attempts)
        return f"It answered at the attempt number {number}: before, {', '.join(failed)}."
    ranked = [_name(c) for c in candidates]
    rank = ranked.index(answered) + 1 if answered in ranked else len(attempts)
    if rank == 1:
        return "It was the only candidate." if len(candidates) == 1 else "It was the first choice."
    left_out = [f"{_name(p)} was passed over" for p in passed if _name(p) in ranked[: rank - 1]]
    because = ", ".join((*failed, *left_out))
    return f"It was {_NTH.get(rank, f'number {rank}')} choice: {because}."


def _ending(attempt: Mapping[str, Any]) -> str:
    error = str(attempt.get("error", "")).replace("_", " ")
    status = attempt.get("status")
    if not status:
        return error or "no answer"
    return f"{status} ({error})" if error else str(status)


def _policy_step(policy: Mapping[str, Any] | None) -> list[Step]:
    if not policy:
        return []
    said = [f"Priority {policy.get('priority', 'balanced')}"]
    if "max_cost_nano" in policy:
        said.append(f"at most {format_usd(policy['max_cost_nano'])}")
    if "max_latency_ms" in policy:
        said.append(f"at most {duration(policy['max_latency_ms'])}")
    for key, words in (
        ("preferred_providers", "preferred"),
        ("blocked_providers", "blocked"),
        ("allowed_providers", "only"),
    ):
        if policy.get(key):
            said.append(f"{words} {', '.join(policy[key])}")
    return [Step("Policy", "; ".join(said) + ".")]


def _candidate_step(
    candidates: Sequence[Mapping[str, Any]], out: Sequence[Mapping[str, Any]]
) -> list[Step]:
    total = len(candidates) + len(out)
    if not total:
        return []
    title = f"Candidates: {len(candidates)} of {total} left"
    if not out:
        return [Step(title, "Each of them may answer.")]
    return [Step(title, f"Fell out: {_counted(out)}.", tone="" if candidates else "bad")]


def _counted(out: Sequence[Mapping[str, Any]]) -> str:
    """The reasons with how many fell out by each, and which where they are few."""
    if len(out) == 1:
        return f"{_name(out[0])}, {_detail(out[0])}"
    said = []
    for reason, many in Counter(c.get("reason", "") for c in out).most_common():
        names = list(dict.fromkeys(c["provider"] for c in out if c.get("reason", "") == reason))
        listed = f" ({', '.join(names)})" if len(names) <= NAMED_MAX else ""
        said.append(f"{many} {_words(reason)}{listed}")
    return ", ".join(said)


def _words(reason: str) -> str:
    return REASONS.get(reason, (reason.replace("_", " "), ""))[0]


def _detail(candidate: Mapping[str, Any]) -> str:
    # The router writes this one in nano-dollars, exact to the last digit.
    if candidate.get("reason") == "max_cost" and "estimate_nano" in candidate:
        return f"could cost {format_usd(candidate['estimate_nano'])}"
    return str(candidate.get("detail") or _words(candidate.get("reason", "")))


def _ranking_step(
    policy: Mapping[str, Any] | None, candidates: Sequence[Mapping[str, Any]]
) -> list[Step]:
    if len(candidates) < 2 or not policy:
        return []
    scores = ", ".join(f"{_name(c)} {_score(c)}" for c in candidates)
    notes = []
    if policy.get("preferred_providers"):
        notes.append("Preferred providers come first.")
    if any(c.get("resting") for c in candidates):
        notes.append("Those that failed lately come last.")
    title = f"Ranked by {policy.get('priority', 'balanced')}"
    return [Step(title, scores, more=" ".join(notes))]


def _score(candidate: Mapping[str, Any]) -> str:
    return f"{candidate['score']:.2f}" if "score" in candidate else ""


def _attempt_step(attempt: Mapping[str, Any], told: Told, bar: Bar, *, last: bool) -> Step:
    took = duration(attempt["ms"]) if "ms" in attempt else ""
    if "error" in attempt or not last or told.status not in (200, CLIENT_LEFT):
        message = str(attempt.get("message", ""))
        onward = _onward(told, last=last)
        detail = f"{message} {onward}".strip()
        return Step(f"{_name(attempt)}: {_ending(attempt)}", detail, tone="bad", took=took, bar=bar)
    used = f"{count(told.input_tokens)} in, {count(told.output_tokens)} out"
    if "first_token_ms" in attempt:
        used += f", first token after {duration(attempt['first_token_ms'])}"
    if told.status == CLIENT_LEFT:
        return Step(f"{_name(attempt)}: client left", used, took=took, bar=bar)
    return Step(f"{_name(attempt)}: 200", used, tone="good", took=took, bar=bar)


def _onward(told: Told, *, last: bool) -> str:
    """What came after a failed attempt."""
    if not last:
        return "The router moved on."
    return (
        "Then the client left." if told.status == CLIENT_LEFT else f"The client got {told.status}."
    )


def _rows(told: Told, decision: Mapping[str, Any]) -> list[Row]:
    attempts = decision.get("attempts", [])
    tried = {_name(a): a for a in attempts}
    passed = {_name(a): a for a in decision.get("passed_over", [])}
    answered = _name(attempts[-1]) if attempts and told.status == 200 else ""
    # Who was not asked: beside an answer there was no need to, beside a failure there was.
    unasked = "Not needed" if told.status in (200, CLIENT_LEFT) else "Not tried"
    rows = []
    for candidate in decision.get("candidates", []):
        name = _name(candidate)
        if name in passed and name not in tried:
            result, error = "Passed over", str(passed[name].get("message", ""))
        elif name in tried:
            left = told.status == CLIENT_LEFT and tried[name] is attempts[-1]
            result, error = _result(tried[name], answered=name == answered, left=left)
        else:
            result, error = unasked, ""
        note = error or ("Failed lately" if candidate.get("resting") else "")
        rows.append(Row(name, _score(candidate), *_figures(candidate), result, note))
    for candidate in decision.get("out", []):
        reason = candidate.get("reason", "")
        label = REASONS.get(reason, ("", reason.replace("_", " ").capitalize()))[1]
        note = _detail(candidate) if reason in TELLING else ""
        rows.append(Row(_name(candidate), "", *_figures(candidate), label, note, out=True))
    return rows


def _result(attempt: Mapping[str, Any], *, answered: bool, left: bool) -> tuple[str, str]:
    """How a candidate's turn went, and the error that ended it."""
    if answered:
        return "Answered", ""
    status, error = attempt.get("status"), str(attempt.get("error", "")).replace("_", " ")
    if left and status in (200, CLIENT_LEFT):
        return "Client left", ""
    if status:
        return f"Tried, {status}", error.capitalize()
    return f"Tried, {error or 'no answer'}", ""


def _figures(candidate: Mapping[str, Any]) -> tuple[str, str]:
    cost = format_usd(candidate["estimate_nano"]) if "estimate_nano" in candidate else ""
    p95 = duration(candidate["p95_ms"]) if "p95_ms" in candidate else ""
    return cost, p95
