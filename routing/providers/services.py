"""Taking a provider away, with every preference that names it."""

from __future__ import annotations

from catalog.editing import remove_provider
from catalog.models import Provider
from preferences.mentions import forget_provider
from tenancy.core import Actor
from tenancy.scope import tenant_scope


def disconnect_provider(provider: Provider, *, actor: Actor) -> None:
    """Removes a provider with its models and credentials; no list of preferences keeps its name.

    Raises ``RouterError`` (404) when it is gone already.
    """
    with tenant_scope(provider.organization_id):
        forget_provider(provider.organization_id, provider.slug, actor=actor)
        remove_provider(provider, actor=actor)
