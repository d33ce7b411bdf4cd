"""What the line "Waiting for your first request…" has to say, from the ledger and from Redis.

1. The first answered call ends the waiting, whatever was refused before it.
2. Until then: calls that were refused, newest first, each with what mends it. Those of a known key
   are in the ledger; what came before a key was known is kept by ``routing.rejections``.
3. An open page leaves marks for a minute, so that a mistyped key finds its way to it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import redis
from django.conf import settings
from django.utils import timezone

from analytics.models import Call, Rollup
from analytics.story import Told, tell
from catalog import selectors as catalog
from lib.figures import duration
from lib.money import format_usd
from routing.rejections import address_mark, list_key, mark
from tenancy.models import ApiKeySecret

log = logging.getLogger(__name__)

MARKED_S = 60
SHOWN_MAX = 5
KEYS_MARKED_MAX = 10
MODELS_NAMED_MAX = 4
LOOKS_BACK = timedelta(hours=1)
REDIS_TIMEOUT_S = 0.5

PREFERENCES = ("Change it under Preferences", "/enterprise-router/preferences")
KEYS = ("Look at the API keys", "/api-keys")
PROVIDERS = ("Add a provider", "/providers")
ANOTHER_KEY = ("Create another key", "#key")
SNIPPET = ("Copy the request again", "#snippets")

# What mends a refusal, by its code: a sentence where the error's own does not say it, and a link.
FIXES: dict[str, tuple[str, tuple[str, str]]] = {
    "missing_api_key": ("In a shell, set ROUTER_API_KEY first.", SNIPPET),
    "invalid_api_key": ("", ANOTHER_KEY),
    "key_revoked": ("", ANOTHER_KEY),
    "key_expired": ("", ANOTHER_KEY),
    "scope_missing": ("", KEYS),
    "network_not_allowed": ("", KEYS),
    "unknown_url": ("The base URL is {base}.", SNIPPET),
    "method_not_allowed": ("", SNIPPET),
    "provider_blocked": ("Unblock one, or ask for another model.", PREFERENCES),
    "privacy_unmet": ("Priority privacy allows local providers alone.", PREFERENCES),
    "max_cost_exceeded": ("Shorten it, or raise the maximum cost.", PREFERENCES),
    "max_latency_unmet": ("Raise the maximum latency.", PREFERENCES),
    "provider_without_credential": ("Give it a credential.", PROVIDERS),
    "model_not_priced": ("Set a price for it.", PROVIDERS),
}
# What a key that was known a moment ago was refused for.
_OF_KEYS = {
    "key_revoked": "This API key was revoked.",
    "key_expired": "This API key has expired.",
    "scope_missing": "This API key has no gateway scope.",
    "network_not_allowed": "This API key may not be used from there.",
}
_BY_ADDRESS = "A request from your network: "
_LIKE_YOURS = "The key looks like yours but is not the same. "


@dataclass(frozen=True, slots=True)
class Rejected:
    """A call that was refused, in words, and the way out; ``href`` shows it where it is known."""

    at: datetime
    status: int
    text: str
    fix: str
    link: tuple[str, str] | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The first answered call."""

    href: str
    model: str
    latency: str
    cost: str
    is_sandbox: bool


@dataclass(frozen=True, slots=True)
class State:
    """What the line says; ``rejected`` while nothing arrived."""

    arrived: Arrived | None
    rejected: Sequence[Rejected] = ()


def state_of(organization_id: UUID) -> State:
    """The line as of now, inside the organization's scope: two queries once a call was answered."""
    ours = Call.objects.filter(organization_id=organization_id)
    # Asked of the rollups: without a success, the calls would all be read to find none.
    hours = Rollup.objects.filter(organization_id=organization_id, successes__gt=0)
    answered = ours.filter(success=True).defer("decision").order_by("created_at", "id")
    first = answered.first() if hours.exists() else None
    if first is not None:
        return State(_arrived(first))
    since = timezone.now() - LOOKS_BACK
    failed = list(ours.filter(created_at__gte=since).order_by("-created_at", "-id")[:SHOWN_MAX])
    told = [_in_ledger(organization_id, call) for call in failed]
    told += [_turned_away(kept) for kept in _kept(organization_id)]
    return State(None, sorted(told, key=lambda one: one.at, reverse=True)[:SHOWN_MAX])


def wait_for(organization_id: UUID, address: str) -> None:
    """Leaves the marks of a page that is open at ``address``, inside the organization's scope."""
    secrets = ApiKeySecret.objects.filter(
        organization_id=organization_id, api_key__revoked_at__isnull=True
    ).order_by("-created_at")[:KEYS_MARKED_MAX]
    marks = [address_mark(address)]
    for secret in secrets:
        marks += [mark(secret.prefix), mark(secret.last_four, kind="last")]
    try:
        with _redis().pipeline(transaction=False) as pipe:
            for name in marks:
                pipe.set(name, organization_id.hex, ex=MARKED_S)
            pipe.execute()
    except redis.RedisError as why:
        log.warning("Redis took no marks of a waiting page: %s", why)


def _arrived(call: Call) -> Arrived:
    return Arrived(
        href=f"/requests/{call.id}",
        model=call.model_used,
        latency=duration(call.latency_ms),
        cost=format_usd(call.cost_nano),
        is_sandbox=call.provider.startswith("sandbox"),
    )


def _in_ledger(organization_id: UUID, call: Call) -> Rejected:
    told = Told(
        status=call.status,
        error_code=call.error_code,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        decision=call.decision,
    )
    fix, link = FIXES.get(call.error_code, ("", None))
    text = _OF_KEYS.get(call.error_code) or tell(told).lead
    if call.error_code == "model_not_found":
        text = f'There is no model "{call.model_requested[:80]}" here.'
        fix, link = _other_models(organization_id)
    return Rejected(call.created_at, call.status, text, fix, link, href=f"/requests/{call.id}")


def _other_models(organization_id: UUID) -> tuple[str, tuple[str, str] | None]:
    rows = catalog.deployments(organization_id).filter(operation="chat")
    names = list(dict.fromkeys(rows.values_list("model", flat=True)))
    if not names:
        return "No model is connected yet.", PROVIDERS
    return f"Ask for auto, or for one of: {', '.join(names[:MODELS_NAMED_MAX])}.", None


def _turned_away(kept: dict[str, Any]) -> Rejected:
    fix, link = FIXES.get(kept["code"], ("", None))
    text = kept["message"]
    if kept["by"] == "address":
        text = _BY_ADDRESS + text[:1].lower() + text[1:]
    elif kept["by"] == "likeness" and kept["code"] == "invalid_api_key":
        text = _LIKE_YOURS + text
    at = datetime.fromtimestamp(kept["at_ms"] / 1000, UTC)
    fix = fix.format(base=f"{settings.PUBLIC_URL}/v1")
    return Rejected(at, kept["status"], text, fix, link)


def _kept(organization_id: UUID) -> list[dict[str, Any]]:
    """The refusals in Redis, the newest first; none where Redis does not answer."""
    try:
        raw: Any = _redis().lrange(list_key(organization_id.hex), 0, SHOWN_MAX - 1)
        return [orjson.loads(one) for one in raw]
    except redis.RedisError as why:
        log.warning("Redis did not tell the refusals of a waiting page: %s", why)
        return []


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
