"""What a name, a time zone and an address must be; each refusal names its field."""

from __future__ import annotations

import unicodedata
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from lib.errors import RouterError
from tenancy.core import Role

NAME_CHARS_MAX = 120
EMAIL_CHARS_MAX = 254


def invalid(param: str, message: str) -> RouterError:
    """The refusal of a value (422)."""
    return RouterError(422, "invalid_value", message, param=param)


def checked_name(name: str, param: str = "name") -> str:
    """The name without space around it; raises ``RouterError`` (422)."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        raise invalid(param, f"A name has 1 to {NAME_CHARS_MAX} characters.")
    # Control characters and halves of surrogate pairs; Postgres stores neither.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise invalid(param, "A name is one line of text.")
    return name


def checked_time_zone(zone: str) -> str:
    """The time zone, if there is one of this name; raises ``RouterError`` (422)."""
    if zone not in available_timezones():
        raise invalid("time_zone", f'"{zone}" is no time zone such as Europe/Berlin.')
    return zone


def checked_email(email: str) -> str:
    """The address in lower case; raises ``RouterError`` (422)."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise invalid("email", f'"{email[:80]}" is no e-mail address.') from None
    if len(email) > EMAIL_CHARS_MAX:
        raise invalid("email", f"An address has at most {EMAIL_CHARS_MAX} characters.")
    return email


def checked_role(role: str) -> Role:
    """The role of this name; raises ``RouterError`` (422)."""
    try:
        return Role(role)
    except ValueError:
        raise invalid("role", f"Choose one of: {', '.join(Role)}.") from None
