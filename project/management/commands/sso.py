"""manage.py sso: an organization's single sign-on, where DNS cannot prove a domain."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandError

from project.management.operator_command import OPERATOR, OperatorCommand, organization_of
from tenancy.models import SsoConnection, SsoDomain
from tenancy.sso.core import clean_domain
from tenancy.sso.selectors import connections
from tenancy.sso.services import verify_domain

COLUMNS = ("connection", "kind", "domain", "verified_at")


class Command(OperatorCommand):
    """Lists connections; vouches for a domain in place of its TXT record."""

    help = "List an organization's single sign-on, and vouch for its e-mail domains."
    options_by_param: ClassVar[Mapping[str, str]] = {"domain": "DOMAIN"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A verb and what it needs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self.verb(verbs, "list", "Show the connections and their domains.")
        verify = self.verb(
            verbs,
            "verify-domain",
            "Count a domain as the organization's, without a TXT record. Whoever has it signs in "
            "people of that domain, so be sure that it is theirs.",
        )
        verify.add_argument("domain", metavar="DOMAIN", help="as list shows it")

    def do_list(self, options: dict[str, Any]) -> None:
        """Every domain of every connection."""
        with organization_of(options) as organization_id:
            rows = [
                _row(connection, domain)
                for connection in connections(organization_id)
                for domain in (*connection.domains.all(),) or (None,)
            ]
        self.show_all(rows, COLUMNS, options)

    def do_verify_domain(self, options: dict[str, Any]) -> None:
        """The operator's word for a domain."""
        try:
            wanted = clean_domain(options["domain"])
        except ValueError as why:
            raise CommandError(f"DOMAIN: {why}") from None
        with organization_of(options) as organization_id:
            found = SsoDomain.objects.filter(organization_id=organization_id, domain=wanted).first()
            if found is None:
                raise CommandError(f"DOMAIN: {wanted} was not added to a connection yet.")
            proved = verify_domain(
                organization_id, found.connection_id, found.id, actor=OPERATOR, lookup=None
            )
        self.show({"verified": proved.domain}, options)


def _row(connection: SsoConnection, domain: SsoDomain | None) -> dict[str, Any]:
    verified_at = domain.verified_at if domain else None
    return {
        "connection": connection.name,
        "kind": connection.kind,
        "domain": domain.domain if domain else None,
        "verified_at": verified_at.isoformat(timespec="seconds") if verified_at else None,
    }
