"""The cast: alice owns acme, bob may only read it, carol owns rival. Real Postgres, real Redis.

The database is migrated already and tests run as the role of a web process: as a superuser every
isolation test would pass and prove nothing. ``db`` tests roll back; what other processes must see
is made with ``committed``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as property_settings

from tenancy.core import SYSTEM, Role, Scope
from tenancy.models import Organization, User
from tenancy.services import add_member, create_key, create_organization, create_user


def pytest_configure() -> None:
    """whitenoise warns, and warnings are errors, where no folder of collected files stands."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    # How fast the machine is says nothing about the code.
    slow = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    property_settings.register_profile("any-machine", property_settings.default, **slow)
    property_settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database stands already: ./test made it with the product's own bootstrap."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Two organizations, who is in them, and a key of each with both scopes."""

    acme: Organization
    rival: Organization
    alice: User
    bob: User
    carol: User
    acme_key: str
    rival_key: str


def make_cast(tag: str) -> Cast:
    """The cast with addresses of its own, so that committed ones never meet."""
    alice, bob, carol = (
        create_user(f"{name}-{tag}@example.com", "correct horse battery")
        for name in ("alice", "bob", "carol")
    )
    acme = create_organization(
        name=f"Acme {tag}", owner=alice, actor=SYSTEM, time_zone="Europe/Berlin"
    )
    rival = create_organization(name=f"Rival {tag}", owner=carol, actor=SYSTEM)
    add_member(acme.id, user=bob, role=Role.VIEWER, actor=SYSTEM)
    both = (Scope.GATEWAY, Scope.ADMIN)
    acme_key = create_key(acme.id, name="acme key", scopes=both, actor=SYSTEM, user=alice)
    rival_key = create_key(rival.id, name="rival key", scopes=both, actor=SYSTEM, user=carol)
    return Cast(acme, rival, alice, bob, carol, acme_key.secret, rival_key.secret)


@pytest.fixture
def cast(db: None) -> Cast:
    """The cast, gone after the test."""
    return make_cast("test")


@pytest.fixture
def committed(django_db_blocker: Any, request: pytest.FixtureRequest) -> Iterator[Cast]:
    """The cast as every process sees it; it stays, under names of its own."""
    from tenancy.models import new_id

    with django_db_blocker.unblock():
        yield make_cast(new_id().hex[-12:])


def signed_in(user: User) -> Client:
    """A browser in which the user signed in just now."""
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    noted(client, user, [{"method": "password", "at": time.time()}])
    return client


def noted(client: Client, user: User, records: list[dict[str, Any]]) -> None:
    """Makes the client's session remember how, and when, the user showed who they are."""
    session = client.session
    session["account_authentication_methods"] = records
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


@pytest.fixture
def as_alice(cast: Cast) -> Client:
    """The owner's browser."""
    return signed_in(cast.alice)


@pytest.fixture
def as_bob(cast: Cast) -> Client:
    """The viewer's browser."""
    return signed_in(cast.bob)


@pytest.fixture
def as_carol(cast: Cast) -> Client:
    """The stranger's browser."""
    return signed_in(cast.carol)
