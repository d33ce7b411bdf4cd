"""Opens sockets to providers, and only to addresses that this installation may call.

1. All addresses of a name are looked up once and kept for a short while.
2. Every one of them must be allowed: one that is not refuses the name, so that a mixed answer
   is no lottery. Without TLS they must lie in the private networks that the operator allowed.
3. The socket goes to one of the checked addresses, never to the name again (a second look-up
   might differ), and its peer is compared with it before anything is sent.
4. TLS, if any, proves the name.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from lib.netguard import address_refused
from routing.http1 import Connection, Limits
from routing.response import Kind, UpstreamError

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Of a name with many addresses the first few are tried, each with its share of the time.
ADDRESSES_TRIED_MAX = 4
# Look-ups that hang must not take the threads which the rest of the process works with.
RESOLVER_THREADS = 16
NAMES_KEPT_MAX = 10_000


class Dialer:
    """Looks names up, checks addresses, connects."""

    def __init__(
        self, *, limits: Limits, resolve: Resolve | None, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._limits = limits
        self._resolve = resolve or self._resolve_in_thread
        self._ssl_context = ssl_context
        self._threads: ThreadPoolExecutor | None = None
        # Addresses, or why there are none, and until when that holds on the loop's clock.
        self._known: dict[str, tuple[float, tuple[Address, ...] | str]] = {}
        self._lookups: dict[str, asyncio.Task[tuple[Address, ...] | str]] = {}

    async def dial(
        self,
        make: Callable[[], Connection],
        *,
        host: str,
        port: int,
        is_tls: bool,
        allowed: Networks,
        timeout_s: float,
    ) -> Connection:
        """Return a connected `Connection`. Raises UpstreamError with phase "connect"."""
        name = f"{host}:{port}"
        try:
            async with asyncio.timeout(timeout_s):
                context = self._tls() if is_tls else None
                addresses = await self._checked(host, port, allowed=allowed, is_tls=is_tls)
                sock = await _connect(addresses[:ADDRESSES_TRIED_MAX], port, timeout_s=timeout_s)
                server = host.rstrip(".") if is_tls else None
                _, connection = await asyncio.get_running_loop().create_connection(
                    make, sock=sock, ssl=context, server_hostname=server
                )
                return connection
        except TimeoutError:
            raise _unconnected(f"{name} did not take a connection in time", "timeout") from None
        except ssl.SSLCertVerificationError as error:
            message = f"{name} has no valid certificate: {error.verify_message}"
            raise _unconnected(message, "tls") from None
        except ssl.SSLError as error:
            raise _unconnected(f"{name} refused TLS: {error.reason}", "tls") from None
        except OSError as error:
            # Not its own text: that is Python's, and names the address.
            reason = os.strerror(error.errno).lower() if error.errno else "no connection"
            raise _unconnected(f"{name} cannot be reached: {reason}", "connect") from None

    def close(self) -> None:
        """Forget all names and stop the threads."""
        for lookup in self._lookups.values():
            lookup.cancel()
        self._known.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _checked(
        self, host: str, port: int, *, allowed: Networks, is_tls: bool
    ) -> tuple[Address, ...]:
        addresses = await self._lookup(host, port)
        if isinstance(addresses, str):
            raise _unconnected(addresses, "dns")
        # The messages do not name the address: they would be a map of the operator's network.
        for address in addresses:
            if address_refused(address, allowed) is not None:
                message = (
                    f"{host} leads to an address that is not public. "
                    "The operator can allow private networks in PRIVATE_NETWORKS."
                )
                raise _unconnected(message, "forbidden_address")
            if not is_tls and not _is_in(address, allowed):
                message = f"{host} is public, and plain http is for allowed private networks only"
                raise _unconnected(message, "forbidden_address")
        return addresses

    async def _lookup(self, host: str, port: int) -> tuple[Address, ...] | str:
        loop = asyncio.get_running_loop()
        known = self._known.get(host)
        if known is not None and loop.time() < known[0]:
            return known[1]
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = loop.create_task(self._ask(host, port))
            self._lookups[host] = lookup
        # Shielded: others wait for the same answer when this caller gives up.
        return await asyncio.shield(lookup)

    async def _ask(self, host: str, port: int) -> tuple[Address, ...] | str:
        found: tuple[Address, ...] | str
        try:
            answers = await self._resolve(host, port)
            found = tuple(dict.fromkeys(ip_address(answer) for answer in answers))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "the name is not valid"
            found = f"{host} has no address: {reason}"
        finally:
            self._lookups.pop(host, None)
        if not found:
            found = f"{host} has no address"
        keep_s = self._limits.unresolved_s if isinstance(found, str) else self._limits.resolved_s
        if len(self._known) >= NAMES_KEPT_MAX:
            self._known.clear()
        self._known[host] = (asyncio.get_running_loop().time() + keep_s, found)
        return found

    async def _resolve_in_thread(self, host: str, port: int) -> Sequence[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def warm(self) -> None:
        """Reads the trusted certificates, which takes some 20 ms, before a call needs them."""
        self._tls()

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


def _is_in(address: Address, networks: Networks) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address.version == one.version and address in one for one in networks)


async def _connect(addresses: tuple[Address, ...], port: int, *, timeout_s: float) -> socket.socket:
    """Return a socket that is connected to the first address which takes it."""
    for number, address in enumerate(addresses, start=1):
        is_last = number == len(addresses)
        try:
            async with asyncio.timeout(None if is_last else timeout_s / len(addresses)):
                return await _connect_one(address, port)
        except OSError:  # a timeout is one, too
            if is_last:
                raise
    raise AssertionError("a name without addresses got this far")


async def _connect_one(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A model may think for minutes; a dead peer should be noticed meanwhile.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        _check_peer(sock, address)
    except (OSError, asyncio.CancelledError):
        sock.close()
        raise
    return sock


def _check_peer(sock: socket.socket, address: Address) -> None:
    peer = ip_address(sock.getpeername()[0])
    if peer != address:
        raise OSError(f"connected to {peer} instead of {address}")


def _unconnected(message: str, kind: Kind) -> UpstreamError:
    return UpstreamError(message, kind=kind, phase="connect", sent=False)
