"""Every change of configuration that there is, and the entry that each leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from allauth.mfa.totp.internal.auth import TOTP
from django.utils import timezone

import analytics.services
import catalog.editing
import catalog.services
import preferences.services
import tenancy.invitations
import tenancy.key_services
import tenancy.members
import tenancy.organization
import tenancy.services
from catalog.presets import ModelPreset
from tenancy.core import SYSTEM, Actor, Role, Scope
from tenancy.models import ApiKey, Invitation, Membership, new_id
from tenancy.scope import tenant_scope
from tests.conftest import Cast

SERVICES = (
    tenancy.services,
    tenancy.key_services,
    tenancy.invitations,
    tenancy.members,
    tenancy.organization,
    catalog.services,
    catalog.editing,
    preferences.services,
    analytics.services,
)
ACTOR = Actor("user", new_id(), "alice@example.com", "203.0.113.9")
SECRET = "sk-canary-0123456789"
MODEL = ModelPreset("tiny", 8_192, 1_024, frozenset({"streaming"}), 40)
LATER = timezone.now() + timedelta(days=1)

# What changes no configuration of an organization.
OTHERS = {
    "create_user": "a person belongs to no organization yet",
    "checked_networks": "reads",
    "offer_of": "reads",
    "key_version": "reads",
    "member_version": "reads",
    "settings_of": "reads",
    "withdraw_those_of": "part of a change of members, audited as withdraw",
    "delete_organization": "takes its trail with it; the operator's log tells",
    "member_user": "reads",
    "open_secret": "reads",
    "origin_of": "reads",
    "providers_of_environment": "reads",
    "as_dict": "reads",
    "mark_tested": "notes what a test found and changes no configuration",
    "keep_partitions": "upkeep of the ledger, of no organization",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What to do, and the entry that it leaves."""

    do: Callable[[Cast], Any]
    action: str
    kind: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def key_of(cast: Cast) -> ApiKey:
    with tenant_scope(cast.acme.id):
        return ApiKey.objects.get()


def bobs_membership(cast: Cast) -> UUID:
    with tenant_scope(cast.acme.id):
        return Membership.objects.get(user=cast.bob).id


def invited(cast: Cast, actor: Actor = ACTOR) -> Any:
    return tenancy.invitations.invite(
        cast.acme.id, email="carol-test@example.com", role=Role.VIEWER, by=Role.ADMIN, actor=actor
    )


def sent_again(cast: Cast) -> Any:
    id_ = invited(cast).invitation.id
    with tenant_scope(cast.acme.id):
        Invitation.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    return tenancy.invitations.resend(cast.acme.id, id_, by=Role.ADMIN, actor=ACTOR)


def accepted(cast: Cast) -> Any:
    sent = invited(cast, SYSTEM)
    offer = tenancy.invitations.offer_of(sent.link.rpartition("/")[2])
    assert offer
    return tenancy.invitations.accept(offer, cast.carol, actor=ACTOR)


def connected(cast: Cast) -> Any:
    return catalog.services.connect_provider(
        cast.acme.id, preset="openai", secret=SECRET, actor=ACTOR, models=[]
    )


def deployed(cast: Cast, **more: Any) -> Any:
    return catalog.services.add_deployment(connected(cast), MODEL, actor=ACTOR, **more)


