"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """The gateway."""

    name = "routing"
    default_auto_field = "django.db.models.BigAutoField"
