"""A row of every tenant model, in two organizations, for the tests of the wall between them."""

from __future__ import annotations

import time
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.http import HttpResponse

from analytics.ledger import Ledger
from catalog.presets import ModelPreset
from catalog.services import connect_provider
from preferences.services import save_key_preferences, save_preferences
from tenancy.core import SYSTEM, Role, Scope
from tenancy.idempotency import answer_once
from tenancy.invitations import invite
from tenancy.models import FormerMember, Organization, SsoConnection, SsoDomain
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_user
from tests.analytics.rows import after_fallback

CHEAP = ModelPreset("cheap", 8_192, 1_024, frozenset({"streaming"}), 50)


def tenant_models() -> list[type[Model]]:
    """Every model whose rows belong to an organization, found by walking the apps."""
    return [
        model
        for model in apps.get_models()
        if model is Organization
        or any(field.attname == "organization_id" for field in model._meta.concrete_fields)
    ]


def tenant_column(model: type[Model]) -> str:
    """The column that names the organization."""
    return "id" if model is Organization else "organization_id"


def make_samples(organization_id: UUID) -> None:
    """What an organization does in its first days: each table gets at least one row.

    The organization itself, its owner, a key and its secret are there already.
    """
    someone = create_user(f"dave-{organization_id.hex}@example.com", None)
    add_member(organization_id, user=someone, role=Role.MEMBER, actor=SYSTEM)
    email = f"erin-{organization_id.hex}@example.com"
    invite(organization_id, email=email, role=Role.VIEWER, by=Role.ADMIN, actor=SYSTEM)
    key = create_key(organization_id, name="k", scopes=[Scope.GATEWAY], actor=SYSTEM).key
    connect_provider(
        organization_id, preset="openai", secret="sk-sample", actor=SYSTEM, models=[CHEAP]
    )
    save_preferences(organization_id, None, {"default_priority": "cost"}, actor=SYSTEM)
    save_key_preferences(organization_id, key.id, {"max_latency_ms": 900}, actor=SYSTEM)
    with tenant_scope(organization_id):
        FormerMember.objects.create(organization_id=organization_id, user=someone)
        connection = SsoConnection.objects.create(
            organization_id=organization_id, kind="oidc", name="Okta", default_role="member"
        )
        SsoDomain.objects.create(
            organization_id=organization_id,
            connection=connection,
            domain=f"{organization_id.hex}.example",
        )
    answer_once(
        organization_id, key.id, "once", fingerprint=b"x", run=lambda: HttpResponse(status=201)
    )
    ledger = Ledger(settings.DATABASE_INGEST_URL)
    now_ms = time.time_ns() // 1_000_000
    call = after_fallback(organization_id, now_ms, api_key_id=str(key.id))
    said = {"request": "", "answer": "", "request_bytes": 0, "answer_bytes": 0}
    ledger.write([call], [call | said])
    ledger.close()
