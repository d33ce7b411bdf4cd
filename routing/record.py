"""What is written down of a call: one record before it is made, one after. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from catalog.usage import Usage
from routing.model import Candidate, Decision, Refusal

CLIENT_LEFT = 499


@dataclass(slots=True)
class Record:
    """One call from admission to outcome; filled in as the call goes on.

    Times are milliseconds since 1970, durations milliseconds, money nano-USD.
    """

    id: str
    organization_id: str
    created_ms: int
    operation: str
    api_key_id: str
    user_id: str | None
    model_requested: str = ""
    stream: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    decision: Decision | Refusal | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    passed_over: list[dict[str, Any]] = field(default_factory=list)
    answered_by: Candidate | None = None
    usage: Usage | None = None
    prompt_estimate: int = 0
    cost_nano: int = 0
    cost_estimated: bool = False
    first_token_ms: int | None = None
    waited_ns: int = 0
    admitted: bool = False

    def pass_over(self, ranked: Sequence[Candidate], turn: Candidate) -> None:
        """Notes who stands before ``turn`` and is left out, since its provider failed already."""
        told = {(a["provider"], a["model"]) for a in (*self.attempts, *self.passed_over)}
        failures = Counter(a["provider"] for a in self.attempts)
        for candidate in ranked[: ranked.index(turn)]:
            provider, model = candidate.deployment.provider, candidate.deployment.model
            if (provider, model) not in told:
                times = {0: "", 1: " once"}.get(failures[provider], " twice")
                self.passed_over.append(
                    {
                        "provider": provider,
                        "model": model,
                        "error": "provider_failed",
                        "message": f"Its provider had failed{times}.",
                    }
                )

    def admission(self, candidate: Candidate) -> bytes:
        """The record before dispatch: enough to settle the call should the process die now."""
        self.admitted = True
        return orjson.dumps(
            {
                "k": "a",
                "id": self.id,
                "organization_id": self.organization_id,
                "created_ms": self.created_ms,
                "task_type": self.operation,
                "api_key_id": self.api_key_id,
                "user_id": self.user_id,
                "model_requested": self.model_requested,
                "stream": self.stream,
                "metadata": self.metadata,
                "provider": candidate.deployment.provider,
                "model_used": candidate.deployment.model,
                "region": candidate.deployment.region,
                "estimate_nano": candidate.estimate_nano or 0,
                "price": orjson.Fragment(candidate.deployment.price_json),
            }
        )

    def explain(self) -> dict[str, Any]:
        """The decision with what came of it, as the ledger keeps it."""
        decision = self.decision.explain() if self.decision else {}
        decision["attempts"] = self.attempts
        if self.passed_over:
            decision["passed_over"] = self.passed_over
        return decision

    def outcome(self, *, status: int, error_code: str, latency_ms: int, overhead_us: int) -> bytes:
        """The record after the call: the ledger's row, all of it."""
        usage = self.usage or Usage()
        answered = self.answered_by.deployment if self.answered_by else None
        decision = self.explain()
        policy = decision.get("policy")
        return orjson.dumps(
            {
                "k": "o",
                "id": self.id,
                "organization_id": self.organization_id,
                "created_ms": self.created_ms,
                "task_type": self.operation,
                "api_key_id": self.api_key_id,
                "user_id": self.user_id,
                "model_requested": self.model_requested,
                "stream": self.stream,
                "metadata": self.metadata,
                "provider": answered.provider if answered else "",
                "model_used": answered.model if answered else "",
                "region": answered.region if answered else "",
                "price": orjson.Fragment(answered.price_json) if answered else None,
                "priority": policy["priority"] if policy else "",
                "success": status == 200,
                "status": status,
                "error_code": error_code,
                "latency_ms": latency_ms,
                "first_token_ms": self.first_token_ms,
                "overhead_us": overhead_us,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_tokens": usage.cached_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "usage": quantities(usage),
                "cost_nano": self.cost_nano,
                "cost_estimated": self.cost_estimated,
                "fallback_used": len({(a["provider"], a["model"]) for a in self.attempts}) > 1,
                "attempts": len(self.attempts),
                "decision": decision,
            }
        )


def quantities(usage: Usage) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: n for name in _QUANTITIES if (n := getattr(usage, name))}


_QUANTITIES = tuple(Usage.__dataclass_fields__)
