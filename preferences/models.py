"""What an organization, a user and a key want of the router."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from preferences.core import Priority
from tenancy.models import ApiKey, TenantModel, User
from tenancy.policy import TenantForeignKey, TenantPolicy


class Wishes(TenantModel):
    """The columns that every level of preferences has; an empty one leaves the level above."""

    # Empty is not null here: null leaves the level above as it is, like every other column.
    default_priority = models.CharField(  # noqa: DJ001
        max_length=16, null=True, choices=[(p.value, p.value) for p in Priority]
    )
    max_cost_per_request_nano = models.BigIntegerField(
        null=True, db_column="max_cost_per_request", db_comment="nano-USD"
    )
    max_latency_ms = models.IntegerField(null=True)
    preferred_providers = ArrayField(models.CharField(max_length=40), default=list)
    blocked_providers = ArrayField(models.CharField(max_length=40), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class UserRouterPreferences(Wishes):
    """One row per user and organization; the one without a user is the organization's default."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    custom_rules = models.JSONField(default=list)
    cost_alert_threshold_nano = models.BigIntegerField(
        null=True, db_column="cost_alert_threshold", db_comment="nano-USD a day"
    )

    class Meta:
        db_table = "user_router_preferences"
        constraints: ClassVar = [
            TenantPolicy(name="user_router_preferences_policy"),
            models.UniqueConstraint(
                fields=["organization", "user"],
                name="user_router_preferences_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(max_cost_per_request_nano__gt=0),
                name="user_router_preferences_cost",
            ),
            models.CheckConstraint(
                condition=models.Q(max_latency_ms__gte=50, max_latency_ms__lte=600_000),
                name="user_router_preferences_latency",
            ),
        ]

    def __str__(self) -> str:
        return f"preferences of {self.user_id or 'the organization'}"


class KeyPreferences(Wishes):
    """What holds for the calls of one API key, below its user's preferences."""

    api_key = models.OneToOneField(
        ApiKey, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="key_preferences_policy"),
            TenantForeignKey(
                name="key_preferences_key",
                column="api_key_id",
                to="tenancy_apikey",
                on_delete="CASCADE",
            ),
        ]

    def __str__(self) -> str:
        return f"preferences of key {self.api_key_id}"
