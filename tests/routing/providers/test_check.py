"""A provider is tested by really calling it, and the result says in words what came of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest

from lib.netguard import Origin
from routing.providers.check import BODY_BYTES_MAX, Question, Result, check
from tests.catalog.sandbox_process import Server, server, shared  # noqa: F401  are fixtures

SECRET = "sk-canary-0123456789abcdef"
INSIDE = "the operator's private page"
LOOPBACK = (ip_network("127.0.0.0/8"),)


def ask(port: int, **more: Any) -> Result:
    """A check of what listens on a port of this machine."""
    given: dict[str, Any] = {
        "name": "Acme AI",
        "origin": Origin("http", "127.0.0.1", port, "/v1"),
        "wire": "openai",
        "auth": "bearer",
        "secret": SECRET,
        "needs_secret": True,
        "upstream_models": [],
        "allowed_networks": LOOPBACK,
    }
    return check(Question(**{**given, **more}))


def said(result: Result) -> str:
    return " ".join(f.text for f in result.findings)


@contextmanager
def answering(listed: tuple[int, bytes], tried: int) -> Iterator[int]:
    """The port of a provider that answers as told: its list of models, and the empty call."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*listed)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(tried, INSIDE.encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests say what is wrong."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def models(*names: object) -> tuple[int, bytes]:
    return 200, json.dumps({"data": [{"id": name} for name in names]}).encode()


def test_a_provider_that_works(server: Server) -> None:  # noqa: F811
    result = ask(server.port, upstream_models=["sandbox-fast", "never-was"])
    assert (result.reachable, result.credential, result.is_good) == (True, "accepted", True)
    assert result.models is not None
    assert "sandbox-fast" in result.models
    assert "The credential was accepted." in said(result)
    assert "Not in its list: never-was." in said(result)
    assert server.calls() == []


def test_the_other_wire(server: Server) -> None:  # noqa: F811
    result = ask(server.port, wire="anthropic", auth="x-api-key")
    assert result.credential == "accepted"
    assert result.models is not None
    assert all("claude" in name for name in result.models)


@pytest.mark.parametrize(
    ("listed", "tried", "credential", "words"),
    [
        ((401, b""), 401, "refused", "The credential was refused (401)."),
        (models("a"), 401, "refused", "The credential was refused (401)."),
        ((403, b""), 400, "accepted", "It lists no models"),
        ((404, b""), 422, "accepted", "It lists no models"),
        ((404, b""), 404, "unknown", "no chat endpoint under this address (404)"),
        ((400, b""), 400, "unknown", "as some providers do with a wrong credential"),
        ((301, b""), 301, "unknown", "redirects elsewhere"),
        ((200, b"<html>"), 503, "unknown", "fails at the moment (503)"),
        (models("a"), 429, "accepted", "limits the rate"),
        (models("a"), 402, "accepted", "no credit"),
        (models("a"), 418, "unknown", "418"),
        ((200, b"<html>"), 400, "accepted", "It lists no models"),
        ((200, b'{"data": 5}'), 400, "accepted", "It lists no models"),
    ],
)
def test_each_pair_of_answers_in_words(
    listed: tuple[int, bytes], tried: int, credential: str, words: str
) -> None:
    with answering(listed, tried) as port:
        result = ask(port)
    assert result.credential == credential
    assert words in said(result)
    assert SECRET not in repr(result)
    assert INSIDE not in repr(result)


def test_what_is_no_models_name_is_not_told() -> None:
    with answering(models("good-1", "<script>", "two words", 5, None, "x" * 200), 400) as port:
        assert ask(port).models == ("good-1",)


def test_a_list_that_never_ends_is_not_read() -> None:
    with answering((200, b"x" * (BODY_BYTES_MAX + 1)), 400) as port:
        assert not ask(port).reachable


def test_a_missing_credential() -> None:
    with answering(models("a"), 400) as port:
        assert ask(port, secret=None).credential == "missing"
        assert ask(port, secret=None, needs_secret=False).credential == "not_needed"
    with answering(models("a"), 401) as port:
        assert ask(port, secret=None, needs_secret=False).credential == "missing"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"allowed_networks": ()}, "leads to an address that is not public"),
        (
            {"origin": Origin("https", "localhost", 443, "/v1"), "allowed_networks": ()},
            "not public",
        ),
        ({"origin": Origin("http", "127.0.0.1", 9, "/v1")}, "cannot be reached"),
    ],
)
def test_what_may_not_or_cannot_be_reached(more: dict[str, Any], words: str) -> None:
    with answering(models("a"), 200) as port:
        result = ask(port, **more)
    assert not result.reachable
    assert words in said(result)
    assert result.models is None
