"""Folders for servers: as root they run as nobody, who may not walk into pytest's own folders."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that everybody can walk to, as an ordinary data folder is."""
    with tempfile.TemporaryDirectory(prefix="er-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def reachable() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made
