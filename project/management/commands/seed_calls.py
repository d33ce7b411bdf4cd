"""manage.py seed_calls: fill an organization with made-up calls, to look at and to measure with."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from analytics.ledger import Ledger
from analytics.sample import LABEL, Caller, Model, Outage, moments, sample_calls
from catalog.prices import price_for
from lib.errors import RouterError
from project.management.operator_command import OPERATOR
from tenancy.core import Role, Scope
from tenancy.models import ApiKey, Membership, Organization, User
from tenancy.scope import tenant_scope
from tenancy.services import add_member, create_key, create_user, revoke_key

BATCH_ROWS = 10_000
CALLS_MAX = 50_000_000
DAYS_MAX = 800
# provider, model, share of the calls, latency: milliseconds to begin and per output token.
MODELS = (
    ("openai", "gpt-4.1-mini", 22, 320, 8.0),
    ("openai", "gpt-4o-mini", 12, 280, 7.0),
    ("openai", "gpt-5", 4, 1100, 14.0),
    ("openai", "text-embedding-3-small", 5, 90, 0.0),
    ("anthropic", "claude-haiku-4-5", 14, 420, 6.5),
    ("anthropic", "claude-sonnet-4-5", 9, 700, 13.0),
    ("google", "gemini-2.5-flash", 14, 300, 4.5),
    ("google", "gemini-2.5-pro", 3, 1200, 10.0),
    ("mistral", "mistral-small-latest", 8, 260, 7.5),
    ("groq", "llama-3.3-70b-versatile", 7, 140, 2.2),
    ("deepseek", "deepseek-chat", 2, 600, 18.0),
)
# Name of the key, share of the calls, team, input and output tokens, priority, person it acts for.
CALLERS = (
    ("Sample: support bot", 36, "support", 900, 180, "balanced", 0),
    ("Sample: document search", 24, "search", 2200, 120, "cost", 1),
    ("Sample: sales assistant", 15, "sales", 700, 320, "quality", 2),
    ("Sample: code review", 12, "engineering", 3200, 420, "quality", 0),
    ("Sample: nightly reports", 8, "finance", 1800, 600, "cost", None),
    ("Sample: experiments", 5, "engineering", 500, 250, "speed", 1),
)
PEOPLE = ("ada", "ben", "chloe")


class Command(BaseCommand):
    """Writes calls as the drainer writes them: rows and rollups by the same statements."""

    help = (
        "Write made-up calls of the past days into an organization's ledger, each with the "
        f'metadata "{LABEL[0]}": "{LABEL[1]}". Makes sample keys, revoked at once, and sample '
        "members who cannot sign in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many calls, of how many days, for whom."""
        parser.add_argument("--organization", required=True, metavar="NAME_OR_ID")
        parser.add_argument("--calls", type=int, default=100_000, metavar="N")
        parser.add_argument("--days", type=int, default=30, metavar="N", help="that end now")
        parser.add_argument("--seed", type=int, default=1, help="the same seed, the same calls")
        parser.add_argument(
            "--yes", action="store_true", help="even where there are calls that were really made"
        )

    def handle(self, **options: Any) -> None:
        """Writes the calls and says how long it took."""
        if not settings.DATABASE_INGEST_URL:
            raise CommandError("DATABASE_INGEST_URL is not set: the address of the role er_ingest.")
        calls, days = options["calls"], options["days"]
        if not 1 <= calls <= CALLS_MAX:
            raise CommandError(f"--calls: choose 1 to {CALLS_MAX:,}.")
        if not 1 <= days <= min(DAYS_MAX, settings.LEDGER_RETENTION_DAYS):
            most = min(DAYS_MAX, settings.LEDGER_RETENTION_DAYS)
            raise CommandError(f"--days: choose 1 to {most}; what is older is not kept.")
        organization = _organization(options["organization"])
        if not options["yes"] and _has_real_calls(organization.id):
            raise CommandError(
                f"{organization.name} has calls that were really made; its figures would no longer "
                "be true. Choose another organization, or say --yes."
            )
        began = time.monotonic()
        written = 0
        ledger = Ledger(settings.DATABASE_INGEST_URL)
        try:
            rows = _rows(organization, options)
            while batch := list(islice(rows, BATCH_ROWS)):
                written += ledger.write(batch)
                if options["verbosity"] > 1:
                    self.stdout.write(f"{written:,} of {calls:,}")
        finally:
            ledger.close()
        took = time.monotonic() - began
        self.stdout.write(
            f"{written:,} calls of {days} days written for {organization.name} in {took:.0f} s."
        )


