"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Providers, credentials, deployments and prices."""

    name = "catalog"
    default_auto_field = "django.db.models.BigAutoField"
