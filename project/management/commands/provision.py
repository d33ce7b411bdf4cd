"""manage.py provision: an organization, its owner and an API key, without a browser."""

from __future__ import annotations

import json
import os
import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from catalog.services import connect_provider, connect_sandbox, providers_of_environment
from lib.errors import RouterError
from tenancy.core import SYSTEM, Scope
from tenancy.models import User
from tenancy.services import create_key, create_organization, create_user


class Command(BaseCommand):
    """Prints what it made; the key's secret is shown this once."""

    help = "Create an organization with its owner and an API key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to create."""
        parser.add_argument("--organization", required=True, metavar="NAME")
        parser.add_argument("--email", required=True, help="the owner's; made if it is new")
        parser.add_argument("--password", help="for a new owner; one is made up without it")
        parser.add_argument("--scopes", default="gateway", help="of the key: gateway,admin")
        parser.add_argument("--key-name", default="first key", metavar="NAME")
        parser.add_argument("--time-zone", default="UTC", metavar="ZONE")
        parser.add_argument("--sandbox", action="store_true", help="connect the sandbox provider")
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, **options: Any) -> None:
        """Creates all of it or nothing."""
        if options["sandbox"] and not settings.SANDBOX_URL:
            raise CommandError("--sandbox needs SANDBOX_URL, the address of the sandbox server.")
        try:
            scopes = [Scope(word.strip()) for word in options["scopes"].split(",")]
        except ValueError:
            raise CommandError(f"--scopes: choose from {', '.join(Scope)}.") from None
        try:
            with transaction.atomic():
                made = _provision(options, scopes)
        except RouterError as why:
            raise CommandError(f"{why.param}: {why.message}") from None
        if options["as_json"]:
            self.stdout.write(json.dumps(made))
            return
        for name, value in made.items():
            if value:
                shown = ", ".join(value) if isinstance(value, list) else value
                self.stdout.write(f"{name.replace('_', ' ')}: {shown}")


def _provision(options: dict[str, Any], scopes: list[Scope]) -> dict[str, Any]:
    email = options["email"].lower()
    owner = User.objects.filter(email=email).first()
    password = None
    if owner is None:
        password = options["password"] or secrets.token_urlsafe(12)
        try:
            validate_password(password)
        except ValidationError as why:
            raise CommandError(f"--password: {' '.join(why.messages)}") from None
        owner = create_user(email, password)
    organization = create_organization(
        name=options["organization"],
        owner=owner,
        actor=SYSTEM,
        time_zone=options["time_zone"],
    )
    connected = []
    if options["sandbox"]:
        connect_sandbox(organization.id, base_url=settings.SANDBOX_URL, actor=SYSTEM)
        connected.append("sandbox")
    for preset, secret in providers_of_environment(os.environ):
        connect_provider(organization.id, preset=preset.slug, secret=secret, actor=SYSTEM)
        connected.append(preset.slug)
    new = create_key(
        organization.id,
        name=options["key_name"],
        scopes=scopes,
        actor=SYSTEM,
        user=owner,
    )
    return {
        "organization": organization.name,
        "organization_id": str(organization.id),
        "email": owner.email,
        "password": password,
        "api_key": new.secret,
        "api_key_id": str(new.key.id),
        "base_url": f"{settings.PUBLIC_URL}/v1",
        "dashboard_url": f"{settings.PUBLIC_URL}/enterprise-router/",
        "providers": connected,
    }
