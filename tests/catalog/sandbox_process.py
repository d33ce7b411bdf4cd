"""A running sandbox and plain HTTP calls to it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
PROTOCOL = ROOT.parent / "shared" / "data" / "protocol"
AT_ONCE = {"x-sandbox": '{"latency_ms": 0}'}  # for clients that set their own body
KEYS = {"authorization": "Bearer test", "x-api-key": "test"}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 3},
        "unit": {"enum": ["celsius", "kelvin"]},
        "note": {"type": "string"},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``cut`` if the connection closed before the promised end."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each event."""
        lines = self.body.decode().split("\n")
        return [line[6:] for line in lines if line.startswith("data: ")]

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def text(self) -> str:
        """What the first choice says, streamed or not, on either wire."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            if "content" in self.json:
                return "".join(block["text"] for block in self.json["content"])
            return self.json["choices"][0]["message"]["content"]
        deltas = [(event.get("choices") or [event])[0].get("delta") or {} for event in self.events]
        return "".join(delta.get("content") or delta.get("text") or "" for delta in deltas)


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox in a process of its own."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Any request; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, raw, named)
            response = connection.getresponse()
            try:
                got, cut = response.read(), False
            except http.client.IncompleteRead as error:
                got, cut = error.partial, True
            return Answer(response.status, dict(response.getheaders()), got, cut)
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """A call to a paid endpoint with both keys."""
        return self.call("POST", path, body, **KEYS, **headers)

    def chat(self, text: str = "Hello", **fields: Any) -> Answer:
        """A chat on sandbox-fast that takes no time, unless told otherwise."""
        fields = {"model": "sandbox-fast", "sandbox": {}, **fields}
        fields["sandbox"] = {"latency_ms": 0, **fields["sandbox"]}
        return self.post(CHAT, {"messages": [{"role": "user", "content": text}], **fields})

    def message(self, text: str = "Hello", **fields: Any) -> Answer:
        """The same on Anthropic's wire."""
        fields = {"model": "sandbox-claude", "max_tokens": 500, "sandbox": {}, **fields}
        fields["sandbox"] = {"latency_ms": 0, **fields["sandbox"]}
        return self.post(MESSAGES, {"messages": [{"role": "user", "content": text}], **fields})

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """The sandbox's own list of calls."""
        return self.call("GET", f"/sandbox/calls?since={since}").json["calls"]


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """A sandbox on a free port, ended by SIGTERM."""
    command = [sys.executable, "-m", "catalog.sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield Server(int(line.rsplit(":", 1)[1].split("/")[0]), process)
        finally:
            process.terminate()
            process.wait(timeout=5)


def user(text: Any) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """One process for all tests of a file."""
    with running() as started:
        yield started


@pytest.fixture
def server(shared: Server) -> Server:
    """The shared process, with nothing left of earlier tests."""
    shared.call("POST", "/sandbox/reset")
    return shared
