"""A mail server of one's own: the few verbs of SMTP that a client needs, on a real socket."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast


@dataclass
class MailServer:
    """Where it listens, and what it was given."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        mail: MailServer = cast(Any, self.server).mail
        self.wfile.write(b"220 test ESMTP\r\n")
        while line := self.rfile.readline():
            words = line.decode().strip()
            mail.said.append(words)
            verb = words.split(" ", 1)[0].upper()
            if verb == "EHLO":
                self.wfile.write(b"250-test\r\n250 AUTH PLAIN\r\n")
            elif verb == "AUTH":
                self.wfile.write(b"235 ok\r\n")
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                self._read_message(mail)
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")

    def _read_message(self, mail: MailServer) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        parsed = message_from_bytes(b"".join(lines), policy=policy.default)
        mail.messages.append(cast(EmailMessage, parsed))
        self.wfile.write(b"250 kept\r\n")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server, while the block runs."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        mail = MailServer(server.server_address[1])
        cast(Any, server).mail = mail
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield mail
        finally:
            server.shutdown()
            thread.join()
