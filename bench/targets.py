"""What is measured: the upstream itself, the product, and other gateways described in a file."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import load, replies, system
from bench.product import Product
from bench.upstream import Upstream

READY_S = 120.0


@dataclass(slots=True)
class Target:
    """Something that answers the load. ``keys`` are the callers' keys; ``kinds`` what it can do."""

    name: str
    ports: Mapping[str, int]
    process: subprocess.Popen[bytes] | None = None
    product: Product | None = None
    path: str = replies.PATH
    model: str = "bench-{kind}"
    headers: Mapping[str, str] = field(default_factory=dict)
    upstreams: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """The processes on the gateway's core."""
        if self.product is not None:
            return self.product.web_pids()
        return system.tree(self.process.pid) if self.process is not None else []

    def freeze(self) -> None:
        """Keep it from doing anything while others are measured."""
        system.tell(self.pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        system.tell(self.pids(), signal.SIGCONT)

    def requests(self, kind: str) -> list[bytes]:
        """The requests of one kind, one per key."""
        body = replies.request_body(kind, self.model.replace("{kind}", kind), drop=self.drop)
        port = self.ports[kind]
        upstream = self.upstreams.get(kind, "")
        plain = {
            name: value.replace("{upstream}", upstream) for name, value in self.headers.items()
        }
        if not self.keys:
            return [load.http_request(port, self.path, plain, body)]
        return [
            load.http_request(port, self.path, {**plain, "Authorization": f"Bearer {key}"}, body)
            for key in self.keys
        ]

    def ask(self, kind: str) -> str:
        """Why it does not answer one call of this kind as the upstream would; empty if it does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[kind], timeout=15)
        head, _, body = self.requests(kind)[0].partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        try:
            connection.request("POST", self.path, body, {n: v for n, _, v in lines if n != "Host"})
            reply = connection.getresponse()
            return replies.check(kind, reply.status, reply.read().decode())
        except (OSError, http.client.HTTPException, ValueError) as why:
            return f"{type(why).__name__}: {why}"
        finally:
            connection.close()

    def check(self, kinds: set[str]) -> None:
        """Leave out, with the reason, the kinds that are not answered as the upstream does."""
        for kind in sorted(kinds):
            why = self.ask(kind)
            if why:
                self.refused[kind] = why

    def stop(self) -> None:
        """End it."""
        self.thaw()
        if self.product is not None:
            self.product.stop()
        elif self.process is not None:
            system.end(self.process)


def direct(upstream: Upstream) -> Target:
    """The same upstream, alone on the gateway's core."""
    return Target("direct", upstream.ports, upstream.process, headers={"Authorization": "Bearer x"})


def read_peers(path: Path) -> dict[str, dict[str, Any]]:
    """The gateways of a file, by name."""
    with path.open("rb") as file:
        return {name: dict(told) for name, told in tomllib.load(file).items()}


def start_peer(name: str, told: Mapping[str, Any], upstream: Upstream, folder: Path) -> Target:
    """Start a gateway as its entry says, and wait until it answers; raises with its last words."""
    folder.mkdir(parents=True)
    (port,) = system.free_ports(1)
    known = {"port": str(port), "folder": str(folder)}
    known |= {kind: upstream.urls[kind] for kind in replies.KINDS}

    def fill(text: str) -> str:
        filled = re.sub(r"\{(\w+)\}", lambda m: known.get(m[1], m[0]), text)
        return os.path.expandvars(filled)

    for file, content in told.get("files", {}).items():
        (folder / file).write_text(fill(content))
    env = {**os.environ, **{k: fill(v) for k, v in told.get("environment", {}).items()}}
    log_path = folder / "log"
    with log_path.open("ab") as log:
        process = system.spawn(
            [fill(word) for word in told["command"]],
            core=system.GATEWAY_CORE,
            log=log,
            env=env,
            cwd=folder,
        )
    target = Target(
        name,
        dict.fromkeys(replies.KINDS, port),
        process,
        path=told.get("path", replies.PATH),
        model=told.get("model", "bench-{kind}"),
        headers={"Authorization": "Bearer bench-caller-key", **told.get("headers", {})},
        upstreams=upstream.urls,
        drop=tuple(told.get("drop", ())),
    )
    give_up = time.monotonic() + float(told.get("ready_s", READY_S))
    why = "not asked yet"
    while why:
        if process.poll() is not None or time.monotonic() > give_up:
            system.end(process)
            raise RuntimeError(f"{name}: {why}: {log_path.read_text(errors='replace')[-800:]}")
        port_file = folder / "port"
        if port_file.exists() and (text := port_file.read_text().strip()):
            target.ports = dict.fromkeys(replies.KINDS, int(text))
        why = target.ask("json")
        time.sleep(0.1)
    return target
