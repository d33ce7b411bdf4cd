"""The product's process types, as `./up` runs them: one command each, and what each may know."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from project.database import Urls
from project.supervisor import Program

STREAM_GRACE_S = 65.0  # the web process itself cuts its streams after 60
_ADDRESSES = ("DATABASE_URL", "DATABASE_MIGRATE_URL", "DATABASE_INGEST_URL", "REDIS_URL")
_SECRETS = {
    "SECRET_KEY": "secret_key",
    "API_KEY_PEPPER": "api_key_pepper",
    "ENCRYPTION_KEY": "encryption_key",
}


@dataclass(frozen=True, slots=True)
class House:
    """Where everything is that the processes need. ``sandbox_port`` 0 means no sandbox."""

    root: Path
    data: Path
    host: str
    port: int
    databases: Urls
    redis_url: str
    sandbox_port: int
    secrets: Mapping[str, str]
    given: Mapping[str, str]  # the environment that ./up was started in

    @property
    def public_url(self) -> str:
        """The address to type into a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}"


def environment(house: House) -> dict[str, str]:
    """The settings of the web process and of all others that serve as er_web.

    What the operator has set stands, but for the addresses: those given to ./up are the
    administrator's, and no running process gets to see them.
    """
    hosts = ("localhost", "127.0.0.1", "[::1]", house.host, os.uname().nodename)
    defaults = {
        "PUBLIC_URL": house.public_url,
        "ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)),
        "PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
        **{name: house.secrets[kept] for name, kept in _SECRETS.items()},
    }
    settings = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": house.databases.web,
        "REDIS_URL": house.redis_url,
        "DATA_DIR": str(house.data),
        "SANDBOX_URL": f"http://127.0.0.1:{house.sandbox_port}" if house.sandbox_port else "",
        "PYTHONUNBUFFERED": "1",
        # Celery warns of running as root, which whoever typed ./up as root knows.
        "PYTHONWARNINGS": "ignore::Warning:celery.platforms",
    }
    given = {
        name: value
        for name, value in house.given.items()
        if name.removesuffix("_FILE") not in _ADDRESSES
    }
    unset = {name: value for name, value in defaults.items() if f"{name}_FILE" not in given}
    return unset | given | settings


def kept_environment(house: House) -> dict[str, str]:
    """The settings that ./manage needs to run a command beside the processes."""
    env = environment(house) | {"DATABASE_INGEST_URL": house.databases.ingest}
    names = (
        "DATABASE_URL",
        "DATABASE_INGEST_URL",
        "REDIS_URL",
        "DATA_DIR",
        "SANDBOX_URL",
        "PUBLIC_URL",
    )
    more = ("ALLOWED_HOSTS", "PRIVATE_NETWORKS", "TRUSTED_PROXY_COUNT", *_SECRETS)
    return {name: env[name] for name in (*names, *more) if name in env}


def migrate_environment(house: House) -> dict[str, str]:
    """The settings of release steps: the only ones that sign in as er_migrate."""
    return environment(house) | {"DATABASE_URL": house.databases.migrate}


def sandbox(house: House) -> Program:
    """The sandbox provider: it needs no address and no secret."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    return Program(
        name="sandbox",
        argv=(sys.executable, "-m", "catalog.sandbox", "--port", str(house.sandbox_port)),
        env={name: house.given[name] for name in kept if name in house.given}
        | {"PYTHONUNBUFFERED": "1"},
        cwd=house.root,
        stage=30,
        grace_s=5.0,
    )


def processes(house: House, *, workers: int, listening: int) -> list[Program]:
    """Web processes on one listening socket, the Celery worker, beat and the drainer."""
    env = environment(house)
    manage = (sys.executable, "manage.py")
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "project")
    lean = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    schedule = f"--schedule={house.data / 'celerybeat-schedule'}"
    web = [
        Program(
            name=f"web.{number}",
            argv=(*manage, "web", "--fd", str(listening)),
            env=env,
            cwd=house.root,
            stage=0,
            grace_s=STREAM_GRACE_S,
            descriptors=(listening,),
        )
        for number in range(1, workers + 1)
    ]
    worker = (*celery, "worker", "--concurrency=1", "--loglevel=WARNING", *lean)
    beat = (*celery, "beat", "--loglevel=WARNING", "--pidfile=", schedule)
    drain_env = env | {"DATABASE_INGEST_URL": house.databases.ingest}
    return [
        *web,
        Program("drainer", (*manage, "drain"), drain_env, house.root, stage=20, grace_s=60.0),
        Program("worker", worker, env, house.root, stage=10, grace_s=20.0),
        Program("beat", beat, env, house.root, stage=10),
    ]


def release_step(house: House, name: str, *command: str) -> Program:
    """A management command that runs once, as er_migrate."""
    argv = (sys.executable, "manage.py", *command)
    return Program(name, argv, migrate_environment(house), house.root)
