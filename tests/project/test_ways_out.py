"""Messages that send people to a page name a page that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import resolve

PAGE = re.compile(r"\((/[a-z][a-z/-]*)\)")
SOURCES = ("routing/incoming.py", "routing/refusals.py")


@pytest.mark.parametrize("source", SOURCES)
def test_every_page_that_a_message_names_is_there(source: str) -> None:
    text = (Path(settings.BASE_DIR) / source).read_text()
    named = PAGE.findall(text)
    assert named
    for path in named:
        assert resolve(path)
    assert len(re.findall(r"under (?:API keys|Providers)\b", text)) == len(named)
