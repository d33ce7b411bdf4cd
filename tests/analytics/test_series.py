"""Sums over time: exact in every zone, percentiles near the true ones, queries counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID
from zoneinfo import ZoneInfo

import plotly.graph_objects as go  # type: ignore[import-untyped]
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import charts, series
from analytics.core import bucket_ms, bucket_of, percentile_ms
from analytics.dashboard import FIGURES, PATH
from analytics.filters import Filters, between, read_filters
from analytics.ledger import Ledger
from analytics.overview import Tally, by_bar, merged, total
from analytics.sources import raw_where
from analytics.spans import Bars, bars
from analytics.tags import with_name
from tenancy.scope import tenant_scope
from tests.analytics.rows import row
from tests.conftest import Cast, make_cast, signed_in

TEAM = (("team", "search"),)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles")
# Both changes of the clocks of 2026 lie inside, in Europe as in America.
TIMES = (
    (datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC)),
    (datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC)),
)


@pytest.fixture(scope="module")
def seeded(django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock():
        cast = make_cast("series")
        call_command(
            *("seed_calls", "--organization", str(cast.acme.id), "--calls", "6000", "--days", "9"),
            stdout=io.StringIO(),
        )
        yield cast


@pytest.fixture(scope="module")
def yearly(django_db_blocker: Any) -> Iterator[Cast]:
    """A call every seven minutes around the changes of the clocks."""
    with django_db_blocker.unblock():
        cast = make_cast("clocks")
        ledger = Ledger(settings.DATABASE_INGEST_URL)
        for start, until in TIMES:
            first, last = (round(at.timestamp() * 1000) for at in (start, until))
            moments = range(first, last, 7 * 60_000)
            ledger.write(
                [
                    row(
                        cast.acme.id,
                        at,
                        chance=i,
                        cost_nano=i + 1,
                        provider=f"p{i % 3}",
                        metadata=dict(TEAM),
                        fallback_used=i % 2 == 0,
                        fallback_from="" if i % 2 else "p9",
                    )
                    for i, at in enumerate(moments)
                ]
            )
        ledger.close()
        yield cast


def raw(query: str, params: list[Any]) -> list[Any]:
    with psycopg.connect(settings.DATABASE_INGEST_URL) as ingest:
        return ingest.execute(query, params).fetchall()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("grain", ["day", "hour"])
@pytest.mark.django_db
def test_every_bar_holds_its_own_calls_and_they_add_up(
    yearly: Cast, zone: str, time: tuple[datetime, datetime], grain: str
) -> None:
    own = ZoneInfo(zone)
    start = time[0] + timedelta(days=1)
    start = datetime(start.year, start.month, start.day, tzinfo=own).astimezone(UTC)
    until = time[1] - timedelta(hours=5, minutes=15)
    filters = between(Filters(), start, until, zone=own)
    shown = bars(start, until, grain, own)
    with tenant_scope(yearly.acme.id):
        (found,) = series.sums(yearly.acme.id, filters, [shown])
        (whole,) = series.sums(yearly.acme.id, filters, [Bars("all", (start, until))])
    tallies = by_bar(found, len(shown))
    truth = raw(
        "SELECT date_trunc(%s, created_at, %s), count(*), sum(cost_nano) FROM router_analytics"
        " WHERE organization_id = %s AND created_at >= %s AND created_at < %s"
        " GROUP BY 1 ORDER BY 1",
        [grain, zone, yearly.acme.id, start, until],
    )
    assert [(one.calls, one.cost_nano) for one in tallies] == [(n, cost) for _, n, cost in truth]
    assert total(tallies) == total(by_bar(whole, 1))
    assert list(shown.edges[:-1]) == [at.astimezone(UTC) for at, _, _ in truth]


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.django_db
def test_percentiles_are_within_five_percent(seeded: Cast, share: float) -> None:
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=7)
    filters = between(Filters(), start, now, zone=ZoneInfo("UTC"))
    with tenant_scope(seeded.acme.id):
        (days,) = series.daily_latencies(seeded.acme.id, filters, [(start, now)])
        ((whole,),) = series.latencies(seeded.acme.id, filters, [Bars("all", (start, now))])
        (sums,) = series.sums(seeded.acme.id, filters, [Bars("all", (start, now))])
        among = {row.provider for row in sums}
        providers = series.provider_latencies(seeded.acme.id, filters, among)
    ((true,),) = raw(
        "SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY latency_ms) FROM router_analytics"
        " WHERE organization_id = %s AND created_at >= %s AND success",
        [share, seeded.acme.id, start],
    )
    assert merged(days) == whole == merged(providers.values())
    assert percentile_ms(whole, share) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "range=24h",
        "compare=prev",
        "provider=openai",
        "provider=openai&status=ok",
        "status=4xx",
        "status=fallback",
        "tag.team=search",
        "tag.team=search&provider=openai&status=ok",
        "tag.team=search&status=failed",
        "tag.team=search&status=fallback",
        "tag.team=search&fallback_from=openai",
        "tag.team=search&tag.environment=production",
        "q=search",
        "fallback_from=openai",
    ],
)
@pytest.mark.django_db
def test_the_number_of_requests_is_that_of_the_calls_behind_it(seeded: Cast, query: str) -> None:
    answer = signed_in(seeded.alice).get(f"{PATH}?{query}&results=now")
    filters = answer.context["filters"]
    where, params = raw_where(seeded.acme.id, filters, filters.start, filters.until)
    (behind,) = raw(
        f"SELECT count(*), coalesce(sum(cost_nano), 0) FROM router_analytics WHERE {where}",
        params,
    )
    assert answer.context["calls"] == behind[0] > 0


EVERY_KIND = {
    "all": Filters(),
    "one": Filters(providers=("openai",)),
    "two": Filters(providers=("openai", "anthropic"), model="gpt-5"),
    "tag": Filters(tags=TEAM),
    "tag and provider": Filters(tags=TEAM, providers=("openai",), status="ok"),
    "tag and fallback": Filters(tags=TEAM, status="fallback"),
    "tags": Filters(tags=(*TEAM, ("environment", "production"))),
    "fallback": Filters(status="fallback"),
    "from": Filters(fallback_from="openai", providers=("anthropic",)),
}


def sums_are_those_of_the_calls(
    organization: UUID, filters: Filters, shown: Bars
) -> list[series.Sums]:
    with tenant_scope(organization):
        (sums,) = series.sums(organization, filters, [shown])
    where, params = raw_where(organization, filters, shown.start, shown.until)
    truth = raw(
        "SELECT width_bucket(created_at, %s::timestamptz[]) - 1, provider, status, count(*),"
        " sum(success::int), sum(fallback_used::int), sum(cost_nano)::bigint,"
        " sum(input_tokens)::bigint, sum(output_tokens)::bigint"
        f" FROM router_analytics WHERE {where} GROUP BY 1, 2, 3",
        [list(shown.edges), *params],
    )
    assert {series.Sums(*one) for one in truth} == set(sums) != set()
    return sums


@pytest.mark.parametrize("grain", ["15m", "hour", "day"])
@pytest.mark.parametrize("kind", ["all", "two", "tag", "fallback"])
@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (7, 0), (0, 52), (22, 38), (22, 22)], ids=lambda minute: str(minute)
)
@pytest.mark.django_db
def test_a_time_may_begin_and_end_at_any_minute(
    yearly: Cast, kind: str, grain: str, first: int, last: int
) -> None:
    start = datetime(2026, 10, 24, 9, first, tzinfo=UTC)
    zone = ZoneInfo("Asia/Kolkata")
    asked = {**EVERY_KIND, "two": Filters(providers=("p0", "p1"))}[kind]
    for until in (start.replace(hour=13, minute=last), datetime(2026, 10, 27, 9, last, tzinfo=UTC)):
        filters = between(asked, start, until, zone=zone)
        sums_are_those_of_the_calls(yearly.acme.id, filters, bars(start, until, grain, zone))


@pytest.mark.django_db
def test_a_time_may_be_a_few_minutes(yearly: Cast) -> None:
    start, zone = datetime(2026, 10, 24, 10, 16, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    until = start + timedelta(minutes=12)
    for kind in ("all", "tag"):
        filters = between(EVERY_KIND[kind], start, until, zone=zone)
        sums_are_those_of_the_calls(yearly.acme.id, filters, bars(start, until, "15m", zone))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.django_db
def test_whatever_is_asked_is_answered_as_by_the_calls(seeded: Cast, kind: str, zone: str) -> None:
    until = datetime.now(UTC).replace(minute=15, second=0, microsecond=0) - timedelta(hours=1)
    start = (until - timedelta(days=6)).replace(minute=45)
    filters = between(EVERY_KIND[kind], start, until, zone=ZoneInfo(zone))
    days = bars(start, until, "day", ZoneInfo(zone))
    organization = seeded.acme.id
    sums = sums_are_those_of_the_calls(organization, filters, days)
    # Latencies and routes know whole hours: they are those of the hours that the time lies in.
    hour = start.replace(minute=0)
    whole = between(filters, hour, until.replace(minute=0), zone=ZoneInfo(zone))
    hours = bars(hour, whole.until or until, "hour", ZoneInfo("UTC"))
    with tenant_scope(organization):
        (buckets,) = series.latencies(organization, whole, [hours])
        found = series.percentiles(organization, whole, hours, [0.5, 0.95])
        ((daily), *_) = series.daily_latencies(organization, whole, [(hour, hours.until)])
        among = {one.provider for one in sums}
        providers = series.provider_latencies(organization, whole, among)
        routes = series.routes(organization, whole)
    where, params = raw_where(organization, whole, hour, hours.until)
    timed = raw(
        "SELECT width_bucket(created_at, %s::timestamptz[]) - 1, latency_ms, provider"
        f" FROM router_analytics WHERE {where} AND success",
        [list(hours.edges), *params],
    )
    expected: list[dict[int, int]] = [{} for _ in range(len(hours))]
    by_provider: dict[str, dict[int, int]] = {}
    for bar, latency_ms, provider in timed:
        for counts in (expected[bar], by_provider.setdefault(provider, {})):
            counts[bucket_of(latency_ms)] = counts.get(bucket_of(latency_ms), 0) + 1
    assert buckets == expected
    assert merged(daily) == merged(expected)
    assert providers == by_provider
    for share, course in zip([0.5, 0.95], found, strict=True):
        assert [None if one is None else bucket_ms(one) for one in course] == [
            percentile_ms(one, share) for one in expected
        ]
    fell = raw(
        f"SELECT fallback_from, provider, count(*) FROM router_analytics WHERE {where}"
        " AND fallback_used GROUP BY 1, 2",
        params,
    )
    assert {series.Route(*one) for one in fell} == set(routes)


@pytest.mark.django_db
def test_what_tags_add_up_to_follows_the_page(seeded: Cast) -> None:
    browser = signed_in(seeded.alice)
    page = browser.get(f"{PATH}?tag.team=search")
    follows = f"{PATH}?range=7d&amp;tag.team=search"
    assert f'hx-get="{follows}" hx-trigger="load"' in page.content.decode()
    assert f'href="{follows}&amp;results=now"' in page.content.decode()
    assert "figures" not in page.context
    headers = {"HX-Request": "true", "HX-Target": "results", "HX-Trigger": "results"}
    part = browser.get(f"{PATH}?tag.team=search", headers=headers)
    assert 'aria-label="Key figures"' in part.content.decode()
    # Nobody went anywhere, so Back must not lead to the same page once more.
    assert "HX-Push-Url" not in part.headers


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["no-such-value", "search", str(UUID(int=7))])
def test_a_value_that_one_tag_has_is_looked_up_as_that_tag(seeded: Cast, value: str) -> None:
    with tenant_scope(seeded.acme.id):
        found = with_name(seeded.acme.id, Filters(q=value))
    known = {"no-such-value": (("", value),), "search": (("team", value),)}
    assert (found.tags, found.q) == ((known[value], "") if value in known else ((), value))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    ["range=24h", "range=30d", "provider=openai&model=gpt-5", "tag.team=search&results=now"],
)
def test_a_page_asks_a_fixed_number_of_queries(seeded: Cast, query: str) -> None:
    browser = signed_in(seeded.alice)
    browser.get(PATH)
    counts = []
    # What only calls can tell also asks for how long they are kept.
    tag = "&tag.team=search&results=now" if "tag" in query else ""
    for address in (f"{PATH}?{query}", f"{PATH}?range=90d&compare=prev&provider=openai{tag}"):
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(address).status_code == 200
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 20


@pytest.mark.django_db
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("query", ["range=24h", "range=7d&compare=prev", "range=90d"])
def test_plotly_itself_accepts_every_figure(seeded: Cast, name: str, query: str) -> None:
    figure = signed_in(seeded.alice).get(f"{PATH}/fig/{name}.json?{query}").json()
    layout = {key: value for key, value in figure["layout"].items() if key != "grain"}
    text = str(figure["data"])
    assert len(text) < 80_000
    go.Figure(data=_plain(figure["data"]), layout=layout)
    assert len(figure["data"]) <= charts.SERIES_MAX + 2


def _plain(value: Any) -> Any:
    """Names of colours belong to the browser's theme; plotly's checks want colours."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return "#123456" if isinstance(value, str) and value.startswith("$") else value


