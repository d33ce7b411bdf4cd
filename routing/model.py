"""The nouns of a routing decision: deployments, their health, the call, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preferences.core import Preferences

if TYPE_CHECKING:
    from catalog.pricing import Price
    from routing.upstream import Target

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at a provider, ready to be called.

    ``quality`` is 0 to 100. ``target`` is None while the provider has no credential.
    """

    id: str
    provider: str
    model: str
    upstream_model: str
    operation: str
    wire: str
    capabilities: frozenset[str]
    streams: bool
    context_window: int
    max_output_tokens: int
    region: str
    quality: int
    is_local: bool
    price: Price | None
    target: Target | None
    price_json: bytes = b"null"


@dataclass(frozen=True, slots=True)
class Health:
    """A deployment's live numbers; None where nothing was measured in the last ten minutes.

    ``open_until_ms`` is Redis time; ``probing`` lets this call try a deployment that is resting.
    """

    open_until_ms: int = 0
    opens: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    first_p50_ms: int | None = None
    first_p95_ms: int | None = None
    measured_at_ms: int = 0
    reason: str = ""


HEALTHY = Health()


# The records of one call are not frozen, though nothing changes one after it is made: a frozen
# one takes four times as long to make, and several are made for every call.
@dataclass(slots=True)
class Call:
    """What routing needs to know of one call.

    ``input_tokens`` is an upper bound until ``counted``; ``prompt_estimate`` is the likely count.
    """

    operation: str
    model: str
    stream: bool
    needs: frozenset[str]
    prompt_estimate: int
    input_tokens: int
    counted: bool
    max_output_tokens: int | None
    n: int
    text_only: bool = True
    unsupported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Candidate:
    """One deployment as the decision saw it: ranked with its score, or out with its reason."""

    deployment: Deployment
    estimate_nano: int | None = None
    expected_ms: int | None = None
    p95_ms: int | None = None
    score: float = 0.0
    reason: str = ""
    detail: str = ""
    resting: bool = False

    def explain(self) -> dict[str, Any]:
        """The candidate as the ledger keeps it."""
        d = self.deployment
        told: dict[str, Any] = {"provider": d.provider, "model": d.model}
        if self.reason:
            told["reason"] = self.reason
            told["detail"] = self.detail
        else:
            told["score"] = round(self.score, 4)
        if self.estimate_nano is not None:
            told["estimate_nano"] = self.estimate_nano
        if self.p95_ms is not None:
            told["p95_ms"] = self.p95_ms
        if self.resting:
            told["resting"] = True
        return told


@dataclass(slots=True)
class Decision:
    """The ordered plan and why. ``wants_count``: a certain token count could change it."""

    ranked: tuple[Candidate, ...]
    out: tuple[Candidate, ...]
    preferences: Preferences
    wants_count: bool = False

    def explain(self) -> dict[str, Any]:
        """The decision as the ledger keeps it: policy, candidates in order, those that fell out."""
        return {
            "policy": policy(self.preferences),
            "candidates": [c.explain() for c in self.ranked],
            "out": [c.explain() for c in self.out],
        }


@dataclass(slots=True)
class Refusal:
    """No deployment may answer; ``message`` says what to do, the rest is the error's shape."""

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry_after_s: float | None = None
    out: tuple[Candidate, ...] = ()
    preferences: Preferences | None = None
    wants_count: bool = False

    def explain(self) -> dict[str, Any]:
        """The refusal as the ledger keeps it."""
        told: dict[str, Any] = {"refused": self.code, "out": [c.explain() for c in self.out]}
        if self.preferences is not None:
            told["policy"] = policy(self.preferences)
        return told


def policy(wanted: Preferences) -> dict[str, Any]:
    """The effective preferences, without what was not set."""
    told: dict[str, Any] = {"priority": wanted.priority}
    if wanted.max_cost_nano is not None:
        told["max_cost_nano"] = wanted.max_cost_nano
    if wanted.max_latency_ms is not None:
        told["max_latency_ms"] = wanted.max_latency_ms
    if wanted.preferred_providers:
        told["preferred_providers"] = list(wanted.preferred_providers)
    if wanted.blocked_providers:
        told["blocked_providers"] = sorted(wanted.blocked_providers)
    if wanted.allowed_providers is not None:
        told["allowed_providers"] = sorted(wanted.allowed_providers)
    return told
