"""Files of style and script as an event loop sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncRequestFactory

from project.middleware import StaticFiles

SIZE = 200_000


@pytest.fixture
def files(tmp_path: Path, settings: Any) -> StaticFiles:
    """A folder with one file that takes more than one piece."""
    (tmp_path / "big.css").write_bytes(b"x" * SIZE)
    settings.STATIC_ROOT = tmp_path
    return StaticFiles(lambda request: None)


async def test_a_file_comes_in_pieces(files: StaticFiles) -> None:
    answer: Any = files(AsyncRequestFactory().get("/static/big.css"))
    pieces = [piece async for piece in answer]
    assert b"".join(pieces) == b"x" * SIZE
    assert len(pieces) > 1
    assert answer["Content-Type"].startswith("text/css")
    assert answer["Content-Length"] == str(SIZE)
    await sync_to_async(answer.close)()


async def test_a_range_of_it(files: StaticFiles) -> None:
    part = {"Range": "bytes=0-9"}
    answer: Any = files(AsyncRequestFactory().get("/static/big.css", headers=part))
    assert answer.status_code == 206
    assert b"".join([piece async for piece in answer]) == b"x" * 10
    await sync_to_async(answer.close)()


async def test_what_the_browser_has_is_not_sent_again(files: StaticFiles) -> None:
    first: Any = files(AsyncRequestFactory().get("/static/big.css"))
    await sync_to_async(first.close)()
    since = {"If-Modified-Since": first["Last-Modified"]}
    again: Any = files(AsyncRequestFactory().get("/static/big.css", headers=since))
    assert (again.status_code, again.content) == (304, b"")
