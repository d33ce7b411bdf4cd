"""The daily threshold: what a day is, whose spend counts, and where the pages say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.ledger import Ledger
from analytics.selectors import spend_by_day
from preferences.models import UserRouterPreferences
from preferences.overspend import Overspend, overspends
from preferences.services import save_preferences
from tenancy.core import SYSTEM
from tenancy.models import Organization, User
from tenancy.pages import Member, memberships_of
from tenancy.scope import tenant_scope
from tests.analytics.rows import row
from tests.conftest import Cast, signed_in

PAGE = "/enterprise-router/preferences"
THRESHOLD = f"{PAGE}/organization/cost-threshold"
SWAP = {"HX-Request": "true", "HX-Target": "cost-threshold-after"}
USD = 10**9
COLUMN = "cost_alert_threshold_nano"

pytestmark = pytest.mark.django_db

Spend = Callable[..., None]


@pytest.fixture
def spend() -> Iterator[Spend]:
    """A call of an organization at a time, for an amount in dollars, by nobody or by a user."""
    ledger = Ledger(settings.DATABASE_INGEST_URL)

    def _spend(
        organization: Organization, at: datetime, usd: float, user: UUID | None = None
    ) -> None:
        made = row(
            organization.id,
            round(at.timestamp() * 1000),
            chance=uuid4().int % 2**60,
            cost_nano=round(usd * USD),
            user_id=str(user) if user else None,
        )
        ledger.write([made])

    yield _spend
    ledger.close()


def member_of(user: User, **changes: Any) -> Member:
    (found,) = memberships_of(user)
    return Member(
        found.user,
        found.organization_id,
        found.organization,
        found.role,
        changes.get("time_zone", found.time_zone),
    )


def hold(organization: Organization, usd: float, user: User | None = None) -> None:
    nano = round(usd * USD)
    save_preferences(organization.id, user.id if user else None, {COLUMN: nano}, actor=SYSTEM)


def found_at(member: Member, now: datetime) -> list[Overspend]:
    with tenant_scope(member.organization_id):
        return overspends(member, now)


MORNING = datetime(2026, 11, 18, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "is_today"),
    [
        ("Europe/Berlin", datetime(2026, 11, 17, 23, 30, tzinfo=UTC), True),
        ("Europe/Berlin", datetime(2026, 11, 17, 22, 59, tzinfo=UTC), False),
        ("UTC", datetime(2026, 11, 17, 23, 30, tzinfo=UTC), False),
        ("America/Los_Angeles", datetime(2026, 11, 18, 7, 59, tzinfo=UTC), False),
        # Half an hour into an hour of UTC: the day does not begin with an hour of the rollups.
        ("Asia/Kolkata", datetime(2026, 11, 17, 18, 31, tzinfo=UTC), True),
        ("Asia/Kolkata", datetime(2026, 11, 17, 18, 29, tzinfo=UTC), False),
        ("Asia/Kathmandu", datetime(2026, 11, 17, 18, 16, tzinfo=UTC), True),
        ("Asia/Kathmandu", datetime(2026, 11, 17, 18, 14, tzinfo=UTC), False),
    ],
)
def test_a_day_is_the_organizations(
    cast: Cast, spend: Spend, zone: str, at: datetime, is_today: bool
) -> None:
    hold(cast.acme, 5)
    spend(cast.acme, at, 6)
    assert bool(found_at(member_of(cast.alice, time_zone=zone), MORNING)) is is_today


def test_a_day_of_25_hours_holds_all_of_them(cast: Cast) -> None:
    berlin = member_of(cast.alice)
    before, today = berlin.midnights(datetime(2026, 10, 26, 12, tzinfo=UTC), 1)
    assert today - before == timedelta(hours=25)


@pytest.mark.parametrize(("usd", "is_over"), [(399.99, False), (400, False), (400.01, True)])
def test_only_more_than_the_threshold_is_over_it(
    cast: Cast, spend: Spend, usd: float, is_over: bool
) -> None:
    hold(cast.acme, 400)
    spend(cast.acme, MORNING, usd)
    assert bool(found_at(member_of(cast.alice), MORNING)) is is_over


def test_both_amounts_are_named_and_never_read_the_same(cast: Cast, spend: Spend) -> None:
    hold(cast.acme, 400)
    spend(cast.acme, MORNING, 512.4)
    (found,) = found_at(member_of(cast.alice), MORNING)
    assert found.text == "Today's spend is $512.40, over the daily threshold of $400.00."
    assert found.requests == "/requests?range=today"
    hold(cast.acme, 512.399)
    (found,) = found_at(member_of(cast.alice), MORNING)
    assert found.text == "Today's spend is $512.40, over the daily threshold of $512.399."


def test_ones_own_threshold_counts_ones_own_calls(cast: Cast, spend: Spend) -> None:
    hold(cast.acme, 5, user=cast.alice)
    spend(cast.acme, MORNING, 6, user=cast.bob.id)
    spend(cast.acme, MORNING, 4, user=cast.alice.id)
    assert found_at(member_of(cast.alice), MORNING) == []
    spend(cast.acme, MORNING, 4, user=cast.alice.id)
    (found,) = found_at(member_of(cast.alice), MORNING)
    assert found.text == "Your own spend today is $8.00, over your daily threshold of $5.00."
    assert found.requests == f"/requests?range=today&member={cast.alice.id}"
    assert found_at(member_of(cast.bob), MORNING) == []


def test_the_spend_of_another_organization_counts_nothing(cast: Cast, spend: Spend) -> None:
    hold(cast.acme, 5)
    spend(cast.rival, MORNING, 100)
    assert found_at(member_of(cast.alice), MORNING) == []


def test_days_add_up_to_the_range_in_every_zone(cast: Cast, spend: Spend) -> None:
    for hour in range(0, 80, 5):
        spend(cast.acme, datetime(2026, 11, 13, 23, 30, tzinfo=UTC) + timedelta(hours=hour), 1)
    for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles"):
        midnights = member_of(cast.alice, time_zone=zone).midnights(MORNING, 7)
        with tenant_scope(cast.acme.id):
            days = spend_by_day(cast.acme.id, midnights)
            assert len(days) == 7
            assert sum(days) == 16 * USD
            assert spend_by_day(cast.acme.id, midnights, cast.alice.id) == [0] * 7


def test_the_field_saves_by_itself_and_the_banner_comes_and_goes_with_it(
    cast: Cast, spend: Spend, as_alice: Client
) -> None:
    spend(cast.acme, timezone.now(), 12)
    answer = as_alice.post(THRESHOLD, {"value": "$10", "was": ""}, headers=SWAP)
    said = answer.content.decode()
    assert answer.status_code == 200
    assert "Saved" in said
    assert 'id="overspend" role="status" hx-swap-oob="true"' in said
    assert "$12.00, over the daily threshold of $10.00." in said
    with tenant_scope(cast.acme.id):
        stored = UserRouterPreferences.objects.get(organization=cast.acme, user=None)
    assert stored.cost_alert_threshold_nano == 10 * USD
    said = as_alice.post(THRESHOLD, {"value": "20", "was": "10"}, headers=SWAP).content.decode()
    assert "over the daily threshold" not in said
    assert 'id="overspend"' in said


@pytest.mark.parametrize("url", [PAGE, f"{PAGE}?scope=mine", "/requests"])
def test_preferences_and_requests_say_that_today_is_over(
    cast: Cast, spend: Spend, as_bob: Client, as_carol: Client, url: str
) -> None:
    hold(cast.acme, 10)
    spend(cast.acme, timezone.now(), 12)
    page = as_bob.get(url).content.decode()
    assert "Today&#x27;s spend is $12.00, over the daily threshold of $10.00." in page
    assert 'href="/requests?range=today"' in page
    assert "daily threshold of" not in as_carol.get(url).content.decode()


@pytest.mark.parametrize(
    ("value", "said"),
    [("much", "such as 400"), ("0", "above $0"), ("1000001", "at most $1,000,000")],
)
def test_what_is_no_threshold_is_refused(as_alice: Client, value: str, said: str) -> None:
    answer = as_alice.post(THRESHOLD, {"value": value, "was": ""}, headers=SWAP)
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_viewer_may_not_set_it(as_bob: Client) -> None:
    assert as_bob.post(THRESHOLD, {"value": "9", "was": ""}, headers=SWAP).status_code == 403
    mine = f"{PAGE}/mine/cost-threshold"
    assert as_bob.post(mine, {"value": "9", "was": ""}, headers=SWAP).status_code == 403


def test_the_hint_names_the_spread_of_the_last_seven_days(
    cast: Cast, spend: Spend, as_alice: Client
) -> None:
    assert "Nothing was spent in the 7 days before today." in as_alice.get(PAGE).content.decode()
    midnights = member_of(cast.alice).midnights(timezone.now(), 8)
    # Today and the eighth day before are not among the seven.
    spent = (900, 412.4, 684.2, 500, 500, 500, 500, 500, 900)
    for usd, midnight in zip(spent, midnights, strict=True):
        spend(cast.acme, midnight + timedelta(seconds=30), usd)
    assert (
        "You spent $412\N{EN DASH}$684 a day in the 7 days before today; $900.00 so far today."
        in as_alice.get(PAGE).content.decode()
    )
    hold(cast.acme, 600)
    assert "1 of the 7 was over it." in as_alice.get(PAGE).content.decode()
    mine = as_alice.get(f"{PAGE}?scope=mine").content.decode()
    assert "Nothing was spent in the 7 days before today." in mine


def test_todays_requests_are_those_of_the_organizations_day(
    cast: Cast, spend: Spend, as_alice: Client
) -> None:
    (today,) = member_of(cast.alice).midnights(timezone.now())
    spend(cast.acme, today, 1, user=cast.alice.id)
    spend(cast.acme, today - timedelta(milliseconds=1), 1, user=cast.alice.id)
    spend(cast.acme, today, 1, user=cast.bob.id)

    def listed(query: str) -> int:
        return as_alice.get(f"/requests?{query}").content.decode().count('<tr class="opens"')

    assert listed("") == 3
    assert listed("range=today") == 2
    assert listed(f"range=today&member={cast.alice.id}") == 1
    assert listed("range=7d") == 3


@pytest.mark.parametrize("url", [PAGE, "/requests"])
def test_the_banner_costs_two_queries_however_many_calls_there_are(
    cast: Cast, spend: Spend, url: str
) -> None:
    browser = signed_in(cast.alice)
    counts = []
    for usd in (1, 100):
        hold(cast.acme, usd)
        spend(cast.acme, timezone.now(), usd + 1)
        with CaptureQueriesContext(connection) as caught:
            browser.get(url)
        asked = [q["sql"] for q in caught if "cost_alert_threshold" in q["sql"]]
        spent = [q["sql"] for q in caught if "AS spent" in q["sql"]]
        assert len(spent) == 1
        counts.append((len(caught), len(asked)))
    assert counts[0] == counts[1]
