"""Two upstreams that were not written here, each run as a process: llama.cpp and aimock."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
WEATHER = {"city": "Oslo", "unit": "celsius"}
SAYS = "Two rivers meet below the old bridge, and the water keeps both colours for a while."
VECTOR = [0.25, -0.5, 0.125, 1.0]
# What aimock answers, by what the user says last.
ANSWERS: list[dict[str, Any]] = [
    {
        "match": {"userMessage": "rivers"},
        "response": {
            "content": SAYS,
            "usage": {"prompt_tokens": 21, "completion_tokens": 17, "total_tokens": 38},
        },
    },
    {
        "match": {"toolCallId": "call_weather", "endpoint": "chat"},
        "response": {"content": "It is 4 degrees in Oslo."},
    },
    {
        "match": {"userMessage": "weather"},
        "response": {
            "toolCalls": [
                {"id": "call_weather", "name": "get_weather", "arguments": json.dumps(WEATHER)}
            ]
        },
    },
    {
        "match": {"userMessage": "too many"},
        "response": {
            "error": {"message": "Slow down.", "type": "rate_limit_error", "code": "rate_limit"},
            "status": 429,
        },
    },
    {
        "match": {"userMessage": "bad argument"},
        "response": {
            "error": {
                "message": "temperature is out of range.",
                "type": "invalid_request_error",
                "param": "temperature",
                "code": "invalid_value",
            },
            "status": 400,
        },
    },
    {"match": {"inputText": "two rivers"}, "response": {"embedding": VECTOR}},
]


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(
    argv: Sequence[str],
    log_path: Path,
    *,
    is_ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process while the block runs; fails with its last words when it does not get ready."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        give_up = time.monotonic() + START_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"{argv[:3]} did not start: {log_path.read_text()[-1500:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> Callable[[], bool]:
    """Whether somebody answers 200 there."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return ask


@contextmanager
def llama(folder: Path, *, embeddings: bool) -> Iterator[str]:
    """llama.cpp's server with a random model; gives its base URL. Skips without the wheels."""
    for name in ("xllamacpp", "gguf"):
        pytest.importorskip(name)
    from tests.e2e.tiny_model import write_model

    model = folder / "tiny.gguf"
    if not model.exists():
        write_model(model)
    port = free_port()
    argv = [sys.executable, "-m", "tests.e2e.tiny_model", str(model), str(port)]
    argv += ["--embeddings"] if embeddings else []
    log = folder / f"llama-{port}.log"
    with running(argv, log, is_ready=answers(f"http://127.0.0.1:{port}/v1/models")):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def aimock(folder: Path) -> Iterator[str]:
    """aimock with ANSWERS; gives its base URL. Skips without node or the package."""
    node, modules = node_with("@copilotkit/aimock")
    answers_path = folder / "answers.json"
    answers_path.write_text(json.dumps({"fixtures": ANSWERS}))
    port = free_port()
    cli = modules / "@copilotkit" / "aimock" / "dist" / "cli.js"
    argv = [node, str(cli), "--port", str(port), "--fixtures", str(answers_path), "--strict"]
    with running(
        argv, folder / "aimock.log", is_ready=answers(f"http://127.0.0.1:{port}/v1/models")
    ):
        yield f"http://127.0.0.1:{port}/v1"


def asked_of_aimock(base_url: str) -> list[dict[str, Any]]:
    """Every request that it got, the oldest first."""
    address = base_url.removesuffix("/v1") + "/__aimock/journal"
    with urllib.request.urlopen(address, timeout=5) as reply:
        told = json.load(reply)
    return list(told if isinstance(told, list) else told["entries"])


def node_with(package: str) -> tuple[str, Path]:
    """Node and the folder of modules that has the package; skips by name when either is absent."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    places = [Path(place) for place in os.environ.get("NODE_PATH", "").split(":") if place]
    for modules in [*places, ROOT / "var" / "node" / "node_modules"]:
        if (modules / package).exists():
            return node, modules
    pytest.skip(f"the npm package {package} is not installed")
