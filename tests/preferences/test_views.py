"""The preferences page: reading, saving a field, conflicts, roles, and without JavaScript."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from preferences.models import UserRouterPreferences
from preferences.services import save_preferences
from tenancy.core import SYSTEM, Role
from tenancy.models import AuditEntry, Organization, User
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_user
from tests.conftest import Cast

PAGE = "/enterprise-router/preferences"
COST = f"{PAGE}/organization/max-cost"
SWAP = {"HX-Request": "true", "HX-Target": "max-cost-after"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, cast: Cast) -> Client:
    client.force_login(cast.alice)
    return client


def stored(organization: Organization, user: User | None = None) -> UserRouterPreferences | None:
    with tenant_scope(organization.id):
        return UserRouterPreferences.objects.filter(
            organization_id=organization.id, user=user
        ).first()


def post(client: Client, url: str, data: dict[str, Any], **headers: str) -> Any:
    return client.post(url, data, headers=headers or SWAP)


def test_the_page_shows_every_field(browser: Client) -> None:
    page = browser.get(PAGE).content.decode()
    for name in ("f-priority", "max-cost", "max-latency", "f-providers", "cost-threshold"):
        assert f'id="{name}"' in page
    for priority in ("Balanced", "Speed", "Cost", "Quality", "Privacy"):
        assert f">{priority}</label>" in page


def test_saving_stores_says_so_and_is_audited(browser: Client, cast: Cast) -> None:
    answer = post(browser, COST, {"value": "0.05", "was": ""})
    assert answer.status_code == 200
    assert "Saved" in answer.content.decode()
    assert "Undo" in answer.content.decode()
    row = stored(cast.acme)
    assert row is not None
    assert row.max_cost_per_request_nano == 50_000_000
    with tenant_scope(cast.acme.id):
        entry = AuditEntry.objects.filter(object_id=row.id).latest("created_at")
    assert entry.before == {"max_cost_per_request": None}
    assert Decimal(entry.after["max_cost_per_request"]) == Decimal("0.05")


def test_saving_swaps_the_message_and_never_the_input(browser: Client) -> None:
    answer = post(browser, COST, {"value": "0.05", "was": ""}).content.decode()
    assert 'id="max-cost"' not in answer
    assert '<input type="hidden" name="was" value="0.05">' in answer


def test_undo_brings_the_former_value_back(browser: Client, cast: Cast) -> None:
    post(browser, COST, {"value": "0.05", "was": ""})
    answer = post(
        browser,
        COST,
        {"value": "", "was": "0.05"},
        **{"HX-Request": "true", "HX-Target": "f-max-cost"},
    )
    assert 'id="max-cost"' in answer.content.decode()
    row = stored(cast.acme)
    assert row is not None
    assert row.max_cost_per_request_nano is None


@pytest.mark.parametrize(
    ("url", "value", "said"),
    [
        (COST, "five", "Enter dollars as digits with a decimal point"),
        (COST, "-1", "above $0"),
        (f"{PAGE}/organization/max-latency", "20", "Enter 50 to 600,000 ms."),
        (f"{PAGE}/organization/priority", "luck", "Choose one of"),
    ],
)
def test_an_invalid_value_is_refused_beside_its_field(
    browser: Client, url: str, value: str, said: str, cast: Cast
) -> None:
    target = f"{url.rsplit('/', 1)[1]}-after"
    answer = post(
        browser, url, {"value": value, "was": ""}, **{"HX-Request": "true", "HX-Target": target}
    )
    assert answer.status_code == 422
    assert said in answer.content.decode()
    row = stored(cast.acme)
    assert row is None or (row.max_cost_per_request_nano, row.max_latency_ms) == (None, None)


def test_the_same_value_twice_leaves_the_first_message(browser: Client) -> None:
    post(browser, COST, {"value": "0.05", "was": ""})
    assert post(browser, COST, {"value": "0.05", "was": "0.05"}).status_code == 204


def test_the_stored_value_clears_an_error(browser: Client) -> None:
    answer = post(browser, COST, {"value": "", "was": "", "refused": "1"})
    assert answer.status_code == 200
    assert "No limit." in answer.content.decode()


def test_somebody_elses_change_is_not_overwritten(browser: Client, cast: Cast) -> None:
    add_member(cast.acme.id, user=cast.bob, role=Role.ADMIN, actor=SYSTEM)
    other = Client()
    other.force_login(cast.bob)
    post(other, COST, {"value": "0.10", "was": ""})
    answer = post(browser, COST, {"value": "0.05", "was": ""})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert f"{cast.bob.email} changed this to $0.10" in text
    assert "Keep yours" in text
    row = stored(cast.acme)
    assert row is not None
    assert row.max_cost_per_request_nano == 100_000_000
    # Going on typing is no decision; "Keep yours" says that it saw theirs.
    assert '<input type="hidden" name="was" value="">' in text
    assert post(browser, COST, {"value": "0.06", "was": ""}).status_code == 409
    assert post(browser, COST, {"value": "0.05", "was": "0.1"}).status_code == 200


def test_another_field_changed_meanwhile_is_no_conflict(browser: Client, cast: Cast) -> None:
    save_preferences(cast.acme.id, None, {"max_latency_ms": 900}, actor=SYSTEM)
    assert post(browser, COST, {"value": "0.05", "was": ""}).status_code == 200


def test_without_javascript_a_save_leads_back_to_the_page(browser: Client, cast: Cast) -> None:
    answer = browser.post(COST, {"value": "0.05", "was": ""}, follow=True)
    assert answer.redirect_chain == [(f"{PAGE}?scope=organization", 302)]
    assert "Saved" in answer.content.decode()


def test_without_javascript_a_refusal_shows_the_page_with_what_was_typed(browser: Client) -> None:
    answer = browser.post(COST, {"value": "five", "was": ""})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "<h1>" in page
    assert 'value="five"' in page
    assert 'aria-invalid="true"' in page


def connect(organization: Organization) -> None:
    from catalog.models import Provider

    with tenant_scope(organization.id):
        for slug, name in (("groq", "Groq"), ("openai", "OpenAI")):
            Provider.objects.create(
                organization_id=organization.id, slug=slug, preset=slug, name=name, wire="openai"
            )


def providers(client: Client, scope: str, **data: str) -> Any:
    return post(
        client,
        f"{PAGE}/{scope}/providers",
        data,
        **{"HX-Request": "true", "HX-Target": "f-providers"},
    )


def test_a_blocked_provider_leaves_preferred_and_the_page_says_so(
    browser: Client, cast: Cast
) -> None:
    connect(cast.acme)
    providers(browser, "organization", slug="groq", to="preferred")
    answer = providers(browser, "organization", slug="groq", to="blocked").content.decode()
    assert "Groq moved from preferred to blocked." in answer
    assert 'aria-label="Remove Groq from blocked"' in answer
    row = stored(cast.acme)
    assert row is not None
    assert (row.preferred_providers, row.blocked_providers) == ([], ["groq"])


def test_undo_of_a_move_restores_both_lists(browser: Client, cast: Cast) -> None:
    connect(cast.acme)
    providers(browser, "organization", slug="groq", to="preferred")
    providers(browser, "organization", slug="groq", to="blocked")
    providers(browser, "organization", value="groq|", was="|groq")
    row = stored(cast.acme)
    assert row is not None
    assert (row.preferred_providers, row.blocked_providers) == (["groq"], [])


def test_an_unknown_provider_is_refused(browser: Client, cast: Cast) -> None:
    answer = providers(browser, "organization", slug="nobody", to="blocked")
    assert answer.status_code == 422
    assert "is not a provider here" in answer.content.decode()


def test_ones_own_limit_above_the_organizations_says_it_has_no_effect(
    browser: Client, cast: Cast
) -> None:
    save_preferences(cast.acme.id, None, {"max_cost_per_request_nano": 50_000_000}, actor=SYSTEM)
    answer = post(browser, f"{PAGE}/mine/max-cost", {"value": "0.10", "was": ""})
    assert "No effect: the organization&#x27;s limit of $0.05 is lower." in answer.content.decode()


def test_a_limit_is_named_as_it_is_stored(browser: Client, cast: Cast) -> None:
    save_preferences(cast.acme.id, None, {"max_latency_ms": 1_234}, actor=SYSTEM)
    page = browser.get(f"{PAGE}?scope=mine").content.decode()
    assert "The organization&#x27;s limit of 1,234 ms holds." in page


def test_what_the_organization_blocks_cannot_be_removed_by_a_user(
    browser: Client, cast: Cast
) -> None:
    connect(cast.acme)
    save_preferences(cast.acme.id, None, {"blocked_providers": ["groq"]}, actor=SYSTEM)
    page = browser.get(f"{PAGE}?scope=mine").content.decode()
    assert "<bdi>Groq</bdi>, by the organization" in page
    assert "Remove Groq" not in page


def test_privacy_without_a_local_provider_warns(browser: Client, cast: Cast) -> None:
    connect(cast.acme)
    answer = post(
        browser,
        f"{PAGE}/organization/priority",
        {"value": "privacy", "was": ""},
        **{"HX-Request": "true", "HX-Target": "priority-after"},
    )
    assert "every request is refused" in answer.content.decode()


def test_a_viewer_reads_and_changes_nothing(client: Client, cast: Cast) -> None:
    client.force_login(cast.bob)
    page = client.get(f"{PAGE}?scope=organization").content.decode()
    assert "your role is viewer" in page
    assert "disabled" in page
    for scope in ("organization", "mine"):
        answer = post(client, f"{PAGE}/{scope}/max-cost", {"value": "0.05", "was": ""})
        assert answer.status_code == 403
    assert stored(cast.acme) is None


def test_a_member_changes_their_own_only(client: Client, cast: Cast) -> None:
    dave = create_user("dave@acme.test", None)
    add_member(cast.acme.id, user=dave, role=Role.MEMBER, actor=SYSTEM)
    client.force_login(dave)
    assert post(client, COST, {"value": "0.05", "was": ""}).status_code == 403
    answer = post(client, f"{PAGE}/mine/max-cost", {"value": "0.05", "was": ""})
    assert answer.status_code == 200
    assert stored(cast.acme) is None
    row = stored(cast.acme, dave)
    assert row is not None
    assert row.max_cost_per_request_nano == 50_000_000


def test_another_organization_keeps_its_own(client: Client, cast: Cast) -> None:
    client.force_login(cast.carol)
    post(client, COST, {"value": "0.05", "was": ""})
    assert stored(cast.acme) is None
    assert stored(cast.rival) is not None


def test_unknown_scopes_and_fields_are_not_found(browser: Client) -> None:
    for url in (f"{PAGE}/theirs/max-cost", f"{PAGE}/organization/id", f"{PAGE}?scope=theirs"):
        assert browser.get(url).status_code == 404


def test_the_page_asks_the_database_a_fixed_number_of_times(
    browser: Client, django_assert_num_queries: Any, cast: Cast
) -> None:
    connect(cast.acme)
    browser.get(PAGE)
    with django_assert_num_queries(18, exact=False):
        browser.get(PAGE)


def test_nobody_is_sent_to_sign_in(client: Client) -> None:
    assert client.get(PAGE)["Location"] == f"/accounts/login/?next={PAGE}"