def _organization(text: str) -> Organization:
    """The organization of that id, or the only one of that name."""
    try:
        ids = [UUID(text)]
    except ValueError:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT m.organization_id FROM tenancy_user u"
                " CROSS JOIN LATERAL app.user_memberships(u.id) m WHERE m.name = %s",
                [text],
            )
            ids = [id_ for (id_,) in cursor.fetchall()]
    if len(ids) > 1:
        raise CommandError(f'--organization: {len(ids)} are called "{text[:80]}"; give an id.')
    for id_ in ids:
        with tenant_scope(id_):
            if found := Organization.objects.filter(id=id_).first():
                return found
    raise CommandError(f'--organization: There is no organization "{text[:80]}".')


def _has_real_calls(organization_id: UUID) -> bool:
    with tenant_scope(organization_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM router_analytics WHERE organization_id = %s"
            " AND metadata->>%s IS DISTINCT FROM %s)",
            [organization_id, *LABEL],
        )
        (found,) = cursor.fetchone()
    return bool(found)


def _rows(organization: Organization, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chance = Random(options["seed"])  # noqa: S311  made up, and the same again for the same seed
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(days=options["days"])
    zone = ZoneInfo(organization.time_zone)
    times = moments(options["calls"], start, end, zone=zone, chance=chance)
    # One afternoon of one provider went wrong, and one short while of another.
    span = end - start
    outages = (
        Outage(
            "anthropic", start + span * 0.8, start + span * 0.8 + min(span / 20, timedelta(hours=3))
        ),
        Outage(
            "groq", start + span * 0.45, start + span * 0.45 + min(span / 40, timedelta(hours=1))
        ),
    )
    return sample_calls(
        times,
        organization.id,
        models=_models(end),
        callers=_callers(organization.id),
        outages=outages,
        chance=chance,
    )


def _models(at: datetime) -> list[Model]:
    """The models with the prices of today's list."""
    found = []
    for provider, name, weight, base_ms, token_ms in MODELS:
        price = price_for(provider, name, at=at)
        assert price is not None, name
        operation = "embeddings" if "embedding" in name else "chat"
        region = "eu" if provider == "mistral" else ""
        found.append(Model(provider, name, weight, base_ms, token_ms, price, region, operation))
    return found


def _callers(organization_id: UUID) -> list[Caller]:
    """Sample applications; their keys and the people behind them are made where they lack."""
    try:
        with tenant_scope(organization_id):
            people = _people(organization_id)
            keys = [
                _key(organization_id, name, None if who is None else people[who])
                for name, *_, who in CALLERS
            ]
    except RouterError as why:
        raise CommandError(why.message) from None
    return [
        Caller(
            key_id=key.id,
            user_id=key.user_id,
            weight=weight,
            metadata=(
                ("team", (team,)),
                ("environment", ("production", "production", "production", "staging")),
                ("feature", tuple(f"{team}-{part}" for part in ("chat", "draft", "batch"))),
            ),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            priority=priority,
        )
        for key, (_, weight, team, input_tokens, output_tokens, priority, _) in zip(
            keys, CALLERS, strict=True
        )
    ]


def _people(organization_id: UUID) -> list[User]:
    """Three members, as many of them made up as there are too few."""
    members = Membership.objects.filter(organization_id=organization_id).select_related("user")
    people = [member.user for member in members.order_by("created_at")[: len(PEOPLE)]]
    for name in PEOPLE[len(people) :]:
        # Nobody gets mail there, so nobody can ask for a password.
        email = f"{name}.{organization_id.hex[-12:]}@sample.invalid"
        user = User.objects.filter(email=email).first() or create_user(email, None)
        add_member(organization_id, user=user, role=Role.VIEWER, actor=OPERATOR)
        people.append(user)
    return people


def _key(organization_id: UUID, name: str, user: User | None) -> ApiKey:
    known = ApiKey.objects.filter(organization_id=organization_id, name=name).first()
    if known is not None:
        return known
    new = create_key(organization_id, name=name, scopes=(Scope.GATEWAY,), actor=OPERATOR, user=user)
    revoke_key(organization_id, new.key.id, actor=OPERATOR)
    return new.key
