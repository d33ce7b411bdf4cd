"""From a stored provider to a check of it: what may be sent there, and how often."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from catalog.editing import mark_tested
from catalog.models import Provider
from catalog.selectors import provider as provider_of
from catalog.services import open_secret
from lib.errors import RouterError
from lib.netguard import parse_base_url
from lib.secretbox import SecretError
from routing.providers.check import Question, Result, check
from tenancy.pace import check_pace
from tenancy.scope import give_back, tenant_scope

# So that the button is no means of knocking on other people's doors.
CHECKS_PER_MINUTE_MAX = 30


def check_provider(organization_id: UUID, slug: str) -> Result | None:
    """What came of a check; None where there is no such provider. Takes up to ten seconds.

    Call it outside every scope: no transaction waits for the provider. Raises ``RouterError``:
    429 when there were too many checks, 422 for an address that may not be called.
    """
    with tenant_scope(organization_id):
        provider = provider_of(organization_id, slug)
        question = None if provider is None else _question(provider)
    if question is None:
        return None
    check_pace(
        f"provider-checks:{organization_id.hex}",
        per_minute=CHECKS_PER_MINUTE_MAX,
        code="too_many_checks",
        message=f"At most {CHECKS_PER_MINUTE_MAX} tests a minute. Wait a little.",
    )
    # Others need it while this one waits.
    give_back()
    result = check(question)
    if result.is_good:
        with tenant_scope(organization_id):
            mark_tested(organization_id, slug)
    return result


def _question(provider: Provider) -> Question:
    try:
        origin = parse_base_url(provider.base_url, allowed=settings.PRIVATE_NETWORKS)
    except ValueError as why:
        raise RouterError(422, "invalid_value", str(why), param="base_url") from None
    rows = provider.deployments.filter(organization_id=provider.organization_id, active=True)
    return Question(
        name=provider.name,
        origin=origin,
        wire=provider.wire,
        auth=provider.auth,
        secret=_secret(provider),
        needs_secret=provider.is_sandbox or not provider.is_local,
        upstream_models=[row.upstream_model for row in rows.order_by("model")],
        allowed_networks=settings.PRIVATE_NETWORKS,
    )


def _secret(provider: Provider) -> str | None:
    live = provider.credentials.filter(organization_id=provider.organization_id, active=True)
    credential = live.order_by("-created_at").first()
    if credential is None:
        return None
    try:
        return open_secret(credential, provider)
    except (SecretError, ValueError):
        return None
