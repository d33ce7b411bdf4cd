"""Row-level security as model constraints, so that ``makemigrations`` writes it.

1. ``TenantPolicy``: a row is seen and written only inside its organization's scope. The policy
   calls ``app.organization_id()``, which raises without a scope: no row is never an empty answer.
2. ``TenantForeignKey``: a row points only at rows of its own organization.

The whole comparison is one sub-select, which Postgres evaluates once per query, not once per row.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import BaseConstraint, Model


class _SqlConstraint(BaseConstraint):
    """A constraint that is plain SQL for one table."""

    def constraint_sql(
        self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> Any:
        """Runs after the table is made; nothing stands inside CREATE TABLE."""
        assert schema_editor is not None
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))
        return None

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = "") -> None:
        """The database alone enforces it."""


class TenantPolicy(_SqlConstraint):
    """Forces row-level security by organization on a table.

    ``column`` holds the organization's id. Roles in ``all_rows`` see every row: only processes
    that work across organizations and functions with a named purpose have one.
    """

    def __init__(
        self, *, name: str, column: str = "organization_id", all_rows: tuple[str, ...] = ()
    ) -> None:
        super().__init__(name=name)
        self.column = column
        self.all_rows = tuple(all_rows)

    def create_sql(self, model: Any, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """The statements that close the table."""
        return policy_sql(model._meta.db_table, self.column, self.all_rows)

    def remove_sql(self, model: Any, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """The statements that open it again."""
        table = model._meta.db_table
        drops = [f'DROP POLICY "{p}" ON "{table}"' for p in ("er_allow", "er_tenant")]
        drops += [f'DROP POLICY "er_all_{role}" ON "{table}"' for role in self.all_rows]
        return "; ".join([*drops, f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY'])

    def deconstruct(self) -> Any:
        """For migrations."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "column": self.column, "all_rows": self.all_rows}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TenantPolicy) and self.deconstruct() == other.deconstruct()

    __hash__ = BaseConstraint.__hash__


def policy_sql(table: str, column: str, all_rows: tuple[str, ...] = ()) -> str:
    """Row-level security of one table: whoever may, sees its own organization only."""
    here = f'"{column}" = (SELECT app.organization_id())'
    statements = [
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
        f'CREATE POLICY er_allow ON "{table}" FOR ALL TO er_web USING (true) WITH CHECK (true)',
        f'CREATE POLICY er_tenant ON "{table}" AS RESTRICTIVE FOR ALL TO er_web'
        f" USING ({here}) WITH CHECK ({here})",
    ]
    statements += [
        f'CREATE POLICY er_all_{role} ON "{table}" FOR ALL TO {role} USING (true) WITH CHECK (true)'
        for role in all_rows
    ]
    return "; ".join(statements)


def unforced(statements: str, *tables: str) -> str:
    """Statements of a migration that work on the rows of all organizations.

    Where the server lets no role bypass policies they hold for the tables' owner too, who would
    see no row and be refused; they are forced again before the transaction ends.
    """
    opened = "".join(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY;' for table in tables)
    closed = "".join(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY;' for table in tables)
    return f"{opened}{statements.rstrip().rstrip(';')};{closed}"


class TenantForeignKey(_SqlConstraint):
    """``(organization_id, column)`` refers to ``(organization_id, id)`` of another tenant table."""

    def __init__(self, *, name: str, column: str, to: str, on_delete: str = "NO ACTION") -> None:
        super().__init__(name=name)
        self.column = column
        self.to = to
        self.on_delete = on_delete

    def create_sql(self, model: Any, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """The composite foreign key."""
        return (
            f'ALTER TABLE "{model._meta.db_table}" ADD CONSTRAINT "{self.name}"'
            f' FOREIGN KEY (organization_id, "{self.column}")'
            f' REFERENCES "{self.to}" (organization_id, id)'
            f" ON DELETE {self.on_delete} DEFERRABLE INITIALLY DEFERRED"
        )

    def remove_sql(self, model: Any, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """Drops it."""
        return f'ALTER TABLE "{model._meta.db_table}" DROP CONSTRAINT "{self.name}"'

    def deconstruct(self) -> Any:
        """For migrations."""
        path, args, kwargs = super().deconstruct()
        more = {"column": self.column, "to": self.to, "on_delete": self.on_delete}
        return path, args, {**kwargs, **more}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TenantForeignKey) and self.deconstruct() == other.deconstruct()

    __hash__ = BaseConstraint.__hash__
