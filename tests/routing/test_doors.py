"""The gateway's own door and Django's give the same answers to the same requests."""

from __future__ import annotations

from typing import Any

import pytest

from project.api import v1
from project.asgi import django_application
from routing import door
from tests.routing.gateway_house import CHAT, EMBEDDINGS, Answer, House, ask, firm, house, sandbox

__all__ = ["firm", "house", "sandbox"]
MODELS = "/v1/models"
HELLO: dict[str, Any] = {
    "model": "sandbox-fast",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 20,
}
# method, path, body, headers ("" takes one away)
REQUESTS: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "a chat": ("POST", CHAT, HELLO, {}),
    "a stream": ("POST", CHAT, HELLO | {"stream": True}, {}),
    "embeddings": ("POST", EMBEDDINGS, {"model": "sandbox-embed", "input": "Hello"}, {}),
    "models": ("GET", MODELS, None, {}),
    "a model": ("GET", f"{MODELS}/one/trio", None, {}),
    "an unknown model": ("GET", f"{MODELS}/nope", None, {}),
    "no JSON": ("POST", CHAT, b"{nope", {}),
    "no messages": ("POST", CHAT, {"model": "sandbox-fast"}, {}),
    "a chat with an unknown model": ("POST", CHAT, HELLO | {"model": "nope"}, {}),
    "no key": ("POST", CHAT, HELLO, {"authorization": ""}),
    "a key nobody knows": ("POST", CHAT, HELLO, {"authorization": "Bearer er_live_x"}),
    "an unknown header": ("POST", CHAT, HELLO, {"x-router-nope": "1"}),
    "a bad header": ("POST", CHAT, HELLO, {"x-router-max-latency-ms": "soon"}),
    "a provider that is not allowed": ("POST", CHAT, HELLO, {"x-router-providers": "openai"}),
    "over the maximum cost": ("POST", CHAT, HELLO, {"x-router-max-cost": "0.000001"}),
    "a body over the limit": ("POST", CHAT, b"x" * 200_001, {}),
    "a compressed body": ("POST", CHAT, HELLO, {"content-encoding": "gzip"}),
    "embeddings of a chat model": ("POST", EMBEDDINGS, {"model": "trio", "input": "a"}, {}),
    "a provider that fails": ("POST", CHAT, HELLO | {"model": "sandbox-smart"}, {}),
    "metadata": ("POST", CHAT, HELLO, {"x-router-metadata": '{"team":"Köln"}'}),
    "no such address": ("POST", "/v1/completions", HELLO, {}),
}
CHANGING = {"x-router-call-id", "x-router-overhead-ms", "date"}
# Django's own, which promise a client nothing about the gateway.
DJANGOS = {
    "x-frame-options",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "vary",
    "content-language",
    "allow",
    "content-security-policy",
    "permissions-policy",
    "strict-transport-security",
}


@pytest.fixture(autouse=True)
def _same_limit(settings: Any) -> None:
    settings.BODY_BYTES_MAX = 200_000


def shape(value: Any) -> Any:
    """The JSON without what differs from call to call."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def seen(answer: Answer) -> dict[str, Any]:
    """What both doors must agree on."""
    headers = {
        name.lower(): "…" if name.lower() in CHANGING else value
        for name, value in answer.headers.items()
        if name.lower() not in DJANGOS | {"content-length", "x-router-cost"}
    }
    told: dict[str, Any] = {"status": answer.status, "headers": headers}
    if headers.get("content-type", "").startswith("text/event-stream"):
        told["done"] = answer.data[-1]
        told["text"] = bool(answer.text)
        told["first"] = shape(answer.events[0])
    elif answer.status >= 400:
        told["error"] = answer.json
    else:
        told["body"] = shape(answer.json)
    return told


@pytest.mark.parametrize("name", REQUESTS)
async def test_both_doors_give_the_same_answer(house: House, name: str) -> None:
    method, path, body, headers = REQUESTS[name]
    await house.fault("sandbox-smart", status=503)
    both = []
    for application in (house.runtime.door, django_application):
        sent = {"content-type": "application/json", **house.firm.auth, **headers}
        sent = {n: v.encode().decode("latin-1") for n, v in sent.items() if v}
        both.append(seen(await ask(application, method, path, body, sent)))
    own, django = both
    assert django == own


async def test_a_failure_in_a_stream_is_told_at_both_doors(house: House) -> None:
    await house.fault("sandbox-fast", tokens=40, ms_per_token=10, cut_after_chunks=5)
    for application in (house.runtime.door, django_application):
        answer = await ask(
            application, "POST", CHAT, HELLO | {"stream": True}, dict(house.firm.auth)
        )
        assert answer.events[-1]["error"]["code"] == "upstream_cut"
        assert "[DONE]" not in answer.data
    assert [row["status"] for row in house.written()] == [502, 502]


async def test_a_client_that_leaves_djangos_door_is_written_down(house: House) -> None:
    await house.fault("sandbox-fast", tokens=400, ms_per_token=20)
    await ask(
        django_application,
        "POST",
        CHAT,
        HELLO | {"stream": True, "max_tokens": 400},
        dict(house.firm.auth),
        leave=lambda pieces: pieces >= 3,
    )
    assert (house.last["status"], house.last["error_code"]) == (499, "client_left")
    assert house.runtime.upstream._connections == set()


def test_every_operation_is_compared() -> None:
    """A new operation of either door belongs into the table above."""
    compared = {(m, p) for m, p, _, _ in REQUESTS.values() if m == "POST"}
    compared.discard(("POST", "/v1/completions"))
    described = {
        (method.upper(), "/v1" + path.removeprefix("/v1"))
        for path, methods in v1.get_openapi_schema()["paths"].items()
        for method in methods
        if method == "post"
    }
    served = {("POST", path.decode()) for path in door.CALLS}
    assert described == served == compared
