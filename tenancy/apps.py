"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    """Organizations, members, API keys and the audit trail."""

    name = "tenancy"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listens for memberships that end and for second factors that are set up."""
        from tenancy import ways_in
        from tenancy.sso import membership

        membership.connect()
        ways_in.connect()
