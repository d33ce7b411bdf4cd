"""Saving preferences: what may be stored, who wins, and what holds in the end."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.services import connect_provider
from lib.errors import RouterError
from preferences import services
from preferences.core import Preferences, Priority, effective
from preferences.models import KeyPreferences, UserRouterPreferences
from preferences.selectors import all_levels, preferences_row, wishes
from preferences.services import save_key_preferences, save_preferences
from tenancy.core import SYSTEM, Actor
from tenancy.models import ApiKey, AuditEntry, new_id
from tenancy.scope import tenant_scope
from tenancy.selectors import audit_entries
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

ALICE = Actor("user", new_id(), "alice@example.com", "203.0.113.9")
BOB = Actor("user", new_id(), "bob@example.com", "203.0.113.10")
CENT_NANO = 10_000_000


@pytest.fixture
def acme(cast: Cast) -> Cast:
    """The cast with two providers connected at each organization."""
    for organization in (cast.acme, cast.rival):
        for slug in ("openai", "groq"):
            connect_provider(organization.id, preset=slug, secret="", actor=SYSTEM, models=[])
    return cast


def save(cast: Cast, actor: Actor = ALICE, **changes: Any) -> UserRouterPreferences:
    return save_preferences(cast.acme.id, None, changes, actor=actor)


def stored(cast: Cast, user_id: Any = None) -> UserRouterPreferences:
    with tenant_scope(cast.acme.id):
        return preferences_row(cast.acme.id, user_id)


def last_entry(cast: Cast) -> AuditEntry:
    with tenant_scope(cast.acme.id):
        return audit_entries(cast.acme.id)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("default_priority", "speed"),
        ("default_priority", Priority.PRIVACY),
        ("max_cost_per_request_nano", 1),
        ("max_cost_per_request_nano", services.COST_NANO_MAX),
        ("cost_alert_threshold_nano", services.THRESHOLD_NANO_MAX),
        ("max_latency_ms", 50),
        ("max_latency_ms", 600_000),
        ("preferred_providers", ["groq", "openai"]),
        ("blocked_providers", ["openai"]),
    ],
)
def test_a_value_within_bounds_is_stored_and_none_clears_it(
    acme: Cast, field: str, value: Any
) -> None:
    save(acme, **{field: value})
    assert getattr(stored(acme), field) == value
    empty: Any = [] if field.endswith("_providers") else None
    save(acme, **{field: empty})
    assert getattr(stored(acme), field) == empty


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("default_priority", "fast", "default_priority"),
        ("default_priority", 1, "default_priority"),
        ("default_priority", ["speed"], "default_priority"),
        ("max_cost_per_request_nano", 0, "max_cost_per_request"),
        ("max_cost_per_request_nano", -1, "max_cost_per_request"),
        ("max_cost_per_request_nano", True, "max_cost_per_request"),
        ("max_cost_per_request_nano", 0.05, "max_cost_per_request"),
        ("max_cost_per_request_nano", "5", "max_cost_per_request"),
        ("max_cost_per_request_nano", services.COST_NANO_MAX + 1, "max_cost_per_request"),
        ("cost_alert_threshold_nano", services.THRESHOLD_NANO_MAX + 1, "cost_alert_threshold"),
        ("cost_alert_threshold_nano", 2**64, "cost_alert_threshold"),
        ("max_latency_ms", 49, "max_latency_ms"),
        ("max_latency_ms", 600_001, "max_latency_ms"),
        ("max_latency_ms", True, "max_latency_ms"),
        ("max_latency_ms", 99.5, "max_latency_ms"),
        ("preferred_providers", "openai", "preferred_providers"),
        ("preferred_providers", None, "preferred_providers"),
        ("preferred_providers", ["nobody"], "preferred_providers"),
        ("preferred_providers", [["openai"]], "preferred_providers"),
        ("blocked_providers", ["openai"] * 51, "blocked_providers"),
        ("blocked_providers", {"openai": 1}, "blocked_providers"),
        ("organization_id", new_id(), "organization_id"),
        ("custom_rules", [], "custom_rules"),
        ("no_such_thing", 1, "no_such_thing"),
    ],
)
def test_anything_else_is_refused_by_name_and_nothing_changes(
    acme: Cast, field: str, value: Any, named: str
) -> None:
    save(acme, max_latency_ms=900)
    with pytest.raises(RouterError) as why:
        save(acme, **{"default_priority": "cost", field: value})
    assert (why.value.status, why.value.param) == (422, named)
    row = stored(acme)
    assert (row.default_priority, row.max_latency_ms) == (None, 900)
    assert last_entry(acme).after == {"max_latency_ms": 900}


def test_an_unknown_provider_is_answered_with_those_there_are(acme: Cast) -> None:
    with pytest.raises(RouterError, match="There are: groq, openai"):
        save(acme, blocked_providers=["mistral"])


def test_a_provider_stands_once_in_a_list(acme: Cast) -> None:
    save(acme, preferred_providers=["groq", "openai", "groq"])
    assert stored(acme).preferred_providers == ["groq", "openai"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("preferred_providers", "blocked_providers"),
        ("blocked_providers", "preferred_providers"),
    ],
)
def test_a_provider_moves_to_the_list_that_was_changed_last(
    acme: Cast, first: str, second: str
) -> None:
    save(acme, **{first: ["groq", "openai"]})
    save(acme, **{second: ["groq"]})
    row = stored(acme)
    assert (getattr(row, first), getattr(row, second)) == (["openai"], ["groq"])
    entry = last_entry(acme)
    assert entry.before == {first: ["groq", "openai"], second: []}
    assert entry.after == {first: ["openai"], second: ["groq"]}


def test_a_provider_in_both_lists_of_one_change_is_refused(acme: Cast) -> None:
    with pytest.raises(RouterError, match="groq cannot be both"):
        save(acme, preferred_providers=["groq"], blocked_providers=["groq"])


def test_the_trail_tells_who_changed_what_from_what_to_what(acme: Cast) -> None:
    save(acme, max_cost_per_request_nano=5 * CENT_NANO, default_priority="cost")
    save(acme, BOB, max_cost_per_request_nano=2 * CENT_NANO, default_priority="cost")
    entry = last_entry(acme)
    assert (entry.actor, entry.source) == ("bob@example.com", "203.0.113.10")
    assert entry.before == {"max_cost_per_request": "0.05"}
    assert entry.after == {"max_cost_per_request": "0.02"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_cost_per_request_nano": 2 * CENT_NANO}, "changed this to 0.02 meanwhile"),
        ({"max_latency_ms": None}, "changed this to empty meanwhile"),
        ({"blocked_providers": ["groq", "openai"]}, "changed this to groq, openai meanwhile"),
        ({"preferred_providers": []}, "changed this to empty meanwhile"),
    ],
)
def test_a_stale_version_is_told_who_changed_it_to_what(
    acme: Cast, change: dict[str, Any], told: str
) -> None:
    seen = save(acme, max_latency_ms=900, preferred_providers=["openai"]).updated_at
    save(acme, BOB, **change)
    ((field, _),) = change.items()
    mine: Any = [] if field.endswith("_providers") else 500
    with pytest.raises(RouterError) as why:
        save_preferences(acme.acme.id, None, {field: mine}, actor=ALICE, version=seen)
    assert (why.value.status, why.value.code) == (409, "changed_meanwhile")
    assert why.value.param == field.removesuffix("_nano")
    assert f"bob@example.com {told}" in why.value.message
    assert last_entry(acme).actor == "bob@example.com"


def test_a_change_of_another_field_meanwhile_is_no_conflict(acme: Cast) -> None:
    seen = save(acme, max_latency_ms=900).updated_at
    save(acme, BOB, default_priority="speed")
    save_preferences(acme.acme.id, None, {"max_latency_ms": 800}, actor=ALICE, version=seen)
    row = stored(acme)
    assert (row.max_latency_ms, row.default_priority) == (800, "speed")


def test_the_version_just_seen_is_not_stale(acme: Cast) -> None:
    seen = save(acme, max_latency_ms=900).updated_at
    save_preferences(acme.acme.id, None, {"max_latency_ms": 800}, actor=ALICE, version=seen)
    assert stored(acme).max_latency_ms == 800


def test_users_and_the_organization_have_a_row_each(acme: Cast) -> None:
    save(acme, max_latency_ms=900)
    save_preferences(acme.acme.id, acme.bob.id, {"max_latency_ms": 700}, actor=BOB)
    save_preferences(acme.acme.id, acme.bob.id, {"max_latency_ms": 600}, actor=BOB)
    assert stored(acme).max_latency_ms == 900
    assert stored(acme, acme.bob.id).max_latency_ms == 600
    with tenant_scope(acme.acme.id):
        assert UserRouterPreferences.objects.count() == 2
    with tenant_scope(acme.rival.id):
        assert UserRouterPreferences.objects.count() == 0


def test_a_key_has_preferences_without_a_threshold(acme: Cast) -> None:
    with tenant_scope(acme.acme.id):
        key = ApiKey.objects.get()
    row = save_key_preferences(acme.acme.id, key.id, {"blocked_providers": ["groq"]}, actor=ALICE)
    assert row.blocked_providers == ["groq"]
    with pytest.raises(RouterError) as why:
        save_key_preferences(
            acme.acme.id, key.id, {"cost_alert_threshold_nano": CENT_NANO}, actor=ALICE
        )
    assert why.value.status == 422


def test_a_key_of_another_organization_is_not_found(acme: Cast) -> None:
    with tenant_scope(acme.rival.id):
        theirs = ApiKey.objects.get()
    told = set()
    for key_id in (theirs.id, new_id()):
        with pytest.raises(RouterError) as why:
            save_key_preferences(acme.acme.id, key_id, {"max_latency_ms": 900}, actor=ALICE)
        told.add((why.value.status, why.value.message))
    assert told == {(404, "There is no such API key.")}
    with tenant_scope(acme.rival.id):
        assert KeyPreferences.objects.count() == 0


def test_lower_levels_tighten_what_was_saved_above(acme: Cast) -> None:
    with tenant_scope(acme.acme.id):
        key = ApiKey.objects.get()
    save(
        acme,
        default_priority="privacy",
        max_cost_per_request_nano=5 * CENT_NANO,
        blocked_providers=["groq"],
        preferred_providers=["openai"],
    )
    save_preferences(
        acme.acme.id,
        acme.alice.id,
        {
            "default_priority": "speed",
            "max_cost_per_request_nano": 9 * CENT_NANO,
            "max_latency_ms": 900,
        },
        actor=ALICE,
    )
    save_key_preferences(
        acme.acme.id,
        key.id,
        {"max_latency_ms": 2000, "max_cost_per_request_nano": CENT_NANO},
        actor=ALICE,
    )
    with tenant_scope(acme.acme.id):
        default, users, keys = all_levels(acme.acme.id)
    request = Preferences(preferred_providers=("groq",), max_latency_ms=500)
    assert effective([default, users[acme.alice.id], keys[key.id], request]) == Preferences(
        priority=Priority.PRIVACY,
        max_cost_nano=CENT_NANO,
        max_latency_ms=500,
        preferred_providers=(),
        blocked_providers=frozenset({"groq"}),
    )


def test_an_unsaved_row_wishes_nothing(acme: Cast) -> None:
    assert wishes(stored(acme)) == Preferences()
