"""TXT records of a name, asked of the machine's own resolvers (RFC 1035).

The standard library has no such question. The answer is matched with the question by its id, a
fresh port and the name; a truncated one is asked again over TCP.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
TIMEOUT_S = 3.0
SERVERS_MAX = 3
_PORT = 53
_TXT = 16
_IN = 1
_RECURSE = 0x0100
_TRUNCATED = 0x0200
_NO_SUCH_NAME = 3


class LookupFailedError(Exception):
    """No resolver answered; says nothing about whether the record is there."""


def txt_records(name: str) -> list[str]:
    """The texts of a name's TXT records; raises ``LookupFailedError``."""
    failed = "No resolver is configured."
    for server in _resolvers():
        try:
            return _ask(server, name)
        except (OSError, ValueError, struct.error, IndexError) as why:
            failed = str(why) or type(why).__name__
    raise LookupFailedError(failed)


def _resolvers() -> list[str]:
    try:
        lines = RESOLV_CONF.read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [w[1] for w in words if len(w) > 1 and w[0] == "nameserver"][:SERVERS_MAX]


def _ask(server: str, name: str) -> list[str]:
    id_ = int.from_bytes(os.urandom(2), "big")
    question = _encoded(name) + struct.pack("!HH", _TXT, _IN)
    query = struct.pack("!HHHHHH", id_, _RECURSE, 1, 0, 0, 0) + question
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT_S)
        udp.connect((server, _PORT))
        udp.send(query)
        answer = udp.recv(4096)
    if _flags(answer, id_) & _TRUNCATED:
        answer = _ask_at_length(server, query)
    return read_answer(answer, id_, question)


def _ask_at_length(server: str, query: bytes) -> bytes:
    with socket.create_connection((server, _PORT), timeout=TIMEOUT_S) as tcp:
        tcp.sendall(struct.pack("!H", len(query)) + query)
        with tcp.makefile("rb") as stream:
            (size,) = struct.unpack("!H", stream.read(2))
            return stream.read(size)


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _flags(answer: bytes, id_: int) -> int:
    found, flags = struct.unpack_from("!HH", answer)
    if found != id_ or not flags & 0x8000:
        raise ValueError("The resolver answered something else.")
    return int(flags)


def read_answer(answer: bytes, id_: int, question: bytes) -> list[str]:
    """The texts in an answer to ``question``; raises ``ValueError`` for any other message."""
    code = _flags(answer, id_) & 0xF
    if code == _NO_SUCH_NAME:
        return []
    if code:
        raise ValueError(f"The resolver refused with code {code}.")
    asked, count = struct.unpack_from("!HH", answer, 4)
    if asked != 1 or answer[12 : 12 + len(question)].lower() != question.lower():
        raise ValueError("The resolver answered another question.")
    at = 12 + len(question)
    texts = []
    for _ in range(count):
        at = _after_name(answer, at)
        kind, _, _, size = struct.unpack_from("!HHIH", answer, at)
        at += 10
        if kind == _TXT:
            texts.append(_text(answer[at : at + size]))
        at += size
    return texts


def _after_name(answer: bytes, at: int) -> int:
    while size := answer[at]:
        if size >= 0xC0:
            return at + 2
        at += size + 1
    return at + 1


def _text(data: bytes) -> str:
    """A TXT record is a row of strings of up to 255 bytes each, which belong together."""
    parts = []
    while data:
        parts.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return b"".join(parts).decode("utf-8", "replace")
