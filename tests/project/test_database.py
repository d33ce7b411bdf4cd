"""What bootstrap leaves behind: who may sign in, own, bypass, read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from project import database, release
from project.folder import StartRefused

NAME = "er_bootstrap_test"
ROLES = ("er_migrate", "er_web", "er_ingest", "er_backup")


@pytest.fixture(scope="module")
def admin_url() -> str:
    """The superuser of this run's own server; ./test gives it."""
    found = os.environ.get("TEST_ADMIN_URL")
    if not found:
        pytest.skip("TEST_ADMIN_URL is not set: run these through ./test")
    return found


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    """The roles belong to the whole server, so their passwords stay what they are."""
    found = {}
    for variable, role in (
        ("DATABASE_URL", "er_web"),
        ("DATABASE_MIGRATE_URL", "er_migrate"),
        ("DATABASE_INGEST_URL", "er_ingest"),
    ):
        found[role] = str(conninfo_to_dict(os.environ[variable])["password"])
    return found | {"er_backup": os.environ["TEST_BACKUP_PASSWORD"]}


@pytest.fixture(scope="module")
def urls(admin_url: str, passwords: dict[str, str]) -> Iterator[database.Urls]:
    """A database of its own, bootstrapped twice, with one table made as er_migrate."""
    drop = f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(drop)
        for _ in range(2):
            made = database.bootstrap(admin_url, database=NAME, passwords=passwords)
        with psycopg.connect(made.migrate) as migrate:
            migrate.execute("CREATE TABLE thing (id bigserial PRIMARY KEY, word text)")
            migrate.execute("INSERT INTO thing (word) VALUES ('first')")
        yield made
        admin.execute(drop)


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    """What a statement gives to the role of this address."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_roles_have_the_powers_they_need_and_no_others(urls: database.Urls) -> None:
    found = rows(
        urls.web,
        "SELECT rolname, rolcanlogin, rolbypassrls FROM pg_roles WHERE rolname LIKE 'er\\_%'"
        " AND NOT rolsuper AND NOT rolcreaterole AND NOT rolcreatedb AND NOT rolreplication",
    )
    assert sorted(found) == [
        ("er_auth", False, False),
        ("er_backup", True, True),
        ("er_ingest", True, False),
        ("er_migrate", True, True),
        ("er_owner", False, True),
        ("er_web", True, False),
    ]


def test_everything_belongs_to_the_owner(urls: database.Urls) -> None:
    assert rows(urls.migrate, "SELECT current_user, session_user") == [("er_owner", "er_migrate")]
    assert rows(
        urls.web,
        "SELECT pg_get_userbyid(datdba), (SELECT pg_get_userbyid(nspowner) FROM pg_namespace"
        " WHERE nspname = 'app'), (SELECT tableowner FROM pg_tables WHERE tablename = 'thing')"
        f" FROM pg_database WHERE datname = '{NAME}'",
    ) == [("er_owner", "er_owner", "er_owner")]


def test_the_web_role_reads_and_writes_rows_and_nothing_more(urls: database.Urls) -> None:
    rows(urls.web, "INSERT INTO thing (word) VALUES ('second')")
    rows(urls.web, "UPDATE thing SET word = 'third' WHERE word = 'second'")
    rows(urls.web, "DELETE FROM thing WHERE word = 'third'")
    assert rows(urls.web, "SELECT word FROM thing") == [("first",)]
    for statement in (
        "TRUNCATE thing",
        "DROP TABLE thing",
        "ALTER TABLE thing ADD COLUMN more text",
        "CREATE TABLE other (id int)",
        "CREATE TABLE app.other (id int)",
        "CREATE TRIGGER t AFTER INSERT ON thing EXECUTE FUNCTION pg_notify()",
        "SET ROLE er_owner",
        "SET ROLE er_auth",
        "CREATE ROLE er_other",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            rows(urls.web, statement)


def test_the_ingest_role_starts_with_no_table(urls: database.Urls) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        rows(urls.ingest, "SELECT * FROM thing")
    rows(urls.ingest, "CREATE TEMPORARY TABLE batch (id int)")


def test_the_backup_role_reads_only(urls: database.Urls) -> None:
    assert rows(urls.backup, "SELECT word FROM thing") == [("first",)]
    with pytest.raises(errors.InsufficientPrivilege):
        rows(urls.backup, "DELETE FROM thing")


def test_functions_can_be_handed_to_er_auth(urls: database.Urls) -> None:
    with psycopg.connect(urls.migrate) as migrate:
        migrate.execute(
            "CREATE FUNCTION app.who() RETURNS name SECURITY DEFINER LANGUAGE sql"
            " AS 'SELECT current_user'"
        )
        migrate.execute("ALTER FUNCTION app.who() OWNER TO er_auth")
    assert rows(urls.web, "SELECT app.who()") == [("er_auth",)]


@pytest.mark.parametrize(("role", "statement_s"), [("web", "15s"), ("ingest", "1min")])
def test_sessions_are_limited(urls: database.Urls, role: str, statement_s: str) -> None:
    shown = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
    shown += " current_setting('idle_in_transaction_session_timeout')"
    assert rows(getattr(urls, role), shown) == [(statement_s, "5s", "30s")]


def test_a_role_that_may_not_create_roles_is_refused_in_one_sentence(
    urls: database.Urls, passwords: dict[str, str]
) -> None:
    with pytest.raises(StartRefused, match='signs in as "er_web", which may not') as told:
        database.bootstrap(urls.web, database=NAME, passwords=passwords)
    assert passwords["er_web"] not in str(told.value)


def test_a_server_that_does_not_answer_is_told(passwords: dict[str, str]) -> None:
    with pytest.raises(StartRefused, match="Postgres does not answer"):
        database.bootstrap(
            "postgresql://a:b@127.0.0.1:1/postgres", database=NAME, passwords=passwords
        )


def test_roles_of_another_installation_are_left_alone(
    urls: database.Urls, admin_url: str, passwords: dict[str, str]
) -> None:
    database.refuse_others_roles(admin_url, passwords=passwords)
    others = passwords | {"er_web": "another-installations"}
    with pytest.raises(StartRefused, match="roles of another installation"):
        database.refuse_others_roles(admin_url, passwords=others)
    assert rows(urls.web, "SELECT current_user") == [("er_web",)]


def test_an_administrator_without_superuser_is_enough(
    urls: database.Urls, admin_url: str, passwords: dict[str, str]
) -> None:
    """As on managed servers. The roles are the superuser's here, so it is made their member."""
    parts = urlsplit(admin_url)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        version = admin.info.server_version
        admin.execute("CREATE ROLE er_test_admin LOGIN CREATEROLE CREATEDB PASSWORD 'x'")
        try:
            for role in ("er_owner", "er_auth", *ROLES) if version >= 160000 else ():
                admin.execute(f"GRANT {role} TO er_test_admin WITH ADMIN OPTION")
            for role in ("er_migrate", "er_backup"):  # whose power only a superuser may touch
                admin.execute(f"ALTER ROLE {role} NOBYPASSRLS")
            place = parts.netloc.rpartition("@")[2]
            lesser = urlunsplit(parts._replace(netloc=f"er_test_admin:x@{place}"))
            made = database.bootstrap(lesser, database=f"{NAME}_2", passwords=passwords)
            assert rows(made.migrate, "SELECT current_user") == [("er_owner",)]
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {NAME}_2 WITH (FORCE)")
            admin.execute("DROP OWNED BY er_test_admin")
            for role in ("er_owner", "er_auth", *ROLES):
                admin.execute(f"REVOKE {role} FROM er_test_admin CASCADE")
            admin.execute("DROP ROLE er_test_admin")
            for role in ("er_migrate", "er_backup"):
                admin.execute(f"ALTER ROLE {role} BYPASSRLS")


def test_a_database_remembers_its_release(urls: database.Urls) -> None:
    assert release.read_state(urls.migrate) == release.State()
    release.write_state(urls.migrate, release.State("abc", provisioned=True))
    assert release.read_state(urls.migrate) == release.State("abc", provisioned=True)
