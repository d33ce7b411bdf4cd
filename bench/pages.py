"""How soon every page's first byte comes, on a product that runs: `bench/pages --help`.

1. Signs in as a person does and reads from Analytics what this organization can filter by.
2. Asks every page, and with every kind of filter the Analytics page, its figures and the list of
   requests, several times each with a connection of its own.
3. Prints a table of the time to the first byte, and how much memory the server took meanwhile.

Seed the organization first: `./manage seed_calls --calls 1000000 --days 30 …`.
"""

from __future__ import annotations

import argparse
import html
import http.cookiejar
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ANALYTICS = "/enterprise-router/analytics"
PAGES = (
    "/enterprise-router/preferences",
    f"{ANALYTICS}?range=24h",
    f"{ANALYTICS}?range=7d",
    f"{ANALYTICS}?range=7d&compare=prev",
    f"{ANALYTICS}?range=14d",
    f"{ANALYTICS}?range=30d",
    f"{ANALYTICS}?range=90d",
    "/requests",
    "/requests?range=24h",
    "/requests?range=90d",
    "/get-started",
    "/playground",
    "/api-keys",
    "/providers",
    "/members",
    "/audit-log",
    "/organization",
    "/organization/security",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/sessions/",
    "/accounts/3rdparty/",
    "/palette",
    "/api/docs",
)
FIGURES = ("spend", "latency", "errors", "requests", "fallbacks")
EXPORTS = (f"{ANALYTICS}/export?format=csv&range=30d", f"{ANALYTICS}/export?format=jsonl&range=30d")
PAGE_MS = 100
FIGURE_MS = 150
EXPORT_MS = 1000
EXPORT_TIMES = 3
DEEP_PAGE = 200
PARTS = ("pages", "figures", "analytics", "filtered-figures", "requests", "deep", "exports")


@dataclass(frozen=True, slots=True)
class Timing:
    """What one address took."""

    address: str
    status: int
    first_ms: list[float]
    size: int
    budget_ms: int

    @property
    def is_late(self) -> bool:
        """Whether it did not answer, or not in its time."""
        return self.status != 200 or _percentile(self.first_ms, 0.95) > self.budget_ms

    def row(self) -> str:
        """A line of the table."""
        p50, p95 = (_percentile(self.first_ms, share) for share in (0.5, 0.95))
        return (
            f"| `{self.address}` | {self.status} | {p50:.0f} | {p95:.0f} | {self.budget_ms} |"
            f" {'no' if self.is_late else 'yes'} | {self.size / 1024:.0f} |"
        )


class Browser:
    """Somebody who is signed in."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._url = url
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), _NoRedirects()
        )
        self._sign_in(email, password)

    def read(self, address: str) -> str:
        """A page's text."""
        with self._opener.open(self._url + address) as reply:
            return str(reply.read().decode())

    def time(self, address: str, *, times: int, budget_ms: int) -> Timing:
        """Asks once to warm up, and then as often as told."""
        taken: list[float] = []
        status = size = 0
        for number in range(times + 1):
            began = time.perf_counter()
            try:
                with self._opener.open(self._url + address) as reply:
                    reply.read(1)
                    first = (time.perf_counter() - began) * 1000
                    status, size = reply.status, 1 + len(reply.read())
            except urllib.error.HTTPError as why:
                return Timing(address, why.code, [0.0], 0, budget_ms)
            if number:
                taken.append(first)
        return Timing(address, status, taken, size, budget_ms)

    def _sign_in(self, email: str, password: str) -> None:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.read(_LOGIN))
        if token is None:
            raise SystemExit(f"{self._url} shows no form to sign in with.")
        fields = {"csrfmiddlewaretoken": token[1], "login": email, "password": password}
        form = urllib.parse.urlencode(fields).encode()
        headers = {"Referer": self._url + _LOGIN}
        request = urllib.request.Request(self._url + _LOGIN, form, headers)
        try:
            self._opener.open(request).close()
        except urllib.error.HTTPError as why:
            if why.code == 302:
                return
        raise SystemExit(f"{email} cannot sign in with this password.")


