"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """The ledger of calls and its rollups."""

    name = "analytics"
    default_auto_field = "django.db.models.BigAutoField"
