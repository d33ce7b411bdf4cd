"""What the commands of an operator share: verbs, the organization, output, errors by option."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from lib.errors import RouterError
from tenancy import selectors
from tenancy.core import Actor
from tenancy.scope import tenant_scope

OPERATOR = Actor(kind="system", id=None, name="operator", source="manage.py")


class OperatorCommand(BaseCommand):
    """A command whose first word is a verb; ``do_VERB`` does it.

    ``options_by_param`` tells which option a ``RouterError`` is about where the names differ.
    """

    options_by_param: ClassVar[Mapping[str, str]] = {}

    def verb(
        self, verbs: Any, name: str, about: str, *, needs_organization: bool = True
    ) -> ArgumentParser:
        """The parser of one verb with the options that all verbs have."""
        parser: ArgumentParser = verbs.add_parser(name, help=about, description=about)
        parser.add_argument(
            "--organization",
            required=needs_organization,
            metavar="ID",
            help="the organization's id, as manage.py provision printed it",
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
        return parser

    def handle(self, **options: Any) -> None:
        """Does the verb; an expected failure is one sentence about the option, and exit 1."""
        try:
            getattr(self, f"do_{options['verb'].replace('-', '_')}")(options)
        except RouterError as why:
            raise CommandError(f"{self._option(why.param)}: {why.message}") from None

    def _option(self, param: str | None) -> str:
        known = self.options_by_param.get(param or "")
        return known or f"--{(param or 'organization').replace('_', '-')}"

    def show(self, made: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """One thing, a line per value that there is."""
        if options["as_json"]:
            self.stdout.write(json.dumps(made))
            return
        for name, value in made.items():
            if value:
                self.stdout.write(f"{name.replace('_', ' ')}: {_text(value)}")

    def show_all(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        """A table of these columns; in JSON a list with every value."""
        if options["as_json"]:
            self.stdout.write(json.dumps(list(rows)))
            return
        lines = [[name.replace("_", " ") for name in columns]]
        lines += [[_text(row[name]) for name in columns] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            words = (word.ljust(width) for word, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(words).rstrip())


@contextmanager
def organization_of(options: Mapping[str, Any]) -> Iterator[UUID]:
    """The organization that ``--organization`` names, in its scope: all of a verb or nothing."""
    id_ = parse_id(options["organization"], "--organization")
    with tenant_scope(id_):
        if selectors.organization(id_) is None:
            raise CommandError(f"--organization: There is no organization {id_}.")
        yield id_


def parse_id(text: str, option: str) -> UUID:
    """The id that an option holds."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f'{option}: "{text[:80]}" is no id.') from None


def words_of(text: str) -> list[str]:
    """The words of a comma-separated option."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
