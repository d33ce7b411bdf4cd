"""Why no deployment may answer, as an error that says what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lib.money import format_usd
from preferences.core import Preferences
from routing.model import AUTO, Call, Candidate, Refusal

NAMED_MAX = 8


def refuse(
    call: Call,
    out: Sequence[Candidate],
    wanted: Preferences,
    *,
    served: Sequence[str],
    only_blocked: Sequence[Candidate] = (),
) -> Refusal:
    """The refusal for a call that no candidate may answer.

    When candidates fell out for several reasons, the one that came furthest through the filters
    names the error, since mending it is enough; the message counts the rest. Where that is setting
    something up, and without a block ``only_blocked`` would answer as they are, the block names it.
    """
    if not out:
        return _unknown_model(call, served)
    named = max(out, key=lambda c: _ORDER.index(c.reason)).reason
    in_question = [c for c in out if c.reason == named]
    if only_blocked and named in _SET_UP:
        named, in_question = "blocked", list(only_blocked)
    counts = Counter(c.reason for c in out)
    refusal = _TABLE[named](call, in_question, wanted)
    others = sum(n for reason, n in counts.items() if reason != named)
    message = refusal.message
    if others:
        listed = ", ".join(f"{n} {_WORDS[r]}" for r, n in counts.items() if r != named)
        message += f" ({others} more fell out: {listed}.)"
    return Refusal(
        status=refusal.status,
        code=refusal.code,
        message=message,
        type=refusal.type,
        param=refusal.param,
        retry_after_s=refusal.retry_after_s,
        out=tuple(out),
        preferences=wanted,
    )


# The order of the filters in core.decide.
_ORDER = (
    "operation",
    "blocked",
    "not_allowed",
    "not_local",
    "no_credential",
    "capability",
    "unsupported_field",
    "context_window",
    "no_price",
    "max_cost",
    "max_latency",
)
# What whoever administers providers mends, as a block; the rest a caller can change.
_SET_UP = frozenset({"not_local", "no_credential", "no_price"})
_WORDS = {
    "operation": "for another endpoint",
    "blocked": "blocked",
    "not_allowed": "not allowed for this call",
    "not_local": "not local",
    "no_credential": "without a credential",
    "capability": "lacking a capability",
    "unsupported_field": "unable to pass on a field",
    "context_window": "with too small a context window",
    "no_price": "without a price",
    "max_cost": "over the maximum cost",
    "max_latency": "over the maximum latency",
}


def _unknown_model(call: Call, served: Sequence[str]) -> Refusal:
    if call.model == AUTO or not served:
        message = (
            f"No {call.operation} model is connected. Add a provider with its credential, "
            "then try again."
        )
    else:
        named = ", ".join(list(served)[:NAMED_MAX])
        more = f" and {len(served) - NAMED_MAX} more" if len(served) > NAMED_MAX else ""
        message = (
            f'Model "{call.model[:80]}" is not served here. Add it under Providers (/providers), '
            f"or ask for one of: {named}{more}. GET /v1/models lists all."
        )
    return Refusal(404, "model_not_found", message, param="model")


def _operation(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    serves = sorted({c.deployment.operation for c in out})
    return Refusal(
        400,
        "wrong_endpoint",
        f'Model "{call.model}" serves {", ".join(serves)}, not {call.operation}.',
        param="model",
    )


def _blocked(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    names = ", ".join(sorted({c.deployment.provider for c in out}))
    return Refusal(
        403,
        "provider_blocked",
        f'"{call.model}" can be answered only by blocked providers: {names}. '
        "Unblock one under Preferences, or ask for another model.",
        type="permission_error",
    )


def _not_allowed(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    asked = ", ".join(sorted(wanted.allowed_providers or ()))
    serve = ", ".join(sorted({c.deployment.provider for c in out}))
    return Refusal(
        403,
        "provider_not_allowed",
        f'"{call.model}" is served by {serve}, but this call allows only: {asked}. '
        "Change x-router-providers, or ask for another model.",
        type="permission_error",
    )


def _not_local(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    return Refusal(
        403,
        "privacy_unmet",
        f'Priority is privacy, and no local provider serves "{call.model}". Connect one '
        "(vLLM, Ollama, llama.cpp), or choose another priority under Preferences.",
        type="permission_error",
    )


def _no_credential(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    names = ", ".join(sorted({c.deployment.provider for c in out}))
    return Refusal(
        403,
        "provider_without_credential",
        f'"{call.model}" is served by {names}, which has no credential. Add one under Providers '
        "(/providers).",
        type="permission_error",
    )


def _capability(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    lacking = {name for c in out for name in call.needs - c.deployment.capabilities}
    if call.stream and not all(c.deployment.streams for c in out):
        lacking.add("streaming")
    return Refusal(
        400,
        "unsupported_capability",
        f'No deployment of "{call.model}" that may answer offers: {", ".join(sorted(lacking))}. '
        "Ask for a model that does, or leave it out of the request.",
        param="model",
    )


def _unsupported_field(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    fields = sorted({f for c in out for f in call.unsupported.get(c.deployment.wire, ())})
    return Refusal(
        400,
        "unsupported_field",
        f'No deployment of "{call.model}" can honour: {", ".join(fields)}. '
        "Leave it out, or ask for another model.",
        param=fields[0] if fields else None,
    )


def _context_window(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    largest = max(c.deployment.context_window for c in out)
    return Refusal(
        400,
        "context_length_exceeded",
        f'The input is {call.input_tokens:,} tokens; "{call.model}" takes at most {largest:,}. '
        "Shorten the messages, or ask for a model with a larger context window.",
        param="messages" if call.operation == "chat" else "input",
    )


def _no_price(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    return Refusal(
        400,
        "model_not_priced",
        f'"{call.model}" has no price, so its cost cannot be held under the maximum per request. '
        "Set a price for it under Providers (/providers), or ask for a priced model.",
        param="model",
    )


def _max_cost(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    cheapest = min(c.estimate_nano or 0 for c in out)
    limit = wanted.max_cost_nano or 0
    return Refusal(
        400,
        "max_cost_exceeded",
        # To the last digit: rounded, the two may look the same.
        f"This call could cost up to {format_usd(cheapest, exact=True)}; "
        f"at most {format_usd(limit, exact=True)} per request is allowed. "
        "Lower max_tokens or shorten the input, or raise the limit "
        "(x-router-max-cost, or under Preferences).",
        param="max_tokens",
    )


def _max_latency(call: Call, out: Sequence[Candidate], wanted: Preferences) -> Refusal:
    fastest = min(c.p95_ms or 0 for c in out)
    return Refusal(
        503,
        "max_latency_unmet",
        f'No deployment of "{call.model}" answers within {wanted.max_latency_ms} ms at p95 now; '
        f"the fastest takes {fastest} ms. Raise the limit, or try again in a minute.",
        type="server_error",
        retry_after_s=60.0,
    )


_TABLE = {
    "operation": _operation,
    "blocked": _blocked,
    "not_allowed": _not_allowed,
    "not_local": _not_local,
    "no_credential": _no_credential,
    "capability": _capability,
    "unsupported_field": _unsupported_field,
    "context_window": _context_window,
    "no_price": _no_price,
    "max_cost": _max_cost,
    "max_latency": _max_latency,
}
