"""What the Analytics page says of its sums: six figures and their course. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analytics.core import percentile_ms
from analytics.series import Sums
from lib.figures import DASH, MINUS, count, counted, duration, percent, short
from lib.money import format_usd

SPARK_WIDTH = 96
SPARK_HEIGHT = 24
_PAD = 2


@dataclass(slots=True)
class Tally:
    """Sums over several bars, providers or statuses."""

    calls: int = 0
    successes: int = 0
    fallbacks: int = 0
    cost_nano: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, row: Sums) -> None:
        """Adds one row of sums."""
        self.calls += row.calls
        self.successes += row.successes
        self.fallbacks += row.fallbacks
        self.cost_nano += row.cost_nano
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens

    @property
    def success_rate(self) -> float | None:
        """The share of calls that were answered, 0 to 1."""
        return self.successes / self.calls if self.calls else None

    @property
    def fallback_rate(self) -> float | None:
        """The share of calls that another provider than the first got, 0 to 1."""
        return self.fallbacks / self.calls if self.calls else None

    @property
    def nano_per_1k(self) -> int | None:
        """What a thousand such calls cost."""
        return round(self.cost_nano * 1000 / self.calls) if self.calls else None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its change and its course; ``tone`` is good, bad or empty."""

    name: str
    label: str
    value: str
    change: str
    before: str
    tone: str
    note: str
    spark: str


def by_bar(rows: Iterable[Sums], count: int) -> list[Tally]:
    """What every bar adds up to."""
    bars = [Tally() for _ in range(count)]
    for row in rows:
        bars[row.bar].add(row)
    return bars


def by_provider(rows: Iterable[Sums]) -> dict[str, Tally]:
    """What every provider's answers add up to; "" is calls that no provider answered."""
    found: dict[str, Tally] = {}
    for row in rows:
        found.setdefault(row.provider, Tally()).add(row)
    return found


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    added = Tally()
    for one in tallies:
        added.calls += one.calls
        added.successes += one.successes
        added.fallbacks += one.fallbacks
        added.cost_nano += one.cost_nano
        added.input_tokens += one.input_tokens
        added.output_tokens += one.output_tokens
    return added


def merged(buckets: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Histograms added up."""
    found: dict[int, int] = {}
    for one in buckets:
        for bucket, calls in one.items():
            found[bucket] = found.get(bucket, 0) + calls
    return found


def figures(
    bars: Sequence[Tally],
    before: Tally | None,
    latencies: Sequence[Mapping[int, int]],
    latency_before: Mapping[int, int],
) -> list[Figure]:
    """The six numbers of the page; ``before`` is None where there is nothing to compare with."""
    now, old = total(bars), before or Tally()
    return [
        *_amounts(bars, now, old),
        Figure(
            "success",
            "Success rate",
            percent(now.success_rate),
            *_points(now.success_rate, old.success_rate, worse=-1),
            f"{now.calls - now.successes:,} failed",
            sparkline([bar.success_rate for bar in bars]),
        ),
        _latency(latencies, latency_before if old.calls else {}),
        _per_1k(bars, now, old),
        Figure(
            "fallbacks",
            "Fallback rate",
            percent(now.fallback_rate),
            *_points(now.fallback_rate, old.fallback_rate, worse=1),
            counted(now.fallbacks),
            sparkline([bar.fallback_rate for bar in bars]),
        ),
    ]


def _amounts(bars: Sequence[Tally], now: Tally, old: Tally) -> list[Figure]:
    """Spend and requests."""
    tokens = short(now.input_tokens + now.output_tokens)
    return [
        Figure(
            "spend",
            "Spend",
            format_usd(now.cost_nano),
            *_relative(now.cost_nano, old.cost_nano, format_usd(old.cost_nano), worse=1),
            "",
            sparkline([bar.cost_nano for bar in bars]),
        ),
        Figure(
            "requests",
            "Requests",
            count(now.calls),
            *_relative(now.calls, old.calls, count(old.calls), worse=0),
            f"{tokens} tokens",
            sparkline([bar.calls for bar in bars]),
        ),
    ]


def _latency(latencies: Sequence[Mapping[int, int]], before: Mapping[int, int]) -> Figure:
    p95 = percentile_ms(merged(latencies), 0.95)
    old = percentile_ms(before, 0.95)
    return Figure(
        "p95",
        "p95 latency",
        duration(p95),
        *_relative(p95, old, duration(old), worse=1),
        "of successful requests",
        sparkline([percentile_ms(one, 0.95) for one in latencies]),
    )


def _per_1k(bars: Sequence[Tally], now: Tally, old: Tally) -> Figure:
    before = format_usd(old.nano_per_1k or 0)
    return Figure(
        "per_1k",
        "Cost per 1k requests",
        DASH if now.nano_per_1k is None else format_usd(now.nano_per_1k),
        *_relative(now.nano_per_1k, old.nano_per_1k, before, worse=1),
        "",
        sparkline([bar.nano_per_1k for bar in bars]),
    )


_NONE = ("", "", "")


def _relative(
    now: float | None, old: float | None, before: str, *, worse: int
) -> tuple[str, str, str]:
    """A change in percent; ``worse`` is the sign of a change for the worse, 0 for neither."""
    if not now or not old:
        return _NONE
    change = (now - old) / old * 100
    if abs(change) < 0.05:
        return "no change", before, ""
    text = f"{change:+,.0f}%" if abs(change) >= 100 else f"{change:+.1f}%"
    return text.replace("-", MINUS), before, _tone(change, worse)


def _points(now: float | None, old: float | None, *, worse: int) -> tuple[str, str, str]:
    """A change of a share, in percentage points."""
    if now is None or old is None:
        return _NONE
    change = (now - old) * 100
    if abs(change) < 0.005:
        return "no change", percent(old), ""
    return f"{change:+.2f} pt".replace("-", MINUS), percent(old), _tone(change, worse)


def _tone(change: float, worse: int) -> str:
    if not worse:
        return ""
    return "bad" if change * worse > 0 else "good"


def sparkline(course: Sequence[float | None]) -> str:
    """The points of a polyline in a box of SPARK_WIDTH by SPARK_HEIGHT; gaps are skipped."""
    known = [(i, value) for i, value in enumerate(course) if value is not None]
    if len(known) < 2:
        return ""
    values = [value for _, value in known]
    low, high = min(values), max(values)
    height = SPARK_HEIGHT - 2 * _PAD
    step = SPARK_WIDTH / max(1, len(course) - 1)
    spread = (high - low) or 1
    level = 0.5 if high == low else 0.0
    return " ".join(
        f"{i * step:.1f},{_PAD + height * (1 - (value - low) / spread - level):.1f}"
        for i, value in known
    )
