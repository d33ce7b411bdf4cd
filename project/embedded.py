"""The Postgres and the Redis of one installation: given by address, or run here from the wheels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from project import postgres_server, valkey_server
from project.folder import Folder, StartRefused
from project.supervisor import Program

DATABASE = "enterprise_router"


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, what to call it, and its program when it is run here."""

    url: str
    label: str
    program: Program | None = None
    is_ready: Callable[[], bool] = lambda: True


def postgres(
    folder: Folder,
    environment: Mapping[str, str],
    secrets: Mapping[str, str],
    *,
    forgetful: bool = False,
) -> Server:
    """DATABASE_URL when set, else a cluster in the data folder. The address is the superuser's."""
    given = environment.get("DATABASE_URL")
    if given:
        parts = urlsplit(given)
        if parts.scheme not in ("postgres", "postgresql") or not parts.hostname:
            raise StartRefused(
                "DATABASE_URL must look like postgresql://user:password@host:5432/database."
            )
        return Server(given, f"Postgres at {parts.hostname} (DATABASE_URL)")
    cluster = postgres_server.prepare(folder, secrets["postgres"], forgetful=forgetful)
    return Server(cluster.admin_url, cluster.label, cluster.program, cluster.is_ready)


def redis(folder: Folder, environment: Mapping[str, str], secrets: Mapping[str, str]) -> Server:
    """REDIS_URL when set, else a Valkey in the data folder."""
    given = environment.get("REDIS_URL")
    if given:
        parts = urlsplit(given)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise StartRefused("REDIS_URL must look like redis://:password@host:6379/0.")
        complete = given if parts.path.strip("/") or parts.query else given.rstrip("/") + "/0"
        return Server(complete, f"Redis at {parts.hostname} (REDIS_URL)")
    store = valkey_server.prepare(folder, secrets["valkey"])
    return Server(store.url, store.label, store.program)


def database_name(admin_url: str) -> str:
    """The database to use: the address's own, unless it names only the server's own databases."""
    name = urlsplit(admin_url).path.strip("/")
    return DATABASE if name in ("", "postgres", "template1") else name
