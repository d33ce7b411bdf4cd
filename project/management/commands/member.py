"""manage.py member: for somebody who lost every second factor and cannot sign in any more."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from project.management.operator_command import OPERATOR, OperatorCommand, organization_of
from tenancy.members import remove_second_factors


class Command(OperatorCommand):
    """Takes a member's second factors away."""

    help = "Let a member in who lost their second factors."
    options_by_param: ClassVar[Mapping[str, str]] = {"email": "EMAIL"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A verb and what it needs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        remove = self.verb(
            verbs,
            "remove-second-factor",
            "Remove all second factors of a member, so that their password alone lets them in, to "
            "set up others. Be sure that it is they who ask.",
        )
        remove.add_argument("email", metavar="EMAIL", help="the member's own address")

    def do_remove_second_factor(self, options: dict[str, Any]) -> None:
        """All of them, recovery codes included."""
        with organization_of(options) as organization_id:
            count = remove_second_factors(organization_id, options["email"], actor=OPERATOR)
        self.show({"removed": str(count)}, options)
