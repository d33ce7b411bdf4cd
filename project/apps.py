"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Settings and process types."""

    name = "project"
    default_auto_field = "django.db.models.BigAutoField"
