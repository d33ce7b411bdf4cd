"""The list of requests and one request's page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.test import Client

from analytics.ledger import Ledger
from lib.ids import uuid7_text
from tenancy.core import SYSTEM, Scope
from tenancy.services import create_key
from tests.analytics.rows import after_fallback, failed, refused, row
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

Write = Callable[..., list[str]]


@pytest.fixture
def write() -> Iterator[Write]:
    """Writes rows as the drainer does; gives their ids."""
    ledger = Ledger(settings.DATABASE_INGEST_URL)

    def _write(*rows: dict[str, Any]) -> list[str]:
        ledger.write(rows)
        return [r["id"] for r in rows]

    yield _write
    ledger.close()


@pytest.fixture
def browser(client: Client, cast: Cast) -> Client:
    client.force_login(cast.alice)
    return client


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def listed(answer: Any) -> list[str]:
    """The ids of the requests on a page, in its order."""
    parts = answer.content.decode().split('<a href="/requests/')[1:]
    return [part[:36] for part in parts]


def test_an_empty_organization_is_told_what_will_be_here(browser: Client) -> None:
    page = browser.get("/requests").content.decode()
    assert "No requests yet" in page
    assert "/v1/chat/completions" in page


def test_a_row_tells_what_happened(browser: Client, write: Write, cast: Cast) -> None:
    key = create_key(cast.acme.id, name="<batch>", scopes=[Scope.GATEWAY], actor=SYSTEM).key
    write(after_fallback(cast.acme.id, now_ms(), api_key_id=str(key.id)))
    page = browser.get("/requests").content.decode()
    for said in (
        "200 after fallback",
        ">sandbox-large</span>",
        "at sandbox-claude, asked for <bdi>auto</bdi>",
        "&lt;batch&gt;",
        "1,204",
        "2.31 s",
        "first token 2.08 s",
        "$0.00037",
    ):
        assert said in page


def test_times_are_those_of_the_organization(browser: Client, write: Write, cast: Cast) -> None:
    hour_ms = 3_600_000
    at_ms = now_ms() // hour_ms * hour_ms
    write(row(cast.acme.id, at_ms))
    page = browser.get("/requests").content.decode()
    offset = "+01:00" if "+01:00" in page else "+02:00"
    assert f":00:00{offset}" in page
    assert "Times in Europe/Berlin" in page


def test_pages_of_fifty_walk_through_all_and_back(
    browser: Client, write: Write, cast: Cast
) -> None:
    start = now_ms()
    # Two calls share each millisecond, so the place between pages falls between equal times.
    ids = write(*(row(cast.acme.id, start - (i + 1) // 2, chance=10_000 - i) for i in range(120)))
    expected = sorted(ids, reverse=True)
    seen: list[str] = []
    url = "/requests"
    pages = []
    while url:
        answer = browser.get(url)
        pages.append(answer)
        seen += listed(answer)
        url = answer.context["older"]
    assert seen == expected
    assert [len(listed(p)) for p in pages] == [50, 50, 20]
    back = browser.get(pages[2].context["newer"])
    assert listed(back) == expected[50:100]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=ok", {"row", "fallback"}),
        ("status=failed", {"failed", "refused"}),
        ("status=fallback", {"fallback", "failed"}),
        ("provider=sandbox-claude", {"fallback"}),
        ("model=gpt-large", set()),
        ("model=sandbox-large", {"fallback"}),
        ("status=502", {"failed"}),
        ("status=4xx", {"refused"}),
        ("tag.team=legal", {"fallback"}),
        ("tag.team=legal&tag.trace_id=other", set()),
        ("provider=sandbox&provider=sandbox-claude", {"row", "fallback"}),
        ("model=sandbox-large&status=failed", set()),
        ("status=nonsense&key=nonsense&older=nonsense", {"row", "fallback", "failed", "refused"}),
    ],
)
def test_filters_in_the_address_narrow_the_list(
    browser: Client, write: Write, query: str, found: set[str], cast: Cast
) -> None:
    at_ms = now_ms()
    makers = {"row": row, "fallback": after_fallback, "failed": failed, "refused": refused}
    ids = dict(
        zip(
            write(*(make(cast.acme.id, at_ms - i) for i, make in enumerate(makers.values()))),
            makers,
            strict=True,
        )
    )
    answer = browser.get(f"/requests?{query}")
    assert {ids[i] for i in listed(answer)} == found
    if not found:
        assert "No request matches" in answer.content.decode()
        assert "Clear filters" in answer.content.decode()


def test_a_filter_by_key_shows_its_failures_too(browser: Client, write: Write, cast: Cast) -> None:
    key = str(create_key(cast.acme.id, name="batch", scopes=[Scope.GATEWAY], actor=SYSTEM).key.id)
    mine = write(failed(cast.acme.id, now_ms(), api_key_id=key))
    write(row(cast.acme.id, now_ms() - 5))
    assert listed(browser.get(f"/requests?key={key}")) == mine


def test_newer_requests_are_announced_only_when_there_are_some(
    browser: Client, write: Write, cast: Cast
) -> None:
    at_ms = now_ms()
    write(row(cast.acme.id, at_ms))
    page = browser.get("/requests")
    url = page.context["newer_than"]
    assert browser.get(url).status_code == 204
    write(row(cast.acme.id, at_ms + 1), row(cast.acme.id, at_ms + 2))
    assert "2 new requests" in browser.get(url).content.decode()


def test_a_swap_of_the_results_is_only_the_results(
    browser: Client, write: Write, cast: Cast
) -> None:
    write(row(cast.acme.id, now_ms()))
    headers = {"HX-Request": "true", "HX-Target": "results"}
    part = browser.get("/requests?status=ok", headers=headers).content.decode()
    assert "<!doctype html>" not in part
    assert 'id="results"' in part
    assert 'id="filters"' not in part


def test_the_list_asks_the_database_as_often_for_ten_as_for_fifty(
    browser: Client, write: Write, django_assert_num_queries: Any, cast: Cast
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for more in (10, 40):
        write(*(row(cast.acme.id, now_ms() - i, chance=more * 100 + i) for i in range(more)))
        with CaptureQueriesContext(
            connection,
        ) as caught:
            browser.get("/requests")
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_a_request_explains_its_route(browser: Client, write: Write, cast: Cast) -> None:
    (call_id,) = write(after_fallback(cast.acme.id, now_ms()))
    page = browser.get(f"/requests/{call_id}").content.decode()
    for said in (
        "Answered by <strong>sandbox-claude / sandbox-large</strong>",
        "It was the second choice: sandbox / sandbox-small ended with 529 (overloaded error).",
        "Candidates: 2 of 4 left",
        "Ranked by cost",
        "Over max cost",
        "Input 1,204 tokens",
        "9f1c22",
        "Copy as curl",
    ):
        assert said in page


@pytest.mark.parametrize("make", [row, refused, failed])
def test_every_kind_of_call_has_a_page(
    browser: Client, write: Write, make: Any, cast: Cast
) -> None:
    (call_id,) = write(make(cast.acme.id, now_ms()))
    assert browser.get(f"/requests/{call_id}").status_code == 200


def test_a_call_that_was_never_routed_has_a_page(browser: Client, write: Write, cast: Cast) -> None:
    made = refused(cast.acme.id, now_ms(), status=401, error_code="key_revoked", decision={})
    (call_id,) = write(made)
    page = browser.get(f"/requests/{call_id}").content.decode()
    assert "Refused before routing: key revoked." in page


def test_text_of_others_is_never_markup(browser: Client, write: Write, cast: Cast) -> None:
    evil = "</template><script>alert(1)</script>'\"\u202e😀" + "x" * 120
    (call_id,) = write(
        row(
            cast.acme.id,
            now_ms(),
            model_requested=evil,
            metadata={"note": evil},
            provider=evil[:30],
        )
    )
    for url in ("/requests", f"/requests/{call_id}"):
        assert "<script>alert" not in browser.get(url).content.decode()


def test_another_organizations_request_is_not_found(
    client: Client, write: Write, cast: Cast
) -> None:
    (call_id,) = write(row(cast.acme.id, now_ms()))
    client.force_login(cast.carol)
    assert client.get(f"/requests/{call_id}").status_code == 404
    assert listed(client.get("/requests")) == []


@pytest.mark.parametrize("call_id", [uuid7_text(1, 1), str(uuid4()), str(UUID(int=2**128 - 1))])
def test_an_unknown_request_is_not_found(browser: Client, call_id: str) -> None:
    assert browser.get(f"/requests/{call_id}").status_code == 404


def test_a_viewer_may_read(client: Client, write: Write, cast: Cast) -> None:
    (call_id,) = write(row(cast.acme.id, now_ms()))
    client.force_login(cast.bob)
    assert client.get("/requests").status_code == 200
    assert client.get(f"/requests/{call_id}").status_code == 200


@pytest.mark.parametrize("page", ["/requests", "/enterprise-router/analytics", "/audit-log"])
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("range=bogus", "Time “<bdi>bogus</bdi>” is not applied."),
        ("from=garbage", "From “<bdi>garbage</bdi>” is not applied."),
        ("to=%00", "To “<bdi>␀</bdi>” is not applied."),
        ("from=2999-01-01", "From “<bdi>2999-01-01</bdi>” is not applied."),
        ("from=2026-01-02&to=2026-01-01", "To “<bdi>2026-01-01</bdi>” is not applied."),
    ],
)
def test_a_filter_that_is_none_is_named_with_the_way_out(
    as_alice: Client, page: str, query: str, told: str
) -> None:
    answer = as_alice.get(f"{page}?{query}")
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f"<strong>{told}</strong>" in html
    (way_out,) = re.findall(r'<a class="btn small" href="([^"]*)">Remove it', html)
    assert "is not applied" not in as_alice.get(unescape(way_out)).content.decode()


@pytest.mark.parametrize(
    "file",
    [
        "/enterprise-router/analytics/export?format=csv&status=abc",
        "/enterprise-router/analytics/fig/spend.csv?status=abc",
        "/enterprise-router/analytics/fig/spend.json?status=abc",
        "/audit-log/export?format=csv&range=abc",
    ],
)
def test_no_file_holds_more_than_was_asked_for(as_alice: Client, file: str) -> None:
    answer = as_alice.get(file)
    assert answer.status_code == 422
    assert "“abc” cannot be applied." in answer.content.decode()


@pytest.mark.parametrize("address", ["/requests", "/requests/newer"])
def test_a_filter_that_no_text_can_hold_is_no_filter(as_alice: Client, address: str) -> None:
    assert as_alice.get(address, {"provider": "\x00", "model": "a\x00"}).status_code in (200, 204)


def test_tags_are_counted_and_found_by_their_hours(
    browser: Client, write: Write, cast: Cast
) -> None:
    at_ms = now_ms() - 20 * 86_400_000
    others = [row(cast.acme.id, at_ms + i, chance=i) for i in range(3)]
    mine = row(cast.acme.id, at_ms, chance=9, metadata={"trace": "t-1", "team": "a"})
    failing = failed(cast.acme.id, at_ms + 7_200_000, chance=10, metadata={"team": "a"})
    write(*others, mine, failing)
    ids = [failing["id"], mine["id"]]
    for query, found in (
        ("tag.team=a", ids),
        ("tag.trace=t-1", ids[1:]),
        ("q=t-1", ids[1:]),
        (f"q={mine['id']}", ids[1:]),
        (f"q={mine['id'][:13]}", []),
        ("tag.team=a&status=failed", ids[:1]),
        ("tag.team=a&tag.trace=t-1", ids[1:]),
        ("tag.team=a&provider=openai", []),
        ("tag.trace=a", []),
    ):
        answer = browser.get(f"/requests?{query}")
        assert listed(answer) == found, query
    page = browser.get("/requests?tag.team=a")
    assert (page.context["total"], page.context["failures"]) == ("2", "1")
    empty = browser.get("/requests?tag.trace=t-1&range=24h")
    assert "Nearest data" in empty.content.decode()
    assert listed(browser.get(empty.context["nearest_address"])) == ids[1:]


def test_what_two_filters_promise_and_do_not_hold_is_read_on(
    browser: Client, write: Write, cast: Cast
) -> None:
    """In every hour there are calls of the team and failures, and one call is both."""
    start = now_ms()
    rows = [
        make(cast.acme.id, start - hour * 3_600_000 - i, chance=hour * 100 + i, metadata=said)
        for hour in range(4)
        for i in range(20)
        for make, said in ((row, {"team": "a"}), (failed, {}))
    ]
    both = failed(cast.acme.id, start - 4 * 3_600_000, metadata={"team": "a"})
    write(*rows, both)
    assert listed(browser.get("/requests?tag.team=a&status=failed")) == [both["id"]]


def test_tags_older_than_the_ledger_are_let_go(browser: Client, write: Write, cast: Cast) -> None:
    from datetime import UTC, datetime

    from analytics.models import Tag
    from analytics.tags import expire_tags
    from tenancy.scope import tenant_scope

    write(row(cast.acme.id, now_ms(), metadata={"team": "a"}))
    write(row(cast.acme.id, now_ms() - 40 * 86_400_000, metadata={"team": "b"}))
    expire_tags(datetime.now(UTC), kept_days=30)
    with tenant_scope(cast.acme.id):
        assert list(Tag.objects.values_list("value", flat=True)) == ["a"]
