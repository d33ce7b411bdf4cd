"""What a client sent, and what is sent back: the same for both doors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import orjson

from lib.errors import RouterError
from lib.hashing import looks_like_key
from lib.money import nano_from_usd
from preferences.core import LATENCY_MS_MAX, LATENCY_MS_MIN, Preferences, Priority
from routing.snapshot import Key
from tenancy.core import is_inside

METADATA_PAIRS_MAX = 16
METADATA_NAME_MAX = 64
METADATA_VALUE_MAX = 512


@dataclass(slots=True)
class Incoming:
    """A request to the gateway. Header names are lower-case bytes."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    client: str


@dataclass(slots=True)
class Reply:
    """An answer: a whole ``body``, or a ``stream`` of pieces that records its own end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    stream: AsyncGenerator[bytes, None] | None = None


@dataclass(slots=True)
class Wanted:
    """What the headers of a request say: who calls, and what it wants tightened."""

    secret: bytes = b""
    forwarded: bytes = b""
    router: dict[bytes, bytes] = field(default_factory=dict)


def read_headers(headers: list[tuple[bytes, bytes]]) -> Wanted:
    """The few headers that the router reads; everything else stays here."""
    wanted = Wanted()
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                wanted.secret = value[7:].strip()
        elif name == b"x-api-key" or name == b"api-key":
            wanted.secret = wanted.secret or value.strip()
        elif name == b"x-forwarded-for":
            # A proxy may add a line of its own; the lines are one list.
            wanted.forwarded = wanted.forwarded + b"," + value if wanted.forwarded else value
        elif name.startswith(b"x-router-"):
            wanted.router[name] = value
    return wanted


def preferences_of(router: dict[bytes, bytes]) -> tuple[Preferences, dict[str, str]]:
    """The request's own preferences and metadata; raises ``RouterError`` naming a bad header."""
    priority = None
    cost = latency = None
    allowed = None
    metadata: dict[str, str] = {}
    for name, raw in router.items():
        value = raw.decode("latin-1").strip()
        if name == b"x-router-priority":
            priority = _priority(value)
        elif name == b"x-router-max-cost":
            cost = _max_cost(value)
        elif name == b"x-router-max-latency-ms":
            latency = _max_latency(value)
        elif name == b"x-router-providers":
            allowed = frozenset(p.strip() for p in value.split(",") if p.strip())
            if not allowed:
                raise _bad(name, value, "a comma-separated list of providers, such as openai,groq")
        elif name == b"x-router-metadata":
            metadata = _metadata(raw)
        else:
            known = "priority, max-cost, max-latency-ms, providers, metadata"
            header = name.decode("latin-1")[:80]
            raise RouterError(
                400,
                "unknown_header",
                f"{header} is not a header of the router. There are x-router-: {known}.",
                param=header,
            )
    wishes = Preferences(
        priority=priority, max_cost_nano=cost, max_latency_ms=latency, allowed_providers=allowed
    )
    return wishes, metadata


def _bad(name: bytes, value: str, wanted: str) -> RouterError:
    header = name.decode()
    return RouterError(
        400, "invalid_header", f'{header}: "{value[:80]}" is not {wanted}.', param=header
    )


def _priority(value: str) -> Priority:
    try:
        return Priority(value.lower())
    except ValueError:
        raise _bad(b"x-router-priority", value, "one of: " + ", ".join(Priority)) from None


def _max_cost(value: str) -> int:
    try:
        nano = nano_from_usd(Decimal(value.removeprefix("$")))
    except (ValueError, InvalidOperation):
        nano = 0
    if nano <= 0:
        raise _bad(b"x-router-max-cost", value, "an amount in USD above zero, such as 0.05")
    return nano


def _max_latency(value: str) -> int:
    ms = int(value) if value.isascii() and value.isdigit() and len(value) <= 7 else 0
    if not LATENCY_MS_MIN <= ms <= LATENCY_MS_MAX:
        wanted = f"a whole number of milliseconds from {LATENCY_MS_MIN} to {LATENCY_MS_MAX}"
        raise _bad(b"x-router-max-latency-ms", value, wanted)
    return ms


def _metadata(raw: bytes) -> dict[str, str]:
    name = b"x-router-metadata"
    shown = raw.decode("utf-8", "replace")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _bad(name, shown, 'a JSON object, such as {"team": "legal"}') from None
    if not isinstance(found, dict) or len(found) > METADATA_PAIRS_MAX:
        raise _bad(name, shown, f"a JSON object of at most {METADATA_PAIRS_MAX} pairs")
    for key, value in found.items():
        if not isinstance(value, str) or len(key) > METADATA_NAME_MAX:
            raise _bad(name, shown, "a JSON object of short names with texts as values")
        if len(value) > METADATA_VALUE_MAX:
            raise _bad(name, shown, f"made of values of at most {METADATA_VALUE_MAX} characters")
    return found


def client_address(peer: str, forwarded: bytes, proxies: int) -> str:
    """The caller's address: the peer, or what the trusted proxies in front of it saw.

    With ``proxies`` trusted proxies the last that many entries of X-Forwarded-For are theirs.
    """
    if not proxies or not forwarded:
        return peer
    hops = [hop.strip() for hop in forwarded.decode("latin-1").split(",")]
    return hops[-proxies] if len(hops) >= proxies else hops[0]


def check_key(key: Key, *, scope: str, address: str, now_s: float) -> None:
    """Raises ``RouterError`` when the key may not be used so, from there, now."""
    if key.revoked:
        raise RouterError(
            401,
            "key_revoked",
            f'The API key "{key.name}" was revoked. Use another, or create one under API keys '
            "(/api-keys).",
            type="authentication_error",
        )
    if key.expires_at_s is not None and now_s >= key.expires_at_s:
        raise RouterError(
            401,
            "key_expired",
            f'The API key "{key.name}" has expired. Extend it, or create another, under API keys '
            "(/api-keys).",
            type="authentication_error",
        )
    if scope not in key.scopes:
        raise RouterError(
            403,
            "scope_missing",
            f'The API key "{key.name}" has no "{scope}" scope. Use a key that has it.',
            type="permission_error",
        )
    if key.networks and not is_inside(address, key.networks):
        raise RouterError(
            403,
            "network_not_allowed",
            f'The API key "{key.name}" may not be used from {address or "this address"}. '
            "Change its allowed networks under API keys (/api-keys).",
            type="permission_error",
        )


def refuse_stranger(headers: list[tuple[bytes, bytes]]) -> Wanted:
    """What the headers say; raises ``RouterError`` (401) where no key can be in them."""
    wanted = read_headers(headers)
    if not wanted.secret:
        raise RouterError(
            401,
            "missing_api_key",
            "No API key. Send it as 'Authorization: Bearer er_live_…'; create one under API keys "
            "(/api-keys).",
            type="authentication_error",
        )
    if not looks_like_key(wanted.secret):
        raise unknown_key()
    return wanted


def unknown_key() -> RouterError:
    """The error for a key that is not known here."""
    return RouterError(
        401,
        "invalid_api_key",
        "This API key is not known here. Check that it was copied whole, "
        "or create one under API keys (/api-keys).",
        type="authentication_error",
    )
