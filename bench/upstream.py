"""The upstream: fixed replies at one port per kind, from nginx or else from a server of our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from bench import replies, system

ROOT = Path(__file__).resolve().parent.parent


def nginx() -> str | None:
    """Where nginx is; the place that Debian puts it in is not on every user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_modules() -> str:
    """The folder of nginx's modules; empty when nginx, or what is needed of it, is not here."""
    program = nginx()
    if program is None:
        return ""
    told = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    place = re.search(r"--modules-path=(\S+)", told)
    if place is None or "stub_status" not in told:
        return ""
    return place[1] if (Path(place[1]) / "ngx_http_echo_module.so").exists() else ""


class Upstream:
    """A running upstream; ``urls`` says where each kind of reply is had."""

    def __init__(self, folder: Path, *, core: int) -> None:
        folder.mkdir(parents=True)
        *ports, self._status_port = system.free_ports(len(replies.KINDS) + 1)
        self.ports = dict(zip(replies.KINDS, ports, strict=True))
        self.urls = {kind: f"http://127.0.0.1:{port}/v1" for kind, port in self.ports.items()}
        modules = nginx_modules()
        self.is_nginx = bool(modules)
        self._asked = 0
        if modules:
            conf = folder / "nginx.conf"
            conf.write_text(_conf(folder, modules, self.ports, self._status_port))
            argv = [
                str(nginx()),
                "-p",
                str(folder),
                "-e",
                str(folder / "error.log"),
                "-c",
                str(conf),
            ]
        else:
            numbers = [str(port) for port in (*ports, self._status_port)]
            argv = [sys.executable, "-m", "bench.fixed_server", *numbers]
        with (folder / "log").open("ab") as log:
            self.process = system.spawn(argv, core=core, log=log, cwd=ROOT)
        system.wait_until(
            lambda: system.listens(self._status_port),
            timeout_s=20,
            what=f"the upstream did not listen ({folder / 'log'})",
        )

    def requests(self) -> int:
        """How many requests it has got so far, not counting these questions."""
        self._asked += 1
        with urllib.request.urlopen(f"http://127.0.0.1:{self._status_port}/", timeout=10) as reply:
            told = reply.read().decode()
        if not self.is_nginx:
            return int(told)
        return int(told.splitlines()[2].split()[2]) - self._asked

    def stop(self) -> None:
        """End it."""
        system.end(self.process)


def _conf(folder: Path, modules: str, ports: dict[str, int], status_port: int) -> str:
    burst = "\n".join(f"echo -n 'data: {event}\n\n'; echo_flush;" for event in replies.events())
    paced = f"echo_sleep {replies.PACE_S};\n".join(
        f"echo -n 'data: {event}\n\n'; echo_flush;\n" for event in replies.events()
    )
    what = {"json": f"return 200 '{replies.completion()}';", "stream": burst, "paced": paced}
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{port} backlog=4096; default_type {replies.MIME[kind]};\n"
        f"location = {replies.PATH} {{ {what[kind]} }} }}"
        for kind, port in ports.items()
    )
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
load_module {modules}/ngx_http_echo_module.so;
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
http {{
access_log off;
keepalive_timeout 1h;
keepalive_requests 1000000000;
{temporary}
{servers}
server {{ listen 127.0.0.1:{status_port}; keepalive_timeout 0; location / {{ stub_status; }} }}
}}
"""
