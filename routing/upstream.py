"""The only code that calls providers: HTTP/1.1 with keep-alive, bounds and timeouts.

1. `Upstream.send` takes the youngest free connection to the target's origin or dials one.
2. It returns with the head of the answer; the body is read from the `Response`.
3. A whole body puts the connection back; `SWEEP_S` after `SWEEP_S` one timer for all
   connections ends the calls and the idle connections whose time is over.

There are no redirects, no proxies, no cookies, no environment variables, and one retry only:
on a kept connection that turns out to be closed, before anything was answered.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from routing.dialer import Dialer, Resolve
from routing.http1 import SWEEP_S, Connection, Limits
from routing.response import Response, UpstreamError

__all__ = ["Limits", "Response", "Target", "Upstream", "UpstreamError"]

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[\x20-\x7e\x80-\xff\t]*")
_OWN_FIELDS = {b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a deployment's calls go, made when the snapshot is compiled.

    `path` is the full path with its query. `headers` are sent as they are (credentials, fixed
    headers, content type); host, length, connection and encoding are set here. A private address
    is called only inside `allowed_networks`. Raises ValueError for what cannot be sent safely.
    """

    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    # Connections are shared by what is equal here; permissions are part of it.
    origin: str = field(init=False, repr=False, compare=False)
    # The request after its method and before its variable headers.
    head: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.scheme not in {"http", "https"}:
            raise ValueError(f'Scheme "{self.scheme}" is neither http nor https')
        if not _HOST.fullmatch(self.host):
            raise ValueError(
                f'"{self.host}" is not a host name; write an international name as xn--'
            )
        if not 0 < self.port < 65_536:
            raise ValueError(f"{self.port} is not a port")
        if not _PATH.fullmatch(self.path):
            raise ValueError("The path must begin with / and hold only printable ASCII")
        networks = ",".join(str(network) for network in self.allowed_networks)
        origin = f"{self.scheme}://{self.host}:{self.port} {networks}"
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "head", self._make_head())

    def _make_head(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port != (443 if self.scheme == "https" else 80):
            host = f"{host}:{self.port}"
        lines = [f" {self.path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity".encode()]
        names = {name.lower() for name, _ in self.headers}
        if b"user-agent" not in names:
            lines.append(b"user-agent: enterprise-router")
        for name, value in self.headers:
            if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"Header {name!r} cannot be sent")
            if name.lower() in _OWN_FIELDS:
                raise ValueError(f"Header {name!r} is set by the router itself")
            lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n"


class _Pool:
    """The connections of one origin: free ones, youngest last, and how many there are."""

    __slots__ = ("free", "taken_or_free")

    def __init__(self) -> None:
        self.free: list[Connection] = []
        self.taken_or_free = 0


class Upstream:
    """Calls providers over connections that are kept; one for each process, on one loop."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.now = 0.0
        self._limits = limits or Limits()
        self._dialer = Dialer(limits=self._limits, resolve=resolve, ssl_context=ssl_context)
        self._pools: dict[str, _Pool] = {}
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(
        self,
        target: Target,
        body: bytes,
        *,
        extra_headers: bytes = b"",
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 60.0,
        idle_timeout_s: float = 60.0,
        method: bytes = b"POST",
    ) -> Response:
        """Send a request and return when the head of the answer is here, whatever its status.

        `extra_headers` are whole lines, each with its line end. Raises UpstreamError.
        """
        if extra_headers and (not extra_headers.endswith(b"\r\n") or b"\r\n\r\n" in extra_headers):
            raise ValueError("extra_headers must be whole lines and no empty one")
        if body or method == b"POST":
            head = b"%b%b%bcontent-length: %d\r\n\r\n" % (
                method,
                target.head,
                extra_headers,
                len(body),
            )
        else:
            head = b"%b%b%b\r\n" % (method, target.head, extra_headers)
        connection = self._free(target.origin)
        if connection is None:
            connection = await self._dial(target, timeout_s=connect_timeout_s)
        while True:
            is_used = connection.is_used
            response = connection.start(
                head,
                body,
                first_byte_timeout_s=first_byte_timeout_s,
                idle_timeout_s=idle_timeout_s,
            )
            try:
                await response.head()
            except UpstreamError as error:
                if not (is_used and error.kind == "reset" and connection.was_stale):
                    raise
            else:
                return response
            # A fresh one, which is never stale: this loop turns twice at most.
            connection = await self._dial(target, timeout_s=connect_timeout_s)

    def warm(self) -> None:
        """Make now what the first connection would wait for."""
        self._dialer.warm()

    async def close(self) -> None:
        """Close every connection at once; calls that still run fail with "reset"."""
        for connection in list(self._connections):
            connection.fail("The router is shutting down", kind="reset")
        self._dialer.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await asyncio.sleep(0)  # sockets are closed by the loop's next turn

    # What connections call.

    def rest(self, connection: Connection) -> None:
        """Keep a connection that is free again."""
        connection.deadline = self.now + self._limits.keepalive_s
        self._pools[connection.origin].free.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        if connection not in self._connections:
            return  # lost while it was being dialled, where it is counted
        self._connections.remove(connection)
        pool = self._pools[connection.origin]
        if connection in pool.free:
            pool.free.remove(connection)
        self._leave(connection.origin)

    def _free(self, origin: str) -> Connection | None:
        pool = self._pools.get(origin)
        if pool is None:
            return None
        while pool.free:
            connection = pool.free.pop()
            if connection.is_open:
                return connection
        return None

    async def _dial(self, target: Target, *, timeout_s: float) -> Connection:
        origin = target.origin
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool()
        name = f"{target.host}:{target.port}"
        if pool.taken_or_free >= self._limits.connections_max:
            raise UpstreamError(
                f"All {self._limits.connections_max:,} connections to {name} are in use",
                kind="busy",
                phase="connect",
                sent=False,
            )
        pool.taken_or_free += 1
        is_open = False
        try:
            connection = await self._dialer.dial(
                lambda: Connection(home=self, limits=self._limits, origin=origin, name=name),
                host=target.host,
                port=target.port,
                is_tls=target.scheme == "https",
                allowed=target.allowed_networks,
                timeout_s=timeout_s,
            )
            is_open = connection.is_open
        finally:
            if not is_open:
                self._leave(origin)
        if not is_open:
            raise UpstreamError(
                f"{name} closed the connection", kind="reset", phase="connect", sent=False
            )
        self._connections.add(connection)
        if self._sweeper is None:
            self._sweep()
        return connection

    def _leave(self, origin: str) -> None:
        pool = self._pools[origin]
        pool.taken_or_free -= 1
        if not pool.taken_or_free:
            del self._pools[origin]

    def _sweep(self) -> None:
        """End what is late; runs for as long as there are connections."""
        loop = asyncio.get_running_loop()
        self.now = now = loop.time()
        for connection in [one for one in self._connections if one.deadline < now]:
            connection.expire()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep) if self._connections else None
