"""A load generator on one epoll: closed loop (each connection asks again) or open loop (a clock).

In the open loop a request leaves when it is due, whether or not earlier ones came back, and its
latency counts from that moment: whoever stalls pays for everything that waited behind the stall.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

GRACE_S = 10.0
CONNECTIONS_MAX = 512
_READ_BYTES = 1 << 18
_TURNING_S = 0.0001


@dataclass(slots=True)
class Load:
    """What one load gave; latencies in microseconds."""

    answered: int = 0
    seconds: float = 0.0
    p50_us: float | None = None
    p99_us: float | None = None
    errors: dict[str, int] = field(default_factory=dict)

    def fail(self, why: str, count: int = 1) -> None:
        """Count something that went wrong; nothing is counted when it never did."""
        if count:
            self.errors[why] = self.errors.get(why, 0) + count


class _Connection:
    """One connection; ``took`` says when a whole answer is there."""

    __slots__ = ("_body_end", "_chunked", "_head", "_size", "_tail", "due_ns", "socket", "status")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask_at(0)

    def ask_at(self, due_ns: int) -> None:
        """Get ready for another answer."""
        self.due_ns = due_ns
        self.status = 0
        self._head = self._tail = b""
        self._size = 0
        self._body_end = -1
        self._chunked = False

    def takes(self, data: bytes) -> bool:
        """Whether the answer is complete with this."""
        self._size += len(data)
        self._tail = (self._tail + data)[-5:]
        if not self.status:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self._head[:end].lower()
            self.status = int(head[9:12])
            at = head.find(b"content-length:")
            if at >= 0:
                self._body_end = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            self._chunked = b"transfer-encoding: chunked" in head
        if self._chunked:
            return self._tail == b"0\r\n\r\n"
        return self._body_end >= 0 and self._size >= self._body_end


class Client:
    """Sends the given requests in turn to a loopback port."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port = port
        self._requests = requests
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._times_ns: list[int] = []
        self._next = 0
        self._open = 0
        self._load = Load()

    def closed(self, connections: int, seconds: float) -> Load:
        """Each connection asks again as soon as it is answered."""
        start_ns = time.monotonic_ns()
        end_ns = start_ns + int(seconds * 1e9)
        for _ in range(connections):
            self._launch(time.monotonic_ns())
        give_up_ns = end_ns + int(GRACE_S * 1e9)
        while self._open and (now_ns := time.monotonic_ns()) < give_up_ns:
            for connection in self._answered(0.5):
                self._idle.append(connection)
            while self._idle and now_ns < end_ns:
                self._launch(time.monotonic_ns())
            if not self._open and now_ns < end_ns:  # all were closed on us: go on with new ones
                time.sleep(0.01)
                for _ in range(connections):
                    self._launch(time.monotonic_ns())
        return self._result(start_ns)

    def each_once(self, connections: int) -> Load:
        """Every request is sent once, ``connections`` at a time."""
        start_ns = time.monotonic_ns()
        while self._open or self._next < len(self._requests):
            while self._open < connections and self._next < len(self._requests):
                self._launch(time.monotonic_ns())
            self._idle += self._answered(0.5)
        return self._result(start_ns)

    def paced(self, per_second: float, seconds: float) -> Load:
        """Requests leave on a clock; latency counts from when each was due."""
        gap_ns = int(1e9 / per_second)
        total = int(per_second * seconds)
        start_ns = time.monotonic_ns() + 20_000_000
        give_up_ns = start_ns + int((seconds + GRACE_S) * 1e9)
        waiting: deque[int] = deque()
        sent = 0
        while (sent < total or self._open or waiting) and time.monotonic_ns() < give_up_ns:
            due_ns = start_ns + sent * gap_ns
            wait_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9) if sent < total else 0.5
            for connection in self._answered(wait_s):
                self._idle.append(connection)
            while sent < total and start_ns + sent * gap_ns <= time.monotonic_ns():
                waiting.append(start_ns + sent * gap_ns)
                sent += 1
            while waiting and (self._idle or len(self._connections) < CONNECTIONS_MAX):
                self._launch(waiting.popleft())
        self._load.fail("never sent", len(waiting) + total - sent)
        return self._result(start_ns)

    def _launch(self, due_ns: int) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        try:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = _Connection(self._port)
                self._connections[connection.socket.fileno()] = connection
                self._poll.register(connection.socket, select.EPOLLIN)
            connection.ask_at(due_ns)
            connection.socket.sendall(request)
            self._open += 1
        except OSError as why:
            self._load.fail(f"not sent: {type(why).__name__}")

    def _answered(self, wait_s: float) -> list[_Connection]:
        """Wait for answers; the connections that have got theirs."""
        done = []
        # epoll counts in milliseconds and would round a short wait up past the next due moment;
        # select does not. Only the last moment is spent turning, because Redis, the upstream and
        # the drainer share this core.
        if wait_s > _TURNING_S:
            select.select([self._poll], [], [], wait_s - _TURNING_S)
        for descriptor, _ in self._poll.poll(0):
            connection = self._connections[descriptor]
            try:
                data = connection.socket.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._drop(connection)
            elif connection.takes(data):
                self._open -= 1
                if connection.status == 200:
                    self._times_ns.append(time.monotonic_ns() - connection.due_ns)
                else:
                    self._load.fail(f"HTTP {connection.status}")
                connection.due_ns = 0
                done.append(connection)
        return done

    def _drop(self, connection: _Connection) -> None:
        if connection.due_ns:
            self._open -= 1
            self._load.fail("closed before the answer")
        with suppress(ValueError):
            self._idle.remove(connection)
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()

    def _result(self, start_ns: int) -> Load:
        load = self._load
        load.fail("unanswered", self._open)
        load.seconds = (time.monotonic_ns() - start_ns) / 1e9
        load.answered = len(self._times_ns)
        if self._times_ns:
            self._times_ns.sort()
            load.p50_us = self._times_ns[load.answered // 2] / 1e3
            load.p99_us = self._times_ns[min(load.answered - 1, load.answered * 99 // 100)] / 1e3
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()
        return load


def run(port: int, requests: Sequence[bytes], *, shape: str, size: int, seconds: float) -> Load:
    """One load: ``shape`` is "closed" (``size`` connections) or "open" (``size`` a second)."""
    client = Client(port, requests)
    gc.disable()  # a collection in between would be charged to the gateway
    try:
        return client.paced(size, seconds) if shape == "open" else client.closed(size, seconds)
    finally:
        gc.enable()