_LOGIN = "/accounts/login/"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is quick and no page: it counts as what it is."""

    def redirect_request(self, *args: object) -> None:
        """Leads nowhere."""


def main() -> int:
    """Prints the table; 1 when a page is over its budget and that was asked for."""
    options = _options()
    browser = Browser(options.url, options.email, options.password)
    before = [(pid, _memory_mib(pid)) for pid in options.pid]
    print(f"Time to first byte in ms, {options.times} times each, {os.cpu_count()} cores,")
    print(f"load {os.getloadavg()[0]:.1f} at the start.\n")
    print("| page | status | p50 | p95 | budget | within | KiB |")
    print("|---|---|---|---|---|---|---|")
    late = asked = 0
    for address, budget_ms in _addresses(browser, options.parts):
        times = EXPORT_TIMES if budget_ms == EXPORT_MS else options.times
        timing = browser.time(address, times=times, budget_ms=budget_ms)
        late += timing.is_late
        asked += times + 1
        print(timing.row(), flush=True)
    print(f"\n{late} late; load {os.getloadavg()[0]:.1f} at the end.")
    for pid, mib in before:
        print(f"Process {pid}: {mib} MiB before, {_memory_mib(pid)} after {asked} requests in all.")
    return int(bool(late and options.strict))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/pages", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; all by default"
    )
    parser.add_argument(
        "--pid", nargs="*", type=int, default=[], help="processes whose memory is watched"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a page is late")
    return parser.parse_args()


def _addresses(browser: Browser, parts: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Every address to ask, with the milliseconds it may take."""
    if "pages" in parts:
        call = re.search(r'href="(/requests/[0-9a-f-]{36})', browser.read("/requests"))
        for page in (*PAGES, *([call[1]] if call else [])):
            yield page, PAGE_MS
    if "figures" in parts:
        for asked in ("range=7d", "range=30d", "range=30d&grain=hour", "range=30d&compare=prev"):
            yield from _figures(asked)
    filters = _filters(browser.read(f"{ANALYTICS}?range=30d"))
    for part, path in (("analytics", ANALYTICS), ("requests", "/requests")):
        if part in parts:
            for query in filters:
                yield f"{path}?{query}", PAGE_MS
    if "filtered-figures" in parts:
        for query in filters:
            yield from _figures(query)
    if "deep" in parts:
        for number in (2, DEEP_PAGE):
            yield _deep(browser, number), PAGE_MS
    if "exports" in parts:
        for export in EXPORTS:
            yield export, EXPORT_MS


def _figures(query: str) -> Iterable[tuple[str, int]]:
    return ((f"{ANALYTICS}/fig/{name}.json?{query}", FIGURE_MS) for name in FIGURES)


def _filters(page: str) -> list[str]:
    """Each kind of filter, alone and with others, by what the page offers; all over 30 days."""
    provider, other = (_offered(page, "provider") * 2)[:2]
    model, key, member = (_offered(page, name)[-1] for name in ("model", "key", "member"))
    now = datetime.now(UTC)
    days = {"from": f"{now - timedelta(days=30):%Y-%m-%d}", "to": f"{now:%Y-%m-%d}"}
    month = {"range": "30d"}
    asked: list[Mapping[str, str | Sequence[str]]] = [
        {"provider": provider},
        {"provider": (provider, other)},
        {"model": model},
        {"key": key},
        {"member": member},
        *({"status": one} for one in ("ok", "failed", "4xx", "429", "fallback")),
        {"fallback_from": provider},
        {"compare": "prev"},
        {"compare": "prev", "provider": provider},
        {"provider": provider, "status": "failed"},
        {"provider": provider, "key": key},
        {"model": model, "member": member},
        {"key": key, "compare": "prev", "grain": "hour", "provider": (provider, other)},
        {"provider": provider, "status": "fallback"},
        *({f"tag.{name}": value} for name, value in _TAGS),
        {f"tag.{_TAGS[0][0]}": _TAGS[0][1], "grain": "hour"},
        {f"tag.{_TAGS[0][0]}": _TAGS[0][1], "compare": "prev"},
        {f"tag.{_TAGS[0][0]}": _TAGS[0][1], "provider": provider},
        {f"tag.{_TAGS[0][0]}": _TAGS[0][1], "status": "fallback"},
        {f"tag.{name}": value for name, value in _TAGS[:2]},
        {"q": _TAGS[0][1]},
        {"q": "no-such-value"},
    ]
    queries = [urllib.parse.urlencode({**month, **one}, doseq=True) for one in asked]
    return [*queries, urllib.parse.urlencode(days)]


# What the calls of `seed_calls` say: a part of them, nearly none, and all.
_TAGS = (
    ("team", "search"),
    ("environment", "production"),
    ("trace_id", "no-such-value"),
    ("seeded", "true"),
)


def _offered(page: str, name: str) -> list[str]:
    """The values of a menu or of boxes to tick."""
    menu = re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    found = re.findall(r'<option value="([^"]+)"', menu[0]) if menu else []
    found += re.findall(rf'<input type="checkbox" name="{name}" value="([^"]+)"', page)
    if not found:
        raise SystemExit(f"Analytics offers no {name}; are there calls?")
    return [html.unescape(value) for value in found]


def _deep(browser: Browser, number: int) -> str:
    """The address of a page of Requests, reached by its links alone."""
    address = "/requests"
    for _ in range(number - 1):
        older = re.search(r'href="(/requests\?[^"]*older=[^"]+)"', browser.read(address))
        if older is None:
            break
        address = html.unescape(older[1])
    return address


def _memory_mib(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
