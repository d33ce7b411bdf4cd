"""The database and its roles: who owns, who migrates, who serves, who drains, who backs up.

* er_owner owns everything, sees every row in a migration and cannot sign in; er_migrate signs in
  and acts as er_owner.
* er_web and er_ingest own nothing and bypass nothing; er_backup reads everything.
* er_auth owns the few functions that look across organizations (who is this key, this address).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from project.folder import StartRefused

Connection = psycopg.Connection[TupleRow]
_LOGINS = ("er_migrate", "er_web", "er_ingest", "er_backup")
_BYPASSING = ("er_owner", "er_migrate", "er_backup")
_TIMEOUTS = {
    "er_web": {"statement_timeout": "15s", "lock_timeout": "5s"},
    "er_ingest": {"statement_timeout": "60s", "lock_timeout": "5s"},
}
_IDLE = {"idle_in_transaction_session_timeout": "30s"}


@dataclass(frozen=True, slots=True)
class Urls:
    """The addresses under which each part of the product signs in."""

    migrate: str
    web: str
    ingest: str
    backup: str


def urls(admin_dsn: str, *, database: str, passwords: Mapping[str, str]) -> Urls:
    """The roles' addresses on the server that ``admin_dsn`` names."""
    return Urls(
        *(
            _address(admin_dsn, database, role=role, password=passwords[role])
            for role in ("er_migrate", "er_web", "er_ingest", "er_backup")
        )
    )


def bootstrap(admin_dsn: str, *, database: str, passwords: Mapping[str, str]) -> Urls:
    """Make or mend the roles, the database and their rights; may be run any number of times.

    Raises StartRefused when the address does not work or may not do this.
    """
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=10) as admin:
            _make_roles(admin, passwords)
            _make_database(admin, database)
        own = _address(admin_dsn, database)
        with psycopg.connect(own, autocommit=True, connect_timeout=10) as admin:
            with admin.transaction():
                _make_schemas(admin, database)
            _limit_roles(admin, database)
    except errors.InsufficientPrivilege as why:
        who = urlsplit(admin_dsn).username or "the current user"
        raise StartRefused(
            f'DATABASE_URL signs in as "{who}", which may not set up roles and a database '
            f"({str(why).splitlines()[0]}): give the address of a superuser, or of a role "
            "with CREATEROLE and CREATEDB that owns the database."
        ) from None
    except psycopg.OperationalError as why:
        raise StartRefused(f"Postgres does not answer: {' '.join(str(why).split())}") from None
    return urls(admin_dsn, database=database, passwords=passwords)


def refuse_others_roles(admin_dsn: str, *, passwords: Mapping[str, str]) -> None:
    """Raises StartRefused where the server's roles are those of another installation.

    Roles belong to the whole server: setting their passwords would lock the other one out.
    """
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=10) as admin:
            there = admin.execute(
                "SELECT 1 FROM pg_roles me, pg_roles web WHERE me.rolname = current_user"
                " AND (me.rolsuper OR me.rolcreaterole) AND web.rolname = 'er_web'"
            ).fetchone()
            name = admin.info.dbname
    except psycopg.OperationalError:
        return  # bootstrap says what is wrong with it
    if not there:
        return
    try:
        own = _address(admin_dsn, name, role="er_web", password=passwords["er_web"])
        psycopg.connect(own, connect_timeout=10).close()
    except psycopg.OperationalError as why:
        if "password" not in str(why):
            return
        raise StartRefused(
            "This Postgres server already has the roles of another installation (er_web, …), and "
            "roles belong to the whole server. Give this one a server of its own, or start it on "
            "the other's --data folder; roles that nothing uses any more can be dropped."
        ) from None


