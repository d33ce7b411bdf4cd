"""Settings as in production: nothing to warn of, and a typo never passes in silence."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from project import env

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = base64.b64encode(bytes(range(32))).decode()
PRODUCTION = {
    "DATABASE_URL": "postgresql://er_web:w@db.example.com:5432/er",
    "DATABASE_INGEST_URL": "postgresql://er_ingest:i@db.example.com:5432/er",
    "REDIS_URL": "rediss://:password@redis.example.com:6379/0",
    "SECRET_KEY": "b7dK2mQx9vR4tY8wZ1cF6hJ3nL5pS0uA-b7dK2mQx9vR4tY8wZ1cF6hJ3nL5pS0uA",
    "API_KEY_PEPPER": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "ENCRYPTION_KEY": KEY,
    "PUBLIC_URL": "https://router.example.com",
    "ALLOWED_HOSTS": "router.example.com",
    "TRUSTED_PROXY_COUNT": "1",
    "EMAIL_URL": "smtp://user:password@mail.example.com:587/?tls=1",
    "LOG_FORMAT": "json",
}


def manage(tmp_path: Path, *words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    settings = {**PRODUCTION, "DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"], **changes}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={name: value for name, value in settings.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_deployment_check_has_nothing_to_say(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout + done.stderr


def test_the_deployment_check_would_speak_up(tmp_path: Path) -> None:
    done = manage(
        tmp_path, "check", "--deploy", "--fail-level", "WARNING", PUBLIC_URL="http://router.test"
    )
    assert done.returncode != 0
    assert "security.W008" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", ""),
        ("API_KEY_PEPPER", " "),
        ("ENCRYPTION_KEY", "short"),
        ("DATABASE_URL", None),
        ("DATABASE_URL", "mysql://a:b@c/d"),
        ("PUBLIC_URL", "htps://router.example.com"),
        ("REDIS_URL", "rediss.example.com"),
        ("TRUSTED_PROXY_COUNT", "one"),
        ("DEBUG", "maybe"),
    ],
)
def test_a_process_does_not_start_on_a_typo(tmp_path: Path, name: str, value: str | None) -> None:
    done = manage(tmp_path, "check", **{name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert name in last


READERS: list[tuple[Callable[[str], object], list[str], dict[str, object]]] = [
    (lambda n: env.flag(n, False), ["ja", "2", "tru"], {"1": True, "Off": False, "": False}),
    (
        lambda n: env.number(n, 1, at_least=1, at_most=9),
        ["0", "10", "1.5", "", "one"],
        {"1": 1, " 9 ": 9},
    ),
    (lambda n: env.choice(n, "a", ("a", "b")), ["c", "", "A"], {"b": "b"}),
    (env.key, ["", "x", KEY + "=", KEY[:-4], "é" * 44], {KEY: bytes(range(32))}),
    (env.networks, ["10.0.0.1/8", "lan", "10.0.0.0/33"], {"": (), " , ": ()}),
    (
        env.database,
        ["er", "postgresql://u:p@h", "postgresql://u:p@h:port/er", "postgresql://[::1/er"],
        {},
    ),
    (env.mail, ["mail.example.com", "smtp://", "smtp://h:port", "http://h"], {}),
    (
        lambda n: env.web_address(n, "http://localhost"),
        ["", "router.example.com", "ftp://h", "https://", "https://h:port", "https://h/?q=1"],
        {"https://h/": "https://h"},
    ),
    (lambda n: env.web_address(n, ""), ["h", "https://[::1"], {"": "", "http://h": "http://h"}),
    (
        lambda n: env.redis(n, "redis://h/0"),
        ["", "h:6379", "redis://h:port"],
        {"redis://h": "redis://h"},
    ),
]


@pytest.mark.parametrize(("read", "bad", "good"), READERS)
def test_a_reader_names_the_variable_that_it_refuses(
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[str], object],
    bad: list[str],
    good: dict[str, object],
) -> None:
    for value in bad:
        monkeypatch.setenv("SOME_SETTING", value)
        with pytest.raises(env.SettingError, match="SOME_SETTING"):
            read("SOME_SETTING")
    for value, read_as in good.items():
        monkeypatch.setenv("SOME_SETTING", value)
        assert read("SOME_SETTING") == read_as


def test_a_refusal_never_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "postgresql://er:hunter2@h:port/er")
    for read in (env.database, env.mail, lambda n: env.redis(n, "")):
        with pytest.raises(env.SettingError) as why:
            read("SOME_SETTING")
        assert "hunter2" not in str(why.value)


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    monkeypatch.setenv("SOME_SETTING_FILE", str(file))
    assert env.text("SOME_SETTING") == "from the file"
    file.write_text("\n")
    with pytest.raises(env.SettingError, match="SOME_SETTING_FILE"):
        env.text("SOME_SETTING")
    file.unlink()
    with pytest.raises(env.SettingError, match="SOME_SETTING_FILE"):
        env.text("SOME_SETTING")


def test_a_database_address_may_hold_any_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "postgres://e%40r:p%2Fw@[::1]/db")
    assert env.database("SOME_SETTING") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "db",
        "USER": "e@r",
        "PASSWORD": "p/w",
        "HOST": "::1",
        "PORT": "5432",
    }
