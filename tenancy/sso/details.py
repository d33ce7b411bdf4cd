"""What an organization says of its identity provider, and what the provider says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from tenancy.core import SsoKind
from tenancy.outside import outside
from tenancy.pace import check_pace
from tenancy.sso import fields as checked

QUESTIONS_PER_MINUTE_MAX = 30
A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Details:
    """What an organization says about its identity provider; None leaves a value as it is.

    A SAML provider's own three values may come from its metadata, as XML or by its address.
    """

    name: str | None = None
    default_role: str | None = None
    required: bool | None = None
    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    metadata: str | None = None
    metadata_url: str | None = None
    idp_entity_id: str | None = None
    idp_sso_url: str | None = None
    idp_certificate: str | None = None


def details_from(values: Mapping[str, Any]) -> Details:
    """The details that a form or a JSON body holds."""
    return Details(**{f.name: values[f.name] for f in fields(Details) if f.name in values})


def asked(
    organization_id: UUID, kind: str, details: Details, *, issuer: str | None = None
) -> Details:
    """The details with what the provider says of itself; ``issuer`` was asked already.

    Raises ``RouterError``: 422 naming the field, 429 past so many questions a minute.
    """
    if kind == SsoKind.SAML:
        if not details.metadata_url:
            return details
        ask = partial(paced, organization_id, checked.fetched_metadata, details.metadata_url)
        return replace(details, metadata=outside("metadata", ask))
    if details.issuer is None or details.issuer.strip() == issuer:
        return replace(details, issuer=None)
    ask = partial(paced, organization_id, checked.issuer, details.issuer)
    return replace(details, issuer=outside("issuer", ask))


def paced(organization_id: UUID, ask: Callable[[A], T], name: A) -> T:
    """Asks a server that the organization names, not too often: it is no means to knock on doors.

    Nor to keep this one busy, with key pairs. Raises ``RouterError`` (429).
    """
    check_pace(
        f"sso-questions:{organization_id.hex}",
        per_minute=QUESTIONS_PER_MINUTE_MAX,
        code="too_many_questions",
        message=f"At most {QUESTIONS_PER_MINUTE_MAX} questions to identity providers and DNS a "
        "minute. Wait a little.",
    )
    return ask(name)
