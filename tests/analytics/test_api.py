"""/api/calls as a client with a key sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client

from analytics.ledger import Ledger
from catalog.pricing import cost, read_price
from catalog.usage import Usage
from lib.ids import uuid7_text
from tenancy.core import SYSTEM, Scope
from tenancy.models import new_id
from tenancy.services import create_key
from tests.analytics.rows import PRICE, after_fallback, failed, refused, row
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

CALLS = "/api/calls"
Write = Callable[..., list[str]]
Ask = Callable[..., Any]


@pytest.fixture
def write() -> Iterator[Write]:
    """Writes rows as the drainer does; gives their ids."""
    ledger = Ledger(settings.DATABASE_INGEST_URL)

    def _write(*rows: dict[str, Any]) -> list[str]:
        ledger.write(rows)
        return [made["id"] for made in rows]

    yield _write
    ledger.close()


@pytest.fixture
def ask(client: Client, cast: Cast) -> Ask:
    """GET with acme's key; the answer must have the status."""

    def _ask(path: str = CALLS, *, expect: int = 200, bearer: str = "", **query: str) -> Any:
        headers = {"Authorization": f"Bearer {bearer or cast.acme_key}"}
        answer = client.get(path, query, headers=headers)
        assert answer.status_code == expect, answer.content
        wanted = "application/json" if expect == 200 else "application/problem+json"
        assert answer["Content-Type"].startswith(wanted)
        return answer.json()

    return _ask


def ms(ago: int = 0) -> int:
    return time.time_ns() // 1_000_000 - ago


def ids(page: Any) -> list[str]:
    return [call["id"] for call in page["data"]]


def test_an_empty_ledger_is_an_empty_page(ask: Ask) -> None:
    assert ask() == {"data": [], "next_cursor": None}


def test_a_call_tells_what_happened_and_what_it_cost(ask: Ask, write: Write, cast: Cast) -> None:
    user, key = str(cast.alice.id), str(new_id())
    (id_,) = write(after_fallback(cast.acme.id, ms(), chance=7, api_key_id=key, user_id=user))
    (call,) = ask()["data"]
    assert call["id"] == id_
    assert (call["provider"], call["model_used"]) == ("sandbox-claude", "sandbox-large")
    assert (call["success"], call["status"], call["fallback_used"]) == (True, 200, True)
    assert (call["latency_ms"], call["first_token_ms"], call["attempts"]) == (2310, 2080, 2)
    assert (call["cost_nano"], call["cost_usd"]) == (367_800, "0.0003678")
    assert (call["api_key_id"], call["user_id"]) == (key, user)
    assert "decision" not in call
    assert "metadata" not in call


def test_calls_of_others_do_not_exist(ask: Ask, write: Write, cast: Cast) -> None:
    (theirs,) = write(row(cast.rival.id, ms()))
    assert ask()["data"] == []
    assert ids(ask(bearer=cast.rival_key)) == [theirs]
    unknown = uuid7_text(ms(), 99)
    told = [ask(f"{CALLS}/{id_}", expect=404) for id_ in (theirs, unknown, str(UUID(int=1)))]
    assert told[0] == told[1] == told[2]
    assert told[0]["code"] == "not_found"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [0, 1, 2, 3]),
        ({"status": "ok"}, [0, 1]),
        ({"status": "failed"}, [2, 3]),
        ({"status": "fallback"}, [1, 3]),
        ({"provider": "sandbox"}, [0]),
        ({"provider": "sandbox-claude"}, [1]),
        ({"model": "gpt-large"}, []),
        ({"status": "502"}, [3]),
        ({"status": "4xx"}, [2]),
        ({"tag.team": "legal"}, [1]),
        ({"tag.team": "sales"}, []),
        ({"q": "9f1c22"}, [1]),
        ({"range": "24h"}, [0, 1, 2, 3]),
        ({"from": "2026-01-01", "to": "2026-01-02"}, []),
        ({"fallback_from": "sandbox"}, [1, 3]),
        ({"model": "sandbox-large"}, [1]),
        ({"status": "ok", "provider": "nobody"}, []),
    ],
)
def test_filters(
    ask: Ask, write: Write, cast: Cast, query: dict[str, str], found: list[int]
) -> None:
    makers = (row, after_fallback, refused, failed)
    made = write(*[make(cast.acme.id, ms(i * 1000), chance=i) for i, make in enumerate(makers)])
    assert ids(ask(**query)) == [made[i] for i in found]


def test_calls_of_one_key(ask: Ask, write: Write, cast: Cast) -> None:
    key = str(new_id())
    made = write(row(cast.acme.id, ms(), chance=1, api_key_id=key), row(cast.acme.id, ms(5)))
    assert ids(ask()) == made
    assert ids(ask(key=key)) == made[:1]
    assert ids(ask(key=str(new_id()))) == []


