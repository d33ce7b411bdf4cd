"""Asking identity providers, whose addresses users gave: guarded like those of model providers.

1. Names are resolved here, and each address is judged before anything is sent to it, so a name
   that later points into the operator's network is refused as well. The check is made on every
   connection, so it holds for redirects too.
2. An answer has a size and a time that it may take; a provider that sends a byte now and then is
   cut off as well. Outside a transaction nobody's connection to Postgres waits for it.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from lib.netguard import address_refused
from tenancy.scope import give_back

TIMEOUT_S = 5.0
ANSWERED_WITHIN_S = 10.0
ADDRESSES_MAX = 3
ANSWER_BYTES_MAX = 1024 * 1024
REDIRECTS_MAX = 3


def guarded_session() -> requests.Session:
    """A session that reaches public addresses and the operator's allowed networks alone."""
    session = _Session()
    session.trust_env = False
    # Each request has connections of its own, which end with it.
    session.headers["Connection"] = "close"
    session.max_redirects = REDIRECTS_MAX
    for scheme in ("https://", "http://"):
        session.mount(scheme, _GuardedAdapter())
    return session


class _Limit:
    """Ends every connection of a request when its time is over, whatever it waits for."""

    def __init__(self) -> None:
        self.is_over = False
        self._handles: list[socket.socket] = []
        self._timer = threading.Timer(ANSWERED_WITHIN_S, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def add(self, made: socket.socket) -> None:
        # TLS takes a socket over; a second handle ends the connection all the same.
        self._handles.append(made.dup())
        if self.is_over:
            self._cut()

    def end(self) -> None:
        self._timer.cancel()
        for handle in self._handles:
            handle.close()

    def _cut(self) -> None:
        self.is_over = True
        for handle in self._handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


_limit: ContextVar[_Limit] = ContextVar("limit")


class _Session(requests.Session):
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        # Others need it while this one waits.
        give_back()
        limit = _Limit()
        token = _limit.set(limit)
        try:
            return self._request(*args, **kwargs)
        finally:
            _limit.reset(token)
            limit.end()

    def _request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = TIMEOUT_S
        kwargs["stream"] = True
        response = super().request(*args, **kwargs)
        content = b""
        for chunk in response.iter_content(64 * 1024):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                response.close()
                raise requests.exceptions.ContentDecodingError("The answer is too long.")
        if _limit.get().is_over:
            raise requests.exceptions.ReadTimeout("The answer took too long.")
        response._content = content
        return response


class _Guard(HTTPConnection):
    """Connects to an address that was judged, never to a name, and not for long."""

    def _new_conn(self) -> socket.socket:
        plain = not isinstance(self, HTTPSConnection)
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            raise NewConnectionError(self, f"{self.host} has no address") from None
        for *_, address in found:
            if address_refused(str(address[0]), settings.PRIVATE_NETWORKS, plain=plain):
                # Which address it was stays unsaid: it would map the operator's network.
                told = f"{self.host} leads to an address that is not allowed"
                raise NewConnectionError(self, told)
        limit = _limit.get()
        for *_, address in found[:ADDRESSES_MAX]:
            if limit.is_over:
                break
            try:
                place = (str(address[0]), self.port)
                made = create_connection(place, self.timeout, socket_options=self.socket_options)
            except OSError:
                continue
            limit.add(made)
            return made
        raise NewConnectionError(self, f"{self.host} cannot be reached")


class _GuardedHttps(_Guard, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Guard


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHttps


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
