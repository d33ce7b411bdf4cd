"""The sandbox fails as it is told to, counts what it was asked, and ends when it should."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from catalog.sandbox import faults
from catalog.sandbox.exchange import Exchange
from catalog.sandbox.faults import Faults, Rule, Rules
from catalog.sandbox.ledger import CALLS_KEPT_MAX, Ledger
from catalog.sandbox.models import BY_NAME

from . import sandbox_process
from .sandbox_process import CHAT, EMBEDDINGS, KEYS, MESSAGES, ROOT, Answer, Server, running, user

shared = sandbox_process.shared
server = sandbox_process.server


def ask(server: Server, wire: str, **sandbox: Any) -> Answer:
    """A stream on either wire with these faults."""
    call = server.chat if wire == "openai" else server.message
    return call(stream=True, sandbox=sandbox)


@pytest.mark.parametrize("status", [400, 429, 500, 503, 529])
def test_a_status_is_answered_in_the_wires_shape(server: Server, status: int) -> None:
    wanted = {"status": status, "retry_after_s": 1.5, "latency_ms": 0}
    ours = server.chat(sandbox=wanted)
    assert (ours.status, set(ours.json["error"])) == (status, {"message", "type", "param", "code"})
    theirs = server.message(sandbox=wanted)
    assert (theirs.status, theirs.json["type"]) == (status, "error")
    kinds = {429: "rate_limit_error", 529: "overloaded_error", 400: "invalid_request_error"}
    assert theirs.json["error"]["type"] == kinds.get(status, "api_error")
    for answer in (ours, theirs):
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["retry-after-ms"] == "1500"


def test_faults_come_by_body_header_and_control(server: Server) -> None:
    body = {"model": "sandbox-fast", "messages": user("Hi")}
    assert server.post(CHAT, {**body, "sandbox": {"status": 503}}).status == 503
    assert server.post(CHAT, body, x_sandbox='{"status": 502}').status == 502
    rule = {"model": "sandbox-fast", "status": 501, "for_s": 30}
    assert server.call("POST", "/sandbox/faults", rule).json["faults"][0]["status"] == 501
    assert server.post(CHAT, body).status == 501
    assert server.post(CHAT, body, x_sandbox='{"status": 502}').status == 502
    both = server.post(CHAT, {**body, "sandbox": {"status": 503}}, x_sandbox='{"status": 502}')
    assert both.status == 503
    assert server.post(EMBEDDINGS, {"model": "sandbox-embed", "input": "x"}).status == 200
    assert server.call("DELETE", "/sandbox/faults").json == {"faults": []}
    assert server.post(CHAT, body).status == 200


def test_rules_end_and_the_models_own_goes_first() -> None:
    now = 100.0
    rules = Rules(lambda: now)
    rules.put(Rule(status=500, stall_ms=7, model="*"))
    rules.put(Rule(status=429, model="sandbox-fast", for_s=10))
    assert rules.of("sandbox-fast") == Faults(status=429, stall_ms=7)
    assert rules.of("sandbox-smart") == Faults(status=500, stall_ms=7)
    now = 110.0
    assert rules.of("sandbox-fast") == Faults(status=500, stall_ms=7)
    assert rules.clear("*") == 1
    assert rules.of("sandbox-fast") == faults.NONE


@pytest.mark.parametrize(
    ("asked", "model", "share"),
    [
        (Faults(), "sandbox-fast", 0.0),
        (Faults(), "sandbox-flaky", 0.2),
        (Faults(error_rate=0), "sandbox-flaky", 0.0),
        (Faults(error_rate=0.3), "sandbox-smart", 0.3),
        (Faults(error_rate=0.5, status=418), "sandbox-smart", 0.5),
        (Faults(status=418), "sandbox-smart", 1.0),
    ],
)
def test_the_share_of_failures(asked: Faults, model: str, share: float) -> None:
    rng = Random(4)
    drawn = [faults.failure(asked, BY_NAME[model], rng.random) for _ in range(4000)]
    failed = [error.status for error in drawn if error]
    assert len(failed) / 4000 == pytest.approx(share, abs=0.03)
    if failed:
        assert set(failed) == ({418} if asked.status else {500, 429, 503})


@pytest.mark.parametrize(
    ("sandbox", "field"),
    [
        ({"status": 200}, "status"),
        ({"status": "x"}, "status"),
        ({"error_rate": 1.1}, "error_rate"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"garbage": 1}, "garbage"),
        ({"tokens": 10**9}, "tokens"),
        ({"statu": 500}, "statu"),
    ],
)
def test_bad_faults_name_the_field(server: Server, sandbox: dict[str, Any], field: str) -> None:
    body = {"model": "sandbox-fast", "messages": user("Hi")}
    by_body = server.post(CHAT, {**body, "sandbox": sandbox})
    by_header = server.post(CHAT, body, x_sandbox=json.dumps(sandbox))
    by_control = server.call("POST", "/sandbox/faults", {"model": "*", **sandbox})
    params = ["sandbox." + field, "x-sandbox." + field, field]
    for answer, param in zip((by_body, by_header, by_control), params, strict=True):
        assert (answer.status, answer.json["error"]["param"]) == (400, param)
    assert server.post(MESSAGES, {**body, "max_tokens": 1, "sandbox": sandbox}).status == 400
    assert server.call("GET", "/sandbox/faults").json == {"faults": []}
    assert server.calls() == []


def test_a_rule_for_an_unknown_model_is_refused(server: Server) -> None:
    refused = server.call("POST", "/sandbox/faults", {"model": "gpt-9", "status": 500})
    assert (refused.status, refused.json["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("after", [0, 1, 4, 10_000])
def test_a_stream_is_cut(server: Server, wire: str, after: int) -> None:
    answer = ask(server, wire, cut_after_chunks=after)
    assert (answer.status, answer.cut) == (200, True)
    assert "[DONE]" not in answer.data
    assert all(event["type"] != "message_stop" for event in answer.events if "type" in event)
    if after < 10_000:
        assert len(answer.data) == after
    (call,) = server.calls()
    assert (call["status"], call["finished"]) == (200, False)


def test_a_plain_answer_is_cut(server: Server) -> None:
    answer = server.chat(sandbox={"cut_after_chunks": 1})
    assert (answer.status, answer.cut) == (200, True)
    assert answer.body.startswith(b"{")


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("sandbox", "before"), [({"inband_error": True}, 0), ({"error_after_chunks": 3}, 3)]
)
def test_an_error_inside_a_stream(
    server: Server, wire: str, sandbox: dict[str, Any], before: int
) -> None:
    answer = ask(server, wire, **sandbox)
    assert (answer.status, answer.cut, len(answer.data)) == (200, False, before + 1)
    assert answer.events[-1]["error"]["message"]
    assert (answer.body.count(b"event: error") == 1) is (wire == "anthropic")
    assert not server.calls()[0]["finished"]


def test_an_error_inside_a_plain_200(server: Server) -> None:
    answer = server.chat(sandbox={"inband_error": True, "status": 429})
    assert (answer.status, answer.json["error"]["code"]) == (200, "rate_limit_exceeded")


@pytest.mark.parametrize("stream", [True, False])
def test_garbage_is_not_json(server: Server, stream: bool) -> None:
    answer = server.chat(stream=stream, sandbox={"garbage": True})
    assert (answer.status, answer.cut) == (200, False)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(answer.data[0] if stream else answer.body)


def test_latency_and_stalls_take_their_time(server: Server) -> None:
    def seconds(**fields: Any) -> float:
        began = time.monotonic()
        server.chat(**fields)
        return time.monotonic() - began

    long = {"latency_ms": 0, "tokens": 400}
    assert seconds(sandbox=long) < 0.3
    assert 0.4 <= seconds(sandbox={"latency_ms": 400}) < 0.8
    assert 0.4 <= seconds(sandbox={"stall_ms": 400}) < 0.8
    assert 0.3 <= seconds(sandbox={"tokens": 10, "ms_per_token": 30}) < 0.7
    assert 0.27 <= seconds(stream=True, sandbox={"tokens": 10, "ms_per_token": 30}) < 0.7


def test_a_stream_stalls_where_it_is_told_to(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    wanted = {"latency_ms": 0, "stall_after_chunks": 2, "stall_ms": 400}
    body = {"model": "sandbox-fast", "stream": True, "messages": user("Hi"), "sandbox": wanted}
    connection.request("POST", CHAT, json.dumps(body), KEYS)
    response = connection.getresponse()
    at = []
    while line := response.readline():
        if line.startswith(b"data: "):
            at.append(time.monotonic())
    connection.close()
    assert at[1] - at[0] < 0.3
    assert at[2] - at[1] >= 0.35


def test_calls_are_counted_before_they_are_answered(server: Server) -> None:
    asked = {"stall_ms": 700}
    thread = threading.Thread(target=server.chat, kwargs={"sandbox": asked})
    thread.start()
    deadline = time.monotonic() + 1
    while not (seen := server.calls()) and time.monotonic() < deadline:
        time.sleep(0.02)
    thread.join()
    assert [call["finished"] for call in seen] == [False]
    assert [call["finished"] for call in server.calls()] == [True]


def test_calls_tell_what_was_asked(server: Server) -> None:
    body = {"model": "sandbox-fast", "messages": user("Hi"), "seed": 1}
    first = server.post(CHAT, body, x_client_request_id="call-1").json["usage"]
    server.chat(sandbox={"status": 500})
    server.post(EMBEDDINGS, {"model": "sandbox-embed", "input": "one two"})
    server.message(stream=True)
    calls = server.calls()
    assert calls[0] == {
        "n": 1,
        "request_id": "call-1",
        "model": "sandbox-fast",
        "status": 200,
        "stream": False,
        "finished": True,
        "input_tokens": first["prompt_tokens"],
        "output_tokens": first["completion_tokens"],
    }
    assert all(call["finished"] for call in calls)
    assert [(c["model"], c["status"], c["stream"]) for c in calls[1:]] == [
        ("sandbox-fast", 500, False),
        ("sandbox-embed", 200, False),
        ("sandbox-claude", 200, True),
    ]
    assert server.calls(since=3) == calls[3:]
    assert server.call("GET", "/sandbox/calls?since=x").status == 400
    assert server.call("POST", "/sandbox/reset").json == {"count": 0}
    assert server.calls() == []


def test_the_count_outlives_the_records() -> None:
    ledger = Ledger()
    for _ in range(CALLS_KEPT_MAX + 5):
        ledger.append("m", request_id=None, status=200, stream=False, input_tokens=1)
    kept = list(ledger.since(0))
    assert (ledger.count, len(kept), kept[0].n) == (CALLS_KEPT_MAX + 5, CALLS_KEPT_MAX, 6)
    assert [call.n for call in ledger.since(CALLS_KEPT_MAX + 3)] == [200_004, 200_005]
    assert list(ledger.since(10**9)) == []


def test_a_client_that_leaves_is_noticed(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    wanted = {"latency_ms": 0, "ms_per_token": 20, "tokens": 100_000}
    body = {"model": "sandbox-fast", "stream": True, "messages": user("Hi"), "sandbox": wanted}
    body["max_tokens"] = 16_000
    connection.request("POST", CHAT, json.dumps(body), KEYS)
    connection.getresponse().readline()
    connection.close()
    time.sleep(0.4)
    (before,) = server.calls()
    time.sleep(0.3)
    (after,) = server.calls()
    assert after == before
    assert not after["finished"]


async def test_a_long_pause_is_no_longer_than_the_client_waits() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        raise AssertionError("nothing is sent during a pause")

    scope = {"method": "POST", "path": CHAT, "query_string": b"", "headers": []}
    exchange = Exchange(scope, receive, send, sleep=asyncio.sleep, identity="0")
    await asyncio.wait_for(exchange.pause(60), timeout=2)
    assert exchange.is_gone


def test_sigterm_ends_it_cleanly_even_amid_a_stall() -> None:
    with running() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        wanted = {"latency_ms": 0, "stall_after_chunks": 1, "stall_ms": 60_000}
        body = {"model": "sandbox-fast", "stream": True, "messages": user("Hi")}
        connection.request("POST", CHAT, json.dumps({**body, "sandbox": wanted}), KEYS)
        connection.getresponse().readline()
        server.chat(sandbox={"cut_after_chunks": 1}, stream=True)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        _, said = server.process.communicate(timeout=5)
        connection.close()
        assert (server.process.returncode, said) == (0, "")
        assert time.monotonic() - began < 3


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "catalog.sandbox", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert done.stderr == (
        f"The sandbox cannot listen on 127.0.0.1:{port}: Address already in use.\n"
    )


def test_a_socket_is_handed_over_and_the_parent_is_followed() -> None:
    parent = (
        "import socket, subprocess, sys, time\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "c = subprocess.Popen([sys.executable, '-m', 'catalog.sandbox', '--parent-exit',"
        " '--fd', str(s.fileno())], pass_fds=[s.fileno()], stdout=subprocess.PIPE)\n"
        "c.stdout.readline()\n"
        "print(s.getsockname()[1], c.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port, pid = map(int, process.stdout.readline().split())
        assert Server(port, process).call("GET", "/health").status == 200
        process.kill()
    deadline = time.monotonic() + 5
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # One that has ended may still wait to be collected by whoever inherited it.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_it_is_light_and_stands_alone() -> None:
    with running() as server:
        status = Path(f"/proc/{server.process.pid}/status")
        if not status.exists():
            pytest.skip("no /proc here to read the memory from")
        line = next(one for one in status.read_text().split("\n") if one.startswith("VmRSS"))
        assert int(line.split()[1]) < 40 * 1024
    listing = (
        "import sys, catalog.sandbox.__main__\n"
        "roots = {name.split('.')[0] for name in sys.modules}\n"
        "print(roots & {'django', 'project', 'routing', 'preferences', 'analytics', 'tenancy',"
        " 'lib', 'celery', 'pydantic'}, 'catalog.models' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set() False\n"
