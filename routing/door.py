"""The ASGI door of /v1: reads a request, hands it to the gateway, sends the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from lib.errors import RouterError
from routing.gateway import Gateway
from routing.incoming import Incoming, Reply, refuse_stranger

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# A call that is answered sooner never pays for watching whether its client is still there.
WATCH_AFTER_S = 0.1
BODY_TIMEOUT_S = 60.0

# The paths of calls, with what they ask for.
CALLS = {b"/v1/chat/completions": "chat", b"/v1/embeddings": "embeddings"}
_MODELS = "/v1/models"


class Door:
    """Serves /v1."""

    def __init__(self, gateway: Gateway, *, body_bytes_max: int) -> None:
        self._gateway = gateway
        self._body_bytes_max = body_bytes_max
        self.open_calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        self.open_calls += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self.open_calls -= 1

    async def call(
        self, operation: str, headers: list[tuple[bytes, bytes]], body: bytes, client: str
    ) -> Reply:
        """The answer to a call that is here whole; ``operation`` is a value of ``CALLS``."""
        try:
            self.check_head(headers)
            self.check_size(len(body))
        except RouterError as refused:
            return self._gateway.turned_away(Incoming(headers, b"", client), refused)
        return await self._gateway.call(Incoming(headers, body, client), operation)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"][0] if scope.get("client") else ""
        try:
            handle = self._route(scope)
            body = await self._body(scope, receive)
        except RouterError as refused:
            sent = Incoming(scope["headers"], b"", client)
            await _send_reply(self._gateway.turned_away(sent, refused), send)
            return
        if body is None:
            return
        incoming = Incoming(scope["headers"], body, client)
        watch = _Watch(receive)
        try:
            reply = await handle(incoming)
            await _send_reply(reply, send)
        except asyncio.CancelledError:
            # The client left: nobody is there to answer.
            if not watch.client_left:
                raise
        finally:
            watch.end()

    def _route(self, scope: Scope) -> Callable[[Incoming], Awaitable[Reply]]:
        path, method = scope["path"], scope["method"]
        operation = CALLS.get(path.rstrip("/").encode())
        if operation is not None:
            _need(method, "POST", path)
            return lambda incoming: self._gateway.call(incoming, operation)
        if path.rstrip("/") == _MODELS:
            _need(method, "GET", path)
            return self._gateway.list_models
        if path.startswith(_MODELS + "/"):
            _need(method, "GET", path)
            return lambda incoming: self._gateway.show_model(incoming, path[len(_MODELS) + 1 :])
        raise unknown_url(method, path)

    def check_head(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raises ``RouterError`` when the headers announce a body that is not taken."""
        for name, value in headers:
            if name == b"content-length" and value.isdigit():
                self.check_size(int(value))
            elif name == b"content-encoding" and value != b"identity":
                raise RouterError(
                    415, "unsupported_encoding", "Send the body without content-encoding."
                )

    def check_size(self, size: int) -> None:
        """Raises ``RouterError`` for a body of more bytes than are taken."""
        if size > self._body_bytes_max:
            raise RouterError(
                413,
                "body_too_large",
                f"The body is larger than {self._body_bytes_max:,} bytes. "
                "Shorten it, or send large files by URL.",
            )

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None when the client left while sending it."""
        self.check_head(scope["headers"])
        event = await receive()
        body: bytes = event.get("body", b"")
        size = len(body)
        self.check_size(size)
        if not event.get("more_body"):
            return body if event["type"] == "http.request" else None
        # A stranger's body is not worth the memory, and nobody's is worth waiting for without end.
        refuse_stranger(scope["headers"])
        parts = [body]
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while event.get("more_body"):
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        return None
                    parts.append(event.get("body", b""))
                    size += len(parts[-1])
                    self.check_size(size)
        except TimeoutError:
            message = f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s. Send it again."
            raise RouterError(408, "body_timeout", message) from None
        return b"".join(parts)


class _Watch:
    """Cancels the running call when its client leaves."""

    def __init__(self, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        self._receive = receive
        self._caller = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(WATCH_AFTER_S, self._start)
        self.client_left = False

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        event = await self._receive()
        if event["type"] == "http.disconnect" and self._caller is not None:
            self.client_left = True
            self._caller.cancel()

    def end(self) -> None:
        """Stops watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


async def _send_reply(reply: Reply, send: Send) -> None:
    if reply.stream is None:
        length = (b"content-length", b"%d" % len(reply.body))
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*reply.headers, length],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})
        return
    async with aclosing(reply.stream) as stream:
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        )
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _need(method: str, wanted: str, path: str) -> None:
    if method != wanted:
        raise RouterError(405, "method_not_allowed", f"{path} takes {wanted}, not {method}.")


def unknown_url(method: str, path: str) -> RouterError:
    """The error for an address that the gateway does not have."""
    return RouterError(
        404,
        "unknown_url",
        f"There is no {method} {path[:200]}. There are POST /v1/chat/completions, "
        "POST /v1/embeddings and GET /v1/models.",
    )
