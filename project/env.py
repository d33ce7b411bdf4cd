"""Typed readers of environment variables; a typo stops the process at start, by name."""

from __future__ import annotations

import os
from base64 import b64decode
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit


class SettingError(Exception):
    """A setting is missing or cannot be read; the message names it and says what it should be."""


def text(name: str, default: str | None = None) -> str:
    """The value of ``name``, or of the file that ``name_FILE`` points to, or the default."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            found = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as why:
            reason = why.strerror if isinstance(why, OSError) else "it is no text"
            raise SettingError(f"{name}_FILE: cannot read {file}: {reason}") from None
        if not found and default is None:
            raise SettingError(f"{name}_FILE: {file} is empty.")
        return found
    value = os.environ.get(name, default)
    if value is None or (default is None and not value.strip()):
        raise SettingError(f"{name} is not set. See .env.example for what it is.")
    return value


def flag(name: str, default: bool) -> bool:
    """A yes/no setting; refuses anything else."""
    value = text(name, "1" if default else "0").lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise SettingError(f"{name}={value!r} is neither true nor false.")


def number(name: str, default: int, *, at_least: int, at_most: int) -> int:
    """A whole number within bounds."""
    value = text(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise SettingError(f"{name}={value!r} is not a whole number.") from None
    if not at_least <= found <= at_most:
        raise SettingError(f"{name}={found} is outside {at_least}..{at_most}.")
    return found


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list without empty entries."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    """One of a closed set of words."""
    value = text(name, default)
    if value not in options:
        raise SettingError(f"{name}={value!r} is not one of: {', '.join(options)}.")
    return value


def key(name: str) -> bytes:
    """A 32-byte secret in base64."""
    try:
        value = b64decode(text(name), validate=True)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise SettingError(f"{name} must be 32 random bytes in base64 (openssl rand -base64 32).")
    return value


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks in CIDR notation."""
    try:
        return tuple(ip_network(word) for word in words(name))
    except ValueError as why:
        raise SettingError(f"{name}: {why}") from None


def database(name: str) -> dict[str, object]:
    """A Postgres address as Django's connection settings."""
    url = _url(name, text(name), "postgresql://user:password@host:5432/database")
    if url.scheme not in ("postgres", "postgresql") or not url.path.strip("/"):
        raise SettingError(f"{name} must look like postgresql://user:password@host:5432/database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path.strip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": str(url.port or 5432),
    }


def web_address(name: str, default: str) -> str:
    """An address that begins with http:// or https://, without a slash at its end."""
    value = text(name, default).rstrip("/")
    if not value and not default:
        return ""
    example = "https://router.example.com"
    url = _url(name, value, example)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise SettingError(f"{name} must look like {example}")
    return value


def redis(name: str, default: str) -> str:
    """The address of a Redis or Valkey."""
    value = text(name, default)
    example = "redis://:password@host:6379/0"
    url = _url(name, value, example)
    if url.scheme not in ("redis", "rediss", "unix"):
        raise SettingError(f"{name} must look like {example}")
    return value


def mail(name: str) -> dict[str, object]:
    """Mail settings from smtp://user:password@host:587/?tls=1; the console when empty."""
    value = text(name, "")
    if not value:
        return {"EMAIL_BACKEND": "project.console_mail.EmailBackend"}
    url = _url(name, value, "smtp://user:password@host:587/?tls=1")
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise SettingError(f"{name} must look like smtp://user:password@host:587/?tls=1")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if url.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_USE_TLS": url.scheme == "smtp" and "tls=1" in url.query,
        "EMAIL_TIMEOUT": 20,
    }


def sign_in_apps(**apps: tuple[str, str]) -> dict[str, object]:
    """allauth's providers from a client id and secret of each; one without an id is not offered."""
    providers: dict[str, object] = {}
    for name, (client_id, secret) in apps.items():
        if bool(client_id) != bool(secret):
            both = f"{name.upper()}_CLIENT_ID and {name.upper()}_CLIENT_SECRET"
            raise SettingError(f"{both} belong together: set both or neither.")
        if client_id:
            providers[name] = {
                "APPS": [{"client_id": client_id, "secret": secret}],
                "OAUTH_PKCE_ENABLED": True,
            }
    return providers


def _url(name: str, value: str, example: str) -> SplitResult:
    """The address in parts; the value itself is not shown, it may hold a password."""
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise SettingError(f"{name} must look like {example}") from None
    return url
