"""`manage.py audit verify`: whether the audit trail of an organization is as it was written."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from project.management.operator_command import OperatorCommand, organization_of
from tenancy import audit


class Command(OperatorCommand):
    """The trail of changes of one organization."""

    help = "Check the audit trail of an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One verb so far."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        self.verb(verbs, "verify", "walk the chain of entries; exit 1 where it is broken")

    def do_verify(self, options: dict[str, Any]) -> None:
        """Prints how many entries fit, and the last digest to note elsewhere."""
        with organization_of(options) as id_:
            chain = audit.verify(id_)
        if chain.broken_at is not None:
            raise CommandError(
                f"The chain is broken at entry {chain.broken_at.id} of "
                f"{chain.broken_at.created_at.isoformat()} ({chain.broken_at.action}): it, or one "
                "before it, was altered or taken out."
            )
        self.show({"intact_entries": chain.entries, "last_digest": chain.head}, options)
