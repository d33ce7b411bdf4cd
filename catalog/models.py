"""Providers that an organization is connected to, their credentials, and deployments."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenancy.models import AuditedModel, TenantModel
from tenancy.policy import TenantForeignKey, TenantPolicy


class Provider(AuditedModel):
    """A company or machine that serves models, as this organization reaches it."""

    audit_kind = "provider"

    slug = models.SlugField(max_length=40)
    preset = models.SlugField(max_length=40, db_comment="which entry of catalog.presets it is")
    name = models.CharField(max_length=80)
    base_url = models.CharField(max_length=400)
    wire = models.CharField(max_length=16)
    auth = models.CharField(max_length=16)
    region = models.CharField(max_length=40, blank=True)
    is_local = models.BooleanField(
        default=False, db_comment="calls stay on the operator's machines"
    )
    is_sandbox = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    tested_at = models.DateTimeField(null=True, db_comment="when a test of it last succeeded")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="provider_policy"),
            models.UniqueConstraint(fields=["organization", "slug"], name="provider_slug"),
            models.UniqueConstraint(fields=["organization", "id"], name="provider_tenant_id"),
        ]

    def __str__(self) -> str:
        return self.name


class Credential(TenantModel):
    """A provider's secret, sealed, and bound to the origin that it may be sent to."""

    provider = models.ForeignKey(
        Provider, on_delete=models.CASCADE, related_name="credentials", db_constraint=False
    )
    origin = models.CharField(max_length=300, db_comment="scheme://host:port")
    secret_sealed = models.BinaryField()
    last_four = models.CharField(max_length=4)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="credential_policy"),
            TenantForeignKey(
                name="credential_provider",
                column="provider_id",
                to="catalog_provider",
                on_delete="CASCADE",
            ),
        ]

    def __str__(self) -> str:
        return f"…{self.last_four}"


class Deployment(AuditedModel):
    """A model at a provider. Prices left empty come from the price list."""

    audit_kind = "deployment"

    provider = models.ForeignKey(
        Provider, on_delete=models.CASCADE, related_name="deployments", db_constraint=False
    )
    model = models.CharField(max_length=160, db_comment="the name clients ask for")
    upstream_model = models.CharField(max_length=160, db_comment="the provider's name for it")
    operation = models.CharField(max_length=16, default="chat")
    context_window = models.IntegerField(db_comment="tokens, input and output together")
    max_output_tokens = models.IntegerField()
    capabilities = ArrayField(models.CharField(max_length=16), default=list)
    region = models.CharField(max_length=40, blank=True)
    quality = models.SmallIntegerField(default=50, db_comment="0 to 100")
    input_nano_per_mtok = models.BigIntegerField(null=True)
    cached_nano_per_mtok = models.BigIntegerField(null=True)
    output_nano_per_mtok = models.BigIntegerField(null=True)
    price_source = models.CharField(max_length=200, blank=True)
    price_as_of = models.DateField(null=True)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="deployment_policy"),
            TenantForeignKey(
                name="deployment_provider",
                column="provider_id",
                to="catalog_provider",
                on_delete="CASCADE",
            ),
            models.UniqueConstraint(
                fields=["organization", "provider", "model"], name="deployment_model"
            ),
            models.CheckConstraint(
                condition=models.Q(quality__gte=0, quality__lte=100), name="deployment_quality"
            ),
        ]

    def __str__(self) -> str:
        return self.model