@pytest.mark.django_db
def test_the_api_tells_the_same(seeded: Cast) -> None:
    client = Client(headers={"Authorization": f"Bearer {seeded.acme_key}"})
    summary = client.get("/api/analytics/summary?range=7d").json()
    assert summary["time_zone"] == "Europe/Berlin"
    assert summary["from"] < summary["to"]
    assert "from_" not in summary
    assert sum(one["calls"] for one in summary["providers"]) == summary["total"]["calls"] > 0
    for group in ("none", "provider", "model", "key", "member", "status"):
        days = client.get(f"/api/analytics/series?range=7d&grain=day&group={group}").json()
        assert days["grain"] == "day"
        assert days["from"] == summary["from"][:10] + days["from"][10:]
        assert sum(one["cost_nano"] for one in days["data"]) == summary["total"]["cost_nano"]
    refused = client.get("/api/analytics/summary?range=3y")
    assert refused.status_code == 422
    assert refused.json()["field"] == "range"


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "&tag.team=search", "&status=fallback", "&provider=openai"])
@pytest.mark.parametrize(
    ("group", "column"), [("model", "model_used"), ("key", "api_key_id"), ("member", "user_id")]
)
def test_the_api_splits_sums_by_every_dimension(
    seeded: Cast, group: str, column: str, query: str
) -> None:
    client = Client(headers={"Authorization": f"Bearer {seeded.acme_key}"})
    # The first one also notes that the key was used.
    client.get("/api/analytics/summary?range=24h")
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(f"/api/analytics/series?range=7d&group={group}{query}")
    with CaptureQueriesContext(connection) as before:
        whole = client.get(f"/api/analytics/series?range=7d&group=none{query}").json()
    assert len(asked) == len(before)
    found: dict[str, int] = {}
    for point in answer.json()["data"]:
        found[point["group"]] = found.get(point["group"], 0) + point["cost_nano"]
    filters = read_filters(
        parse_qs(f"range=7d{query}"), now=datetime.now(UTC), zone=ZoneInfo("Europe/Berlin")
    )
    where, params = raw_where(seeded.acme.id, filters, filters.start, filters.until)
    truth = raw(
        f"SELECT coalesce({column}::text, ''), sum(cost_nano)::bigint FROM router_analytics"
        f" WHERE {where} GROUP BY 1",
        params,
    )
    assert found == dict(truth)
    assert sum(found.values()) == sum(one["cost_nano"] for one in whole["data"])


