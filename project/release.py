"""What must have happened once per release before the product may start: migrations, static files.

The database itself remembers which release it was brought to (a comment on its schema ``app``), so
that a start with nothing to do costs one query, and another or an older database is noticed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Literal


@dataclass(frozen=True, slots=True)
class State:
    """What a database remembers: its release, and whether the first organization was made."""

    release: str = ""
    provisioned: bool = False


def read_state(migrate_url: str) -> State:
    """The database's own state; an empty one where it cannot be asked, as at the first start."""
    try:
        with psycopg.connect(migrate_url, connect_timeout=10) as connection:
            row = connection.execute(
                "SELECT obj_description(to_regnamespace('app')::oid, 'pg_namespace')"
            ).fetchone()
    except psycopg.OperationalError:
        return State()
    try:
        found = json.loads(row[0]) if row and row[0] else {}
    except ValueError:
        return State()
    return State(str(found.get("release", "")), bool(found.get("provisioned", False)))


def write_state(migrate_url: str, state: State) -> None:
    """Make the database remember this state."""
    content = json.dumps({"release": state.release, "provisioned": state.provisioned})
    with psycopg.connect(migrate_url, connect_timeout=10) as connection:
        connection.execute(SQL("COMMENT ON SCHEMA app IS {}").format(Literal(content)))


def database_release(root: Path) -> str:
    """A fingerprint of all that shapes the database: migrations, roles, installed packages."""
    files = [*root.glob("*/migrations/*.py"), root / "project" / "database.py"]
    return _fingerprint([*files, root / "requirements.txt"], root)


def static_release(root: Path) -> str:
    """A fingerprint of the files that pages load."""
    files = [path for path in (root / "static").rglob("*") if path.is_file()]
    return _fingerprint([*files, root / "requirements.txt"], root)


def _fingerprint(files: list[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
