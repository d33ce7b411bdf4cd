"""Asking identity providers, whose addresses users gave: guarded like those of model providers.

1. Names are resolved here, and each address is judged before anything is sent to it, so a name
   that later points into the operator's network is refused as well. The check is made on every
   connection, so it holds for redirects too.
2. An answer has a size and a time that it may take.
"""

from __future__ import annotations

import socket
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from lib.netguard import address_refused

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 1024 * 1024
REDIRECTS_MAX = 3


def guarded_session() -> requests.Session:
    """A session that reaches public addresses and the operator's allowed networks alone."""
    session = _Session()
    session.trust_env = False
    session.max_redirects = REDIRECTS_MAX
    for scheme in ("https://", "http://"):
        session.mount(scheme, _GuardedAdapter())
    return session


class _Session(requests.Session):
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = TIMEOUT_S
        kwargs["stream"] = True
        response = super().request(*args, **kwargs)
        content = b""
        for chunk in response.iter_content(64 * 1024):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                response.close()
                raise requests.exceptions.ContentDecodingError("The answer is too long.")
        response._content = content
        return response


class _Guard(HTTPConnection):
    """Connects to an address that was judged, never to a name."""

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
        for *_, address in found:
            try:
                place = (str(address[0]), self.port)
                return create_connection(place, self.timeout, socket_options=self.socket_options)
            except OSError:
                continue
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
