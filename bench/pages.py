"""How soon every page's first byte comes, on a product that runs: `bench/pages --help`.

Signs in as a person does, asks each page several times, and prints a table of the time to the first
byte. Seed the organization first: `./manage seed_calls --calls 1000000 --days 30 …`.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import os
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

ANALYTICS = "/enterprise-router/analytics"
PAGES = (
    "/enterprise-router/preferences",
    f"{ANALYTICS}?range=24h",
    f"{ANALYTICS}?range=7d",
    f"{ANALYTICS}?range=30d",
    f"{ANALYTICS}?range=30d&provider=openai",
    "/requests",
    "/requests?range=30d",
    "/requests?range=30d&status=failed",
    "/api-keys",
    "/providers",
    "/members",
    "/audit-log",
    "/playground",
)
FIGURES = tuple(
    f"{ANALYTICS}/fig/{name}.json?range=30d{grain}"
    for name in ("spend", "latency", "errors", "requests", "fallbacks")
    for grain in ("", "&grain=hour")
)
EXPORTS = (f"{ANALYTICS}/export?format=csv&range=30d", f"{ANALYTICS}/export?format=jsonl&range=30d")
BUDGETS_MS = {PAGES: 100, FIGURES: 150, EXPORTS: 1000}


@dataclass(frozen=True, slots=True)
class Timing:
    """What one address took."""

    address: str
    status: int
    first_ms: list[float]
    size: int
    budget_ms: int

    def row(self) -> str:
        """A line of the table."""
        p95 = _percentile(self.first_ms, 0.95)
        verdict = "yes" if self.status == 200 and p95 <= self.budget_ms else "no"
        p50 = _percentile(self.first_ms, 0.5)
        return (
            f"| `{self.address}` | {self.status} | {p50:.0f} | {p95:.0f} | {self.budget_ms} |"
            f" {verdict} | {self.size / 1024:.0f} |"
        )


def main() -> int:
    """Prints the table; 1 when a page is over its budget and that was asked for."""
    options = _options()
    opener = _signed_in(options.url, options.email, options.password)
    print(f"Time to first byte in ms, {options.times} times each, {os.cpu_count()} cores,")
    print(f"load {os.getloadavg()[0]:.1f} at the start.\n")
    print("| page | status | p50 | p95 | budget | within | KiB |")
    print("|---|---|---|---|---|---|---|")
    late = 0
    for addresses, budget_ms in BUDGETS_MS.items():
        for address in addresses:
            times = 3 if addresses is EXPORTS else options.times
            timing = _time(opener, options.url, address, times=times, budget_ms=budget_ms)
            late += " no |" in timing.row()
            print(timing.row(), flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end.")
    return int(bool(late and options.strict))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/pages", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--strict", action="store_true", help="exit 1 when a page is late")
    return parser.parse_args()


def _signed_in(url: str, email: str, password: str) -> urllib.request.OpenerDirector:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = opener.open(f"{url}/accounts/login/").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    if token is None:
        raise SystemExit(f"{url} shows no form to sign in with.")
    fields = {"csrfmiddlewaretoken": token[1], "login": email, "password": password}
    request = urllib.request.Request(
        f"{url}/accounts/login/",
        urllib.parse.urlencode(fields).encode(),
        {"Referer": f"{url}/accounts/login/"},
    )
    if "/accounts/login" in opener.open(request).url:
        raise SystemExit(f"{email} cannot sign in with this password.")
    return opener


def _time(
    opener: urllib.request.OpenerDirector, url: str, address: str, *, times: int, budget_ms: int
) -> Timing:
    """Asks once to warm up, and then as often as told, with a connection of its own each time."""
    taken: list[float] = []
    status = size = 0
    for number in range(times + 1):
        began = time.perf_counter()
        try:
            with opener.open(url + address) as reply:
                reply.read(1)
                first = (time.perf_counter() - began) * 1000
                status, size = reply.status, 1 + len(reply.read())
        except urllib.error.HTTPError as why:
            return Timing(address, why.code, [0.0], 0, budget_ms)
        if number:
            taken.append(first)
    return Timing(address, status, taken, size, budget_ms)


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
