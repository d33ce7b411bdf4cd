"""Files of any length, streamed while they are read.

1. Rows are read in batches, each in a scope of its own: a slow reader holds neither a transaction
   nor a connection.
2. Under ASGI each batch borrows a thread; a server without an event loop reads on in its own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from tenancy.scope import give_back, tenant_scope

T = TypeVar("T")
BATCH_ROWS = 1000
_CHUNK_BYTES = 64 * 1024
# A spreadsheet takes what begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def in_batches(
    organization_id: UUID, read: Callable[[T | None], Sequence[T]], *, rows: int = BATCH_ROWS
) -> Iterator[T]:
    """Every row that ``read`` finds; it is given the last row so far and reads at most ``rows``."""
    last: T | None = None
    while True:
        with tenant_scope(organization_id):
            found = read(last)
        give_back()
        yield from found
        if len(found) < rows:
            return
        last = found[-1]


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """A table as CSV (RFC 4180) in UTF-8; no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield _taken(text)
    yield _taken(text)


def json_array(rows: Iterable[object]) -> Iterator[bytes]:
    """A JSON array with a row a line."""
    before = b"[\n"
    for row in rows:
        yield before + json_line(row)
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"


def json_line(value: object) -> bytes:
    """One value as JSON without its line's end; times are ISO with their offset."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def download(
    request: HttpRequest, chunks: Iterable[bytes], *, filename: str, content_type: str
) -> StreamingHttpResponse:
    """The response that streams a file to whoever asks."""
    gathered = _gathered(chunks)
    content = _later(gathered) if isinstance(request, ASGIRequest) else gathered
    response = StreamingHttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "no-store"
    # Proxies would gather the whole file first.
    response["X-Accel-Buffering"] = "no"
    return response


async def _later(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    @sync_to_async
    def pull() -> bytes:
        return next(chunks, b"")

    while chunk := await pull():
        yield chunk


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Larger pieces; the first goes out at once, so that the download starts."""
    parts: list[bytes] = []
    size, enough = 0, 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > enough:
            yield b"".join(parts)
            parts, size, enough = [], 0, _CHUNK_BYTES
    if size:
        yield b"".join(parts)


def _taken(text: io.StringIO) -> bytes:
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json_line(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