def _make_roles(admin: Connection, passwords: Mapping[str, str]) -> None:
    with admin.transaction():
        # Two installations on one server would otherwise race for the same catalog rows.
        admin.execute("SELECT pg_advisory_xact_lock(hashtext('enterprise-router bootstrap'))")
        there = {name for (name,) in admin.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role in ("er_owner", "er_auth", *_LOGINS):
            if role not in there:
                admin.execute(SQL("CREATE ROLE {}").format(Identifier(role)))
        for role in ("er_owner", "er_auth"):
            admin.execute(SQL("ALTER ROLE {} NOLOGIN").format(Identifier(role)))
        for role in _LOGINS:
            admin.execute(
                SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                    Identifier(role), Literal(passwords[role])
                )
            )
        _refuse_powers(admin)
        admin.execute("GRANT er_owner TO CURRENT_USER")
        admin.execute("GRANT er_auth TO er_owner")
        admin.execute("GRANT er_owner TO er_migrate")
        admin.execute("ALTER ROLE er_migrate SET role = er_owner")
    for role in _BYPASSING:
        _try_bypass(admin, role)


def _refuse_powers(admin: Connection) -> None:
    """Take away what a role of that name may have had before; a fresh one has none of it."""
    found = admin.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
        " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication"
        "      OR (rolbypassrls AND rolname <> ALL(%s)))",
        (["er_owner", "er_auth", *_LOGINS], list(_BYPASSING)),
    ).fetchall()
    for (role,) in found:
        admin.execute(
            SQL(
                "ALTER ROLE {} NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS"
            ).format(Identifier(role))
        )


def _try_bypass(admin: Connection, role: str) -> None:
    """Let a role see every row where the server's administrator may grant that."""
    try:
        admin.execute(SQL("ALTER ROLE {} BYPASSRLS").format(Identifier(role)))
    except errors.InsufficientPrivilege:
        return  # managed servers keep this to themselves; a backup then runs as their own admin


def _make_database(admin: Connection, database: str) -> None:
    row = admin.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,)
    ).fetchone()
    name = Identifier(database)
    if row is None:
        try:
            admin.execute(SQL("CREATE DATABASE {} OWNER er_owner").format(name))
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            row = ("",)
    if row is not None and row[0] != "er_owner":
        admin.execute(SQL("ALTER DATABASE {} OWNER TO er_owner").format(name))


def _make_schemas(admin: Connection, database: str) -> None:
    statements = (
        "CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION er_owner",
        "ALTER SCHEMA app OWNER TO er_owner",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE, CREATE ON SCHEMA public TO er_owner",
        "GRANT USAGE ON SCHEMA public, app TO er_web, er_ingest, er_backup, er_auth",
        "GRANT CREATE ON SCHEMA app TO er_auth",
        "ALTER DEFAULT PRIVILEGES FOR ROLE er_owner IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO er_web",
        "ALTER DEFAULT PRIVILEGES FOR ROLE er_owner IN SCHEMA public"
        " GRANT USAGE ON SEQUENCES TO er_web",
        "ALTER DEFAULT PRIVILEGES FOR ROLE er_owner IN SCHEMA public"
        " GRANT SELECT ON TABLES TO er_backup",
        "ALTER DEFAULT PRIVILEGES FOR ROLE er_owner IN SCHEMA public"
        " GRANT SELECT ON SEQUENCES TO er_backup",
    )
    for statement in statements:
        admin.execute(statement)
    admin.execute(
        SQL("GRANT CONNECT ON DATABASE {} TO er_migrate, er_web, er_ingest, er_backup").format(
            Identifier(database)
        )
    )
    admin.execute(SQL("GRANT TEMPORARY ON DATABASE {} TO er_ingest").format(Identifier(database)))


def _limit_roles(admin: Connection, database: str) -> None:
    for role, timeouts in _TIMEOUTS.items():
        for setting, value in (timeouts | _IDLE).items():
            admin.execute(
                SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    Identifier(role), Identifier(database), Identifier(setting), Literal(value)
                )
            )


def _address(admin_dsn: str, database: str, *, role: str = "", password: str = "") -> str:
    """The same server under another database and, if given, another name and password."""
    parts = urlsplit(admin_dsn)
    place = parts.netloc.rpartition("@")[2]
    who = f"{quote(role, safe='')}:{quote(password, safe='')}" if role else None
    if who is None:
        who = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{who}@{place}", path=f"/{quote(database, safe='')}"))