CHANGES = {
    "create_organization": Change(
        lambda cast: tenancy.services.create_organization(
            name="New", owner=cast.alice, actor=ACTOR, time_zone="Asia/Tokyo"
        ),
        "organization.create",
        "organization",
        "New",
        None,
        {"name": "New", "time_zone": "Asia/Tokyo", "owner": "alice-test@example.com"},
    ),
    "add_member": Change(
        lambda cast: tenancy.services.add_member(
            cast.acme.id, user=cast.bob, role=Role.ADMIN, actor=ACTOR
        ),
        "member.set_role",
        "member",
        "bob-test@example.com",
        {"role": "viewer"},
        {"role": "admin"},
    ),
    "change_organization": Change(
        lambda cast: tenancy.organization.change_organization(
            cast.acme.id, {"retention_days": 90}, actor=ACTOR
        ),
        "organization.update",
        "organization",
        "Acme test",
        {"retention_days": None},
        {"retention_days": 90},
    ),
    "invite": Change(
        invited,
        "invitation.create",
        "invitation",
        "carol-test@example.com",
        None,
        {"role": "viewer"},
    ),
    "resend": Change(
        sent_again,
        "invitation.resend",
        "invitation",
        "carol-test@example.com",
        None,
        {"sends": 2},
    ),
    "withdraw": Change(
        lambda cast: tenancy.invitations.withdraw(
            cast.acme.id, invited(cast).invitation.id, actor=ACTOR
        ),
        "invitation.withdraw",
        "invitation",
        "carol-test@example.com",
        {"role": "viewer"},
        {"role": None},
    ),
    "accept": Change(
        accepted,
        "invitation.accept",
        "invitation",
        "carol-test@example.com",
        None,
        {"role": "viewer"},
    ),
    "set_role": Change(
        lambda cast: tenancy.members.set_role(
            cast.acme.id, bobs_membership(cast), Role.MEMBER, by=Role.ADMIN, actor=ACTOR
        ),
        "member.set_role",
        "member",
        "bob-test@example.com",
        {"role": "viewer"},
        {"role": "member"},
    ),
    "remove_member": Change(
        lambda cast: tenancy.members.remove_member(
            cast.acme.id, bobs_membership(cast), by=Role.ADMIN, actor=ACTOR
        ),
        "member.remove",
        "member",
        "bob-test@example.com",
        {"role": "viewer"},
        {"role": None},
    ),
    "leave": Change(
        lambda cast: tenancy.members.leave(cast.acme.id, cast.bob, actor=ACTOR),
        "member.leave",
        "member",
        "bob-test@example.com",
        {"role": "viewer"},
        {"role": None},
    ),
    "transfer_ownership": Change(
        lambda cast: tenancy.members.transfer_ownership(
            cast.acme.id, bobs_membership(cast), owner=cast.alice, actor=ACTOR
        ),
        "member.set_role",
        "member",
        "alice-test@example.com",
        {"role": "owner"},
        {"role": "admin"},
    ),
    "create_key": Change(
        lambda cast: tenancy.services.create_key(
            cast.acme.id,
            name="batch",
            scopes=[Scope.GATEWAY],
            actor=ACTOR,
            expires_at=LATER,
            allowed_networks=["10.0.0.0/8"],
        ),
        "api_key.create",
        "api_key",
        "batch",
        None,
        {
            "scopes": ["gateway"],
            "allowed_networks": ["10.0.0.0/8"],
            "expires_at": LATER.isoformat(),
        },
    ),
    "remove_second_factors": Change(
        lambda cast: (
            TOTP.activate(cast.bob, "JBSWY3DPEHPK3PXP"),
            tenancy.members.remove_second_factors(cast.acme.id, cast.bob.email, actor=ACTOR),
        ),
        "member.remove_second_factors",
        "member",
        "bob-test@example.com",
        {"second_factors": ["totp"]},
        {"second_factors": []},
    ),
    "rotate_key": Change(
        lambda cast: tenancy.services.rotate_key(
            cast.acme.id, key_of(cast).id, overlap=timedelta(hours=1), actor=ACTOR
        ),
        "api_key.rotate",
        "api_key",
        "acme key",
        None,
        {"older_secrets_end_at": ...},
    ),
    "revoke_key": Change(
        lambda cast: tenancy.services.revoke_key(cast.acme.id, key_of(cast).id, actor=ACTOR),
        "api_key.revoke",
        "api_key",
        "acme key",
        {"revoked_at": None},
        {"revoked_at": ...},
    ),
    "edit_key": Change(
        lambda cast: tenancy.key_services.edit_key(
            cast.acme.id, key_of(cast).id, {"name": "renamed"}, actor=ACTOR
        ),
        "api_key.update",
        "api_key",
        "renamed",
        {"name": "acme key"},
        {"name": "renamed"},
    ),
    "connect_provider": Change(
        connected,
        "provider.connect",
        "provider",
        "OpenAI",
        None,
        {"base_url": "https://api.openai.com/v1", "credential": "set"},
    ),
    "connect_sandbox": Change(
        lambda cast: catalog.services.connect_sandbox(
            cast.acme.id, base_url="https://sandbox.example.com", actor=ACTOR
        ),
        "provider.connect",
        "provider",
        "Sandbox (Anthropic wire)",
        None,
        {"base_url": "https://sandbox.example.com/v1", "credential": "set"},
    ),
    "add_deployment": Change(
        lambda cast: catalog.services.add_deployment(
            connected(cast), MODEL, actor=ACTOR, prices={"input_nano_per_mtok": 5}
        ),
        "deployment.create",
        "provider",
        "OpenAI",
        None,
        {"model": "tiny", "input_nano_per_mtok": 5},
    ),
    "edit_provider": Change(
        lambda cast: catalog.editing.edit_provider(
            connected(cast), {"name": "Ours", "active": False}, actor=ACTOR
        ),
        "provider.update",
        "provider",
        "Ours",
        {"active": True, "name": "OpenAI"},
        {"active": False, "name": "Ours"},
    ),
    "remove_provider": Change(
        lambda cast: catalog.editing.remove_provider(connected(cast), actor=ACTOR),
        "provider.remove",
        "provider",
        "OpenAI",
        {"base_url": "https://api.openai.com/v1", "models": []},
        {"base_url": None, "models": None},
    ),
    "edit_deployment": Change(
        lambda cast: catalog.editing.edit_deployment(
            deployed(cast), {"upstream_model": "ours", "quality": 41}, actor=ACTOR
        ),
        "deployment.update",
        "deployment",
        "tiny",
        {"quality": 40, "upstream_model": "tiny"},
        {"quality": 41, "upstream_model": "ours"},
    ),
    "clear_price": Change(
        lambda cast: catalog.editing.clear_price(
            # Only a model of the price list can do without the organization's own price.
            deployed(
                cast,
                upstream_model="gpt-4o-mini",
                prices={"input_nano_per_mtok": 5},
            ),
            actor=ACTOR,
        ),
        "deployment.clear_price",
        "deployment",
        "tiny",
        {"input_nano_per_mtok": 5},
        {"input_nano_per_mtok": None},
    ),
    "remove_deployment": Change(
        lambda cast: catalog.editing.remove_deployment(deployed(cast), actor=ACTOR),
        "deployment.remove",
        "deployment",
        "tiny",
        {"model": "tiny", "upstream_model": "tiny"},
        {"model": None, "upstream_model": None},
    ),
    "set_credential": Change(
        lambda cast: catalog.services.set_credential(connected(cast), SECRET + "x", actor=ACTOR),
        "credential.set",
        "provider",
        "OpenAI",
        {"credential": "set"},
        {"credential": "set anew"},
    ),
    "change_address": Change(
        lambda cast: catalog.services.change_address(
            connected(cast), "https://eu.example.com/v1", actor=ACTOR, secret=SECRET
        ),
        "provider.change_address",
        "provider",
        "OpenAI",
        {"base_url": "https://api.openai.com/v1", "credential": "set"},
        {"base_url": "https://eu.example.com/v1", "credential": "set anew"},
    ),
    "set_price": Change(
        lambda cast: catalog.services.set_price(
            catalog.services.add_deployment(connected(cast), MODEL, actor=ACTOR),
            input_nano=5,
            output_nano=7,
            source="our contract",
            as_of=date(2026, 11, 1),
            actor=ACTOR,
        ),
        "deployment.set_price",
        "deployment",
        "tiny",
        {
            "input_nano_per_mtok": None,
            "output_nano_per_mtok": None,
            "price_as_of": None,
            "price_source": "",
        },
        {
            "input_nano_per_mtok": 5,
            "output_nano_per_mtok": 7,
            "price_as_of": "2026-11-01",
            "price_source": "our contract",
        },
    ),
    "save_preferences": Change(
        lambda cast: preferences.services.save_preferences(
            cast.acme.id, None, {"max_cost_per_request_nano": 50_000_000}, actor=ACTOR
        ),
        "preferences.update",
        "preferences",
        "organization default",
        {"max_cost_per_request": None},
        {"max_cost_per_request": "0.05"},
    ),
    "save_key_preferences": Change(
        lambda cast: preferences.services.save_key_preferences(
            cast.acme.id, key_of(cast).id, {"max_latency_ms": 900}, actor=ACTOR
        ),
        "preferences.update",
        "api_key",
        "acme key",
        {"max_latency_ms": None},
        {"max_latency_ms": 900},
    ),
}
