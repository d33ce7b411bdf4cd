"""How the levels of preferences become one: below tightens, never loosens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferences.core import DEFAULT, Preferences, Priority, effective, tighten

SLUGS = ("alpha", "beta", "gamma", "delta")
_some = st.frozensets(st.sampled_from(SLUGS))
_limit = st.none() | st.integers(1, 10**12)
levels = st.builds(
    Preferences,
    priority=st.none() | st.sampled_from(Priority),
    max_cost_nano=_limit,
    max_latency_ms=_limit,
    preferred_providers=st.lists(st.sampled_from(SLUGS), unique=True).map(tuple),
    blocked_providers=_some,
    allowed_providers=st.none() | _some,
)


def _p(**fields: object) -> Preferences:
    return Preferences(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        pytest.param(_p(), _p(), _p(), id="nothing stays nothing"),
        pytest.param(
            _p(max_cost_nano=5), _p(max_cost_nano=9), _p(max_cost_nano=5), id="a higher cost is cut"
        ),
        pytest.param(
            _p(max_cost_nano=5), _p(max_cost_nano=3), _p(max_cost_nano=3), id="a lower cost holds"
        ),
        pytest.param(_p(max_cost_nano=5), _p(), _p(max_cost_nano=5), id="no cost inherits"),
        pytest.param(_p(), _p(max_cost_nano=5), _p(max_cost_nano=5), id="a first cost holds"),
        pytest.param(
            _p(max_latency_ms=100),
            _p(max_latency_ms=900),
            _p(max_latency_ms=100),
            id="a higher latency is cut",
        ),
        pytest.param(
            _p(max_latency_ms=900),
            _p(max_latency_ms=100),
            _p(max_latency_ms=100),
            id="a lower latency holds",
        ),
        pytest.param(
            _p(blocked_providers=frozenset({"a"})),
            _p(blocked_providers=frozenset({"b"})),
            _p(blocked_providers=frozenset({"a", "b"})),
            id="blocked ones add up",
        ),
        pytest.param(
            _p(allowed_providers=frozenset({"a", "b"})),
            _p(allowed_providers=frozenset({"b", "c"})),
            _p(allowed_providers=frozenset({"b"})),
            id="allowed ones intersect",
        ),
        pytest.param(
            _p(allowed_providers=frozenset({"a"})),
            _p(allowed_providers=frozenset({"b"})),
            _p(allowed_providers=frozenset()),
            id="allowed ones with nothing in common allow nobody",
        ),
        pytest.param(
            _p(allowed_providers=frozenset({"a"})),
            _p(),
            _p(allowed_providers=frozenset({"a"})),
            id="allowed ones inherit",
        ),
        pytest.param(
            _p(priority=Priority.COST),
            _p(priority=Priority.SPEED),
            _p(priority=Priority.SPEED),
            id="the lower priority wins",
        ),
        pytest.param(
            _p(priority=Priority.PRIVACY),
            _p(priority=Priority.COST),
            _p(priority=Priority.PRIVACY),
            id="privacy is not taken back",
        ),
        pytest.param(
            _p(priority=Priority.COST),
            _p(priority=Priority.PRIVACY),
            _p(priority=Priority.PRIVACY),
            id="privacy may be asked for below",
        ),
        pytest.param(
            _p(preferred_providers=("a", "b")),
            _p(preferred_providers=("c",)),
            _p(preferred_providers=("c",)),
            id="the lower preference wins",
        ),
        pytest.param(
            _p(preferred_providers=("a", "b")),
            _p(blocked_providers=frozenset({"a"})),
            _p(preferred_providers=("b",), blocked_providers=frozenset({"a"})),
            id="a blocked provider is not preferred",
        ),
        pytest.param(
            _p(blocked_providers=frozenset({"a"})),
            _p(preferred_providers=("a", "b")),
            _p(preferred_providers=("b",), blocked_providers=frozenset({"a"})),
            id="preferring does not unblock",
        ),
    ],
)
def test_two_levels_become_one(
    above: Preferences, below: Preferences, expected: Preferences
) -> None:
    assert tighten(above, below) == expected


def test_without_wishes_the_products_default_holds() -> None:
    assert effective([]) == DEFAULT
    assert effective([Preferences(), Preferences()]).priority is Priority.BALANCED


def test_four_levels_apply_in_order() -> None:
    organization = _p(priority=Priority.COST, max_cost_nano=100, preferred_providers=("a",))
    user = _p(priority=Priority.SPEED, max_cost_nano=500, blocked_providers=frozenset({"b"}))
    key = _p(max_latency_ms=800, allowed_providers=frozenset({"a", "b"}))
    request = _p(priority=Priority.QUALITY, max_latency_ms=900)
    assert effective([organization, user, key, request]) == _p(
        priority=Priority.QUALITY,
        max_cost_nano=100,
        max_latency_ms=800,
        preferred_providers=("a",),
        blocked_providers=frozenset({"b"}),
        allowed_providers=frozenset({"a", "b"}),
    )


@given(above=levels, below=levels)
def test_a_lower_level_never_loosens(above: Preferences, below: Preferences) -> None:
    both = tighten(above, below)
    for one in (above, below):
        if one.max_cost_nano is not None:
            assert both.max_cost_nano is not None
            assert both.max_cost_nano <= one.max_cost_nano
        if one.max_latency_ms is not None:
            assert both.max_latency_ms is not None
            assert both.max_latency_ms <= one.max_latency_ms
        assert both.blocked_providers >= one.blocked_providers
        if one.allowed_providers is not None:
            assert both.allowed_providers is not None
            assert both.allowed_providers <= one.allowed_providers
    if Priority.PRIVACY in (above.priority, below.priority):
        assert both.priority is Priority.PRIVACY
    assert not both.blocked_providers & set(both.preferred_providers)


@given(levels)
def test_saying_a_thing_twice_changes_nothing(level: Preferences) -> None:
    once = effective([level])
    assert effective([level, level]) == once
    assert tighten(once, Preferences()) == once


@given(levels, levels, levels)
def test_it_does_not_matter_how_levels_are_grouped(
    a: Preferences, b: Preferences, c: Preferences
) -> None:
    assert tighten(tighten(a, b), c).max_cost_nano == tighten(a, tighten(b, c)).max_cost_nano
    assert (
        tighten(tighten(a, b), c).allowed_providers == tighten(a, tighten(b, c)).allowed_providers
    )
    assert (
        tighten(tighten(a, b), c).blocked_providers == tighten(a, tighten(b, c)).blocked_providers
    )