def test_pages_meet_without_gap_or_double(ask: Ask, write: Write, cast: Cast) -> None:
    now = ms()
    # Three of each millisecond, so that pages end inside one.
    made = write(*[row(cast.acme.id, now - i // 3, chance=i) for i in range(120)])
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = ask(cursor=cursor)
        seen += ids(page)
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["data"]) == 50
    assert pages == 3
    assert len(seen) == len(set(seen)) == 120
    assert set(seen) == set(made)


def test_a_detail_adds_up_to_its_cost(ask: Ask, write: Write, cast: Cast) -> None:
    # Prices at which each line is a fraction of a nano-dollar.
    price = {**PRICE, "input": 333_333, "cached": 33_333, "output": 777_777}
    usage = {"input_tokens": 7, "output_tokens": 5, "cached_tokens": 3}
    total = cost(Usage(**usage), read_price(price)).total_nano
    (id_,) = write(
        row(cast.acme.id, ms(), price=price, usage=usage, cost_nano=total, metadata={"team": "a"})
    )
    told = ask(f"{CALLS}/{id_}")
    lines = told["cost_lines"]
    assert [line["kind"] for line in lines] == ["cached", "input", "output"]
    assert sum(line["quantity"] for line in lines) == 12
    exact = sum(Decimal(line["cost_usd"]) for line in lines)
    by_hand = sum(Decimal(n["quantity"]) * n["nano_per_million"] for n in lines)
    assert exact == by_hand / 10**15
    assert exact > 0
    assert exact.quantize(Decimal("1e-9")) == Decimal(told["cost_usd"])
    assert told["usage"] == usage
    assert told["price"] == price
    assert told["metadata"] == {"team": "a"}
    assert told["decision"]["policy"]["priority"] == "cost"


def test_a_call_without_a_price_has_no_lines(ask: Ask, write: Write, cast: Cast) -> None:
    (id_,) = write(refused(cast.acme.id, ms()))
    told = ask(f"{CALLS}/{id_}")
    assert told["cost_lines"] == []
    assert told["decision"]["refused"] == "max_cost_exceeded"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=bad", "status"),
        ("cursor=nonsense", "cursor"),
        ("cursor=1-2", "cursor"),
        ("cursor=99999999999999999999999-00000000000000000000000000000000", "cursor"),
        ("key=not-an-id", "key"),
        ("provider=%00", "provider"),
        ("model=a%00b", "model"),
        ("member=nobody", "member"),
        ("range=century", "range"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
    ],
)
def test_what_is_wrong_is_a_problem_that_names_its_field(
    ask: Ask, write: Write, cast: Cast, query: str, field: str
) -> None:
    write(row(cast.acme.id, ms()))
    problem = ask(f"{CALLS}?{query}", expect=422)
    assert (problem["status"], problem["code"], problem["field"]) == (422, "invalid_value", field)
    assert problem["detail"]


def test_a_refused_key_is_a_problem(client: Client, ask: Ask, cast: Cast) -> None:
    bare = client.get(CALLS)
    assert bare.status_code == 401
    assert bare["Content-Type"] == "application/problem+json"
    assert bare["WWW-Authenticate"] == "Bearer"
    assert bare.json()["code"] == "api_key_missing"
    assert ask(expect=401, bearer="er_live_nonsense")["code"] == "invalid_api_key"
    gateway = create_key(cast.acme.id, name="g", scopes=[Scope.GATEWAY], actor=SYSTEM)
    assert ask(expect=403, bearer=gateway.secret)["code"] == "scope_missing"


def test_the_number_of_queries_does_not_grow_with_the_page(
    ask: Ask, write: Write, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    write(*[row(cast.acme.id, ms(i), chance=i) for i in range(40)])
    with django_assert_max_num_queries(16):
        assert len(ask()["data"]) == 40


@pytest.mark.parametrize("limit", ["2", "200"])
def test_a_page_has_as_many_as_asked_for(ask: Ask, write: Write, cast: Cast, limit: str) -> None:
    made = write(*(row(cast.acme.id, ms(ago=n * 1000), chance=n) for n in range(3)))
    page = ask(limit=limit)
    assert ids(page) == made[: int(limit)]
    rest = ids(ask(limit=limit, cursor=page["next_cursor"])) if page["next_cursor"] else []
    assert ids(page) + rest == made


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many"])
def test_a_page_of_another_size_is_refused(ask: Ask, limit: str) -> None:
    assert ask(limit=limit, expect=422)["field"] == "limit"


@pytest.mark.parametrize(
    ("path", "name", "known"),
    [
        (CALLS, "provder", "cursor, limit, tag.<name>."),
        (CALLS, "tag.", "tag.<name>."),
        (CALLS, "tag", "tag.<name>."),
        ("/api/analytics/summary", "provder", "There are: range, from, to, provider,"),
        ("/api/analytics/summary", "grain", "There are: range,"),
        ("/api/members", "limit", "There are: "),
        ("/api/preferences", "limit", "It takes none."),
        (f"{CALLS}/{UUID(int=0)}", "full", "It takes none."),
    ],
)
def test_a_query_parameter_that_nobody_reads_is_refused(
    ask: Ask, path: str, name: str, known: str
) -> None:
    told = ask(path, expect=422, **{name: "x"})
    assert (told["code"], told["field"]) == ("unknown_parameter", name)
    assert known in told["detail"]
    assert ask(path, bearer="er_live_unknown", expect=401, **{name: "x"})