def test_latencies_of_one_lone_bar_are_drawn_as_dots() -> None:
    begin = datetime(2026, 11, 9, tzinfo=UTC)
    shown = Bars("hour", tuple(begin + timedelta(hours=n) for n in range(7)))
    lone = charts.latency([[None, None, 40, None, None, None]] * 3, shown, ZoneInfo("UTC"))
    assert {one["mode"] for one in lone["data"]} == {"lines+markers"}
    apart = charts.latency([[40, None, 40, None, 40, None]] * 3, shown, ZoneInfo("UTC"))
    assert {one["mode"] for one in apart["data"]} == {"lines+markers"}
    full = charts.latency([[40] * 6] * 3, shown, ZoneInfo("UTC"))
    assert {one["mode"] for one in full["data"]} == {"lines"}


@pytest.mark.parametrize("before", [24, 25, 26])
def test_a_quiet_day_beside_one_of_another_length_is_drawn(before: int) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    start = datetime(2026, 11, 1, tzinfo=zone).astimezone(UTC)
    shown = bars(start, start + timedelta(hours=25), "hour", zone)
    figure = charts.spend([], shown, zone, before=[Tally() for _ in range(before)])
    assert len(figure["table"]["rows"]) == len(figure["sheet"]["rows"]) == len(shown) == 25
