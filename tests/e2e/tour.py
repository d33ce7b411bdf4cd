"""Every page that the frame leads to, for tests that hold all of them to the same."""

from __future__ import annotations

from tenancy.shell import ACCOUNT, API_DOCS, GROUPS, TABS, exists

# Pages that only a page leads to.
_INNER = (
    "/api-keys/new",
    "/providers/new",
    "/enterprise-router/preferences?scope=mine",
    "/requests?status=failed&model=none",
)
# A chart's library is asked for where there are charts, and nowhere else.
WITH_CHARTS = ("/enterprise-router/analytics",)


def pages() -> list[str]:
    """The addresses of all sections, tabs and account pages that exist."""
    linked = [link.path for _, links in GROUPS for link in links]
    found = [*(tab.path for tab in TABS), *linked, API_DOCS.path, *(one.path for one in ACCOUNT)]
    inner = [path for path in _INNER if exists(path.partition("?")[0])]
    return [*(path for path in dict.fromkeys(found) if exists(path)), *inner]
