"""Server-sent events of one page: asked for every second, ended after ten minutes.

1. A view behind ``member_page`` hands over ``poll``, which says what is new; it runs in the
   organization's scope, once a second, only as long as its reader is signed in and a member.
2. Under ASGI the stream waits without a thread; each poll borrows one, and a connection, briefly.
   A server without an event loop (WSGI, as in tests) gets the same events from a thread of its own,
   which learns that its reader left by writing alone: it writes a comment after each poll.
3. Every 15 seconds without an event a comment keeps proxies from closing the connection; after
   ten minutes, or once ``poll`` finds it, ``done`` tells the page to ask again only if somebody
   still looks.
4. One person has a handful of streams in a process; more are answered with 204, after which a
   browser asks no more. Each costs a look at Postgres a second, which all pages share.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from tenancy.pages import MemberRequest, memberships_of
from tenancy.scope import give_back, tenant_scope
from tenancy.ways_in import detour

POLL_S = 1.0
COMMENT_S = 15.0
STREAM_S = 600.0
STREAMS_PER_USER_MAX = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One event: ``name`` is what the page listens for, ``id`` where it goes on after a break."""

    name: str
    data: str
    id: str = ""

    def encode(self) -> bytes:
        """The event as bytes of the stream; no line of the data can begin another field."""
        lines = [f"event: {self.name}"]
        if self.id:
            lines.append(f"id: {self.id}")
        lines += [f"data: {line}" for line in self.data.splitlines() or [""]]
        return ("\n".join(lines) + "\n\n").encode()


DONE = Event("done", "")
Poll = Callable[[], Sequence[Event]]


_open: Counter[UUID] = Counter()


@contextmanager
def seat(user_id: UUID) -> Iterator[None]:
    """Counts a stream of a person while it runs."""
    _open[user_id] += 1
    try:
        yield
    finally:
        _open[user_id] -= 1
        if not _open[user_id]:
            del _open[user_id]


def has_seat(user_id: UUID) -> bool:
    """Whether this process serves the person one more stream."""
    return _open[user_id] < STREAMS_PER_USER_MAX


def event_stream(request: MemberRequest, poll: Poll) -> HttpResponseBase:
    """The response that tells a page what ``poll`` finds, until it closes or ten minutes pass."""
    if not has_seat(request.member.user.id):
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    events = _Events(request, poll)
    content = events.later() if isinstance(request, ASGIRequest) else events.now()
    response = StreamingHttpResponse(content, content_type="text/event-stream; charset=utf-8")
    # Compressed events arrive when the buffer is full, which is never; proxies gather them too.
    response["Content-Encoding"] = "identity"
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    return response


class _Events:
    """What is sent to one reader, and when."""

    def __init__(self, request: MemberRequest, poll: Poll) -> None:
        self._request = request
        self._poll = poll
        self._end = time.monotonic() + STREAM_S
        self._said = time.monotonic()
        self._is_over = False

    async def later(self) -> AsyncIterator[bytes]:
        """For an event loop."""
        with seat(self._request.member.user.id):
            async for piece in self._later():
                yield piece

    async def _later(self) -> AsyncIterator[bytes]:
        # The view asked in this request's own thread, whose connection would stay taken.
        await sync_to_async(give_back)()
        look = sync_to_async(self._look, thread_sensitive=False)
        yield b": open\n\n"
        while (piece := await look()) is not None:
            if piece:
                yield piece
            if self._is_over:
                return
            await asyncio.sleep(POLL_S)
        yield DONE.encode()

    def now(self) -> Iterator[bytes]:
        """For a server that gives each connection a thread."""
        with seat(self._request.member.user.id):
            yield from self._now()

    def _now(self) -> Iterator[bytes]:
        yield b": open\n\n"
        while (piece := self._look()) is not None:
            yield piece or b":\n\n"
            if self._is_over:
                return
            time.sleep(POLL_S)
        yield DONE.encode()

    def _look(self) -> bytes | None:
        """What to send now, perhaps nothing; None when the stream is to end."""
        now = time.monotonic()
        if now >= self._end:
            return None
        member = self._request.member
        try:
            if not self._may_read():
                return None
            with timezone.override(member.zone()), tenant_scope(member.organization_id):
                events = self._poll()
        finally:
            give_back()
        if events:
            self._said = now
            self._is_over = DONE in events
            return b"".join(event.encode() for event in events)
        if now - self._said >= COMMENT_S:
            self._said = now
            return b": still here\n\n"
        return b""

    def _may_read(self) -> bool:
        """Whether the reader is still signed in, a member, and let onto pages."""
        member, session = self._request.member, self._request.session
        if not session.session_key or not session.exists(session.session_key):
            return False
        own = [
            m for m in memberships_of(member.user) if m.organization_id == member.organization_id
        ]
        return bool(own) and detour(self._request, own[0], back_to="") is None
