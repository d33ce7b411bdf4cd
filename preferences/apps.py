"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class PreferencesConfig(AppConfig):
    """Preferences of organizations, users and keys."""

    name = "preferences"
    default_auto_field = "django.db.models.BigAutoField"
