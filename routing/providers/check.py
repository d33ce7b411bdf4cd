"""Whether a provider can be called as it is configured: two small requests, told in words.

1. ``GET /models`` says what is there, where the provider has such a list.
2. An empty ``POST`` to the chat endpoint says whether the credential is taken: providers look at
   it first and then refuse the empty request, so that nothing is generated and nothing costs.
3. Both go through the guard that holds for calls, with the same limits on addresses.

What is told holds states, times and names of models; never a body, so that an address inside the
operator's networks gives nothing away.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

import orjson

from lib.figures import duration
from lib.netguard import Origin
from routing.upstream import Target, Upstream, UpstreamError
from routing.wire import WIRES

CHECK_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 4.0
FIRST_BYTE_TIMEOUT_S = 8.0
BODY_BYTES_MAX = 4 * 2**20
MODELS_MAX = 500
_MODEL = re.compile(r"[\w./:@+-]{1,160}", re.ASCII)
_REFUSED = (401, 403)
# What a provider answers to an empty request after it took the credential.
_TAKEN = (200, 400, 402, 404, 405, 413, 415, 422, 429)


class Tone(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of the result."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be checked; ``secret`` is None where no credential may be sent there.

    ``upstream_models`` are the names under which models are called there.
    """

    name: str
    origin: Origin
    wire: str
    auth: str
    secret: str | None
    needs_secret: bool
    upstream_models: Sequence[str]
    allowed_networks: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check. ``credential``: accepted, refused, missing, unknown or not_needed.

    ``models`` is None where the provider gave no list. ``latency_ms`` is that of the first answer
    with connecting.
    """

    reachable: bool
    credential: str
    latency_ms: int | None
    models: tuple[str, ...] | None
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether calls can be expected to work."""
        return all(finding.tone is not Tone.BAD for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    ms: int


def check(question: Question) -> Result:
    """Asks the provider; at most ten seconds. Call it outside every transaction."""
    return asyncio.run(_check(question))


async def _check(question: Question) -> Result:
    upstream = Upstream()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            listed = await _ask(upstream, question, "/models", b"", b"GET")
            path = WIRES[question.wire].path("chat")
            assert path is not None
            tried = await _ask(upstream, question, path, b"{}", b"POST")
    except UpstreamError as why:
        return _unreachable(_told(why))
    except TimeoutError:
        return _unreachable(f"It did not answer within {CHECK_TIMEOUT_S:.0f} s.")
    except ValueError:
        return _unreachable("The credential or the address cannot be sent.")
    finally:
        await upstream.close()
    return read(question, listed, tried)


async def _ask(
    upstream: Upstream, question: Question, path: str, body: bytes, method: bytes
) -> _Answer:
    origin = question.origin
    headers = WIRES[question.wire].headers(question.secret or "", question.auth)
    target = Target(
        scheme=origin.scheme,
        host=origin.host,
        port=origin.port,
        path=origin.path.rstrip("/") + path,
        headers=((b"content-type", b"application/json"), *headers),
        allowed_networks=question.allowed_networks,
    )
    began = time.monotonic()
    response = await upstream.send(
        target,
        body,
        method=method,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        first_byte_timeout_s=FIRST_BYTE_TIMEOUT_S,
        idle_timeout_s=FIRST_BYTE_TIMEOUT_S,
    )
    ms = round((time.monotonic() - began) * 1000)
    if response.status != 200 or method != b"GET":
        # Nothing in it is told, so it is not read.
        response.abort()
        return _Answer(response.status, b"", ms)
    return _Answer(response.status, await response.read(BODY_BYTES_MAX), ms)


def read(question: Question, listed: _Answer, tried: _Answer) -> Result:
    """The result of two answers. Pure."""
    models = _models(listed) if listed.status == 200 else None
    findings = [Finding(Tone.OK, f"{question.name} answered in {duration(listed.ms)}.")]
    credential, said = _credential(question, listed.status, tried.status)
    findings.append(said)
    if credential in ("accepted", "not_needed"):
        findings += _limits(tried.status)
        findings += _told_models(question, models)
    return Result(True, credential, listed.ms, models, tuple(findings))


def _credential(question: Question, listed: int, tried: int) -> tuple[str, Finding]:
    if 300 <= tried < 400 or 300 <= listed < 400:
        text = "The address redirects elsewhere, which is not followed. Enter the final address."
        return "unknown", Finding(Tone.BAD, text)
    if tried >= 500:
        return "unknown", Finding(Tone.BAD, f"The provider itself fails at the moment ({tried}).")
    if question.secret is None and question.needs_secret:
        text = "It has no credential, so no call is sent there. Set one."
        return "missing", Finding(Tone.BAD, text)
    if tried in _REFUSED:
        if not question.secret:
            return "missing", Finding(Tone.BAD, f"It asks for a credential ({tried}). Set one.")
        text = f"The credential was refused ({tried}). Replace it, or check what it may do."
        return "refused", Finding(Tone.BAD, text)
    if tried in (404, 405) and listed != 200:
        text = f"There is no chat endpoint under this address ({tried}). Check its path, often /v1."
        return "unknown", Finding(Tone.BAD, text)
    if listed == tried == 400:
        # Google answers a wrong key so.
        text = "It refuses every request (400), as some providers do with a wrong credential."
        return "unknown", Finding(Tone.BAD, text)
    if tried not in _TAKEN:
        return "unknown", Finding(Tone.WARN, f"It answered {tried}, which says nothing here.")
    if not question.secret:
        return "not_needed", Finding(Tone.OK, "It asks for no credential.")
    return "accepted", Finding(Tone.OK, "The credential was accepted.")


def _limits(tried: int) -> list[Finding]:
    if tried == 429:
        return [Finding(Tone.WARN, "It limits the rate or the quota of this credential now (429).")]
    if tried == 402:
        return [Finding(Tone.BAD, "The account there has no credit (402).")]
    return []


def _told_models(question: Question, models: tuple[str, ...] | None) -> list[Finding]:
    if models is None:
        return [Finding(Tone.WARN, "It lists no models, so their names were not checked.")]
    count = f"{len(models):,}{'+' if len(models) == MODELS_MAX else ''}"
    said = [Finding(Tone.OK, f"It lists {count} model{'' if len(models) == 1 else 's'}.")]
    # Google lists models/gemini-… and takes both forms.
    known = {*models, *(name.removeprefix("models/") for name in models)}
    missing = [name for name in question.upstream_models if name not in known]
    if missing and len(models) < MODELS_MAX:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        said.append(Finding(Tone.WARN, f"Not in its list: {shown}. Calls to them may fail."))
    return said


def _models(listed: _Answer) -> tuple[str, ...] | None:
    """Names in a list of models, as far as they look like such."""
    try:
        found = orjson.loads(listed.body)["data"]
        names = [entry["id"] for entry in found[:MODELS_MAX]]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(n for n in names if isinstance(n, str) and _MODEL.fullmatch(n))


def _told(why: UpstreamError) -> str:
    if why.kind == "connect":
        return f"{why}. Check the address, and that its server runs."
    return f"{why}."


def _unreachable(text: str) -> Result:
    return Result(False, "unknown", None, None, (Finding(Tone.BAD, text),))
