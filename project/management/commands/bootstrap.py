"""manage.py bootstrap: the database and its roles, on a Postgres server of your own."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.management.base import BaseCommand, CommandError

from project import database, env
from project.folder import StartRefused

_ROLES = {
    "er_web": "DATABASE_URL",
    "er_migrate": "DATABASE_MIGRATE_URL",
    "er_ingest": "DATABASE_INGEST_URL",
    "er_backup": "DATABASE_BACKUP_URL",
}


class Command(BaseCommand):
    """Idempotent; `manage.py migrate` as er_migrate and `manage.py collectstatic` come after it."""

    help = (
        "Create the database and the roles er_owner, er_migrate, er_web, er_ingest, er_backup and "
        "er_auth, with the passwords that stand in DATABASE_URL (er_web), DATABASE_MIGRATE_URL, "
        "DATABASE_INGEST_URL and DATABASE_BACKUP_URL."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who may create them."""
        parser.add_argument(
            "--admin-url-env",
            default="DATABASE_ADMIN_URL",
            metavar="NAME",
            help="the variable with a superuser's address, or that of a role with CREATEROLE and "
            "CREATEDB; not a word of the command line, which other users can read",
        )

    def handle(self, **options: Any) -> None:
        """Creates or mends them."""
        admin = os.environ.get(options["admin_url_env"])
        if not admin:
            raise CommandError(f"{options['admin_url_env']} is not set.")
        try:
            passwords = {role: _password(role, name) for role, name in _ROLES.items()}
            name = urlsplit(env.text("DATABASE_URL")).path.strip("/")
            database.bootstrap(admin, database=name, passwords=passwords)
        except (StartRefused, env.SettingError) as why:
            raise CommandError(str(why)) from None
        self.stdout.write(f"Database {name} and its roles are ready. Next: manage.py migrate")


def _password(role: str, variable: str) -> str:
    url = urlsplit(env.text(variable))
    if url.username != role or not url.password:
        raise env.SettingError(f"{variable} must sign in as {role}, with a password.")
    return unquote(url.password)
