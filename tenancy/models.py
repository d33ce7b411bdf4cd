"""Organizations, users, members, API keys and the audit trail."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from lib.ids import uuid7
from tenancy.core import Role, Scope, SsoKind
from tenancy.policy import TenantForeignKey, TenantPolicy

BODIES_RETENTION_DAYS = 30


def new_id() -> uuid.UUID:
    """A fresh UUIDv7: the edge's clock and chance around the pure ``uuid7``."""
    return uuid.UUID(int=uuid7(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")))


class UserManager(BaseUserManager["User"]):
    """Makes users from an e-mail address."""

    def create_user(self, email: str, password: str | None = None, **more: Any) -> User:
        """A saved user; without a password it cannot sign in with one."""
        user = self.model(email=self.normalize_email(email).lower(), **more)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person; what they may do follows from their memberships."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(unique=True, max_length=254)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email


class Organization(models.Model):
    """A customer. ``epoch`` counts its configuration changes; every process compares it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC")
    require_mfa = models.BooleanField(
        default=False, db_default=False, db_comment="its pages need a second factor"
    )
    epoch = models.BigIntegerField(default=1)
    changed_at = models.DateTimeField(auto_now_add=True, db_index=True)
    retention_days = models.PositiveIntegerField(
        null=True, db_comment="how long calls are kept; null: as long as the installation keeps any"
    )
    store_bodies = models.BooleanField(
        default=False, db_default=False, db_comment="whether prompts and answers are stored, sealed"
    )
    bodies_retention_days = models.PositiveIntegerField(
        default=BODIES_RETENTION_DAYS, db_default=BODIES_RETENTION_DAYS
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="organization_policy", column="id", all_rows=("er_auth",)),
        ]

    def __str__(self) -> str:
        return self.name


class TenantModel(models.Model):
    """A row that belongs to one organization; each concrete model carries its ``TenantPolicy``."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")

    class Meta:
        abstract = True


class AuditedModel(TenantModel):
    """A row of configuration, with the kind and the name by which the audit trail tells of it."""

    audit_kind: ClassVar[str]

    class Meta:
        abstract = True

    @property
    def audit_name(self) -> str:
        """What people call the row."""
        return str(self)


class Membership(AuditedModel):
    """A user's role in an organization."""

    audit_kind = "member"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in Role])
    hides_get_started = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="membership_policy", all_rows=("er_auth",)),
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="membership_tenant_id"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role}"

    @property
    def audit_name(self) -> str:
        """The member's address."""
        return self.user.email


class Invitation(AuditedModel):
    """An offer of membership to an e-mail address; its token is in the mail alone."""

    audit_kind = "invitation"

    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in Role])
    digest = models.BinaryField(max_length=32)
    invited_by = models.CharField(max_length=254)
    sender_id = models.UUIDField(null=True, db_comment="the person whose role it rests on")
    sends = models.PositiveSmallIntegerField(default=1)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    undelivered = models.BooleanField(default=False, db_comment="the last mail was refused")
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="invitation_policy", all_rows=("er_auth",)),
            models.UniqueConstraint(fields=["digest"], name="invitation_digest"),
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(accepted_at=None, withdrawn_at=None),
                name="invitation_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"

    @property
    def audit_name(self) -> str:
        """The address that is invited."""
        return self.email


class Erasure(models.Model):
    """An organization that was deleted, until its last calls are gone too. Belongs to nobody."""

    id = models.UUIDField(primary_key=True, editable=False, db_comment="the organization's")
    epoch = models.BigIntegerField()
    requested_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return str(self.id)


class ApiKey(AuditedModel):
    """A credential of applications. The secret itself is never stored."""

    audit_kind = "api_key"

    name = models.CharField(max_length=120)
    user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_comment="acts for"
    )
    scopes = ArrayField(
        models.CharField(max_length=16, choices=[(s.value, s.value) for s in Scope])
    )
    allowed_networks = ArrayField(models.CharField(max_length=64), default=list)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=254)
    maker_id = models.UUIDField(null=True, db_comment="the person who made it")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="api_key_policy", all_rows=("er_auth", "er_ingest")),
            models.UniqueConstraint(fields=["organization", "id"], name="api_key_tenant_id"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiKeySecret(TenantModel):
    """One live secret of a key; two while a rotation overlaps."""

    api_key = models.ForeignKey(
        ApiKey, on_delete=models.CASCADE, related_name="secrets", db_constraint=False
    )
    digest = models.BinaryField(max_length=32)
    prefix = models.CharField(max_length=16)
    last_four = models.CharField(max_length=4)
    expires_at = models.DateTimeField(null=True, db_comment="end of a rotation's overlap")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="api_key_secret_policy", all_rows=("er_auth",)),
            TenantForeignKey(
                name="api_key_secret_key",
                column="api_key_id",
                to="tenancy_apikey",
                on_delete="CASCADE",
            ),
            models.UniqueConstraint(fields=["digest"], name="api_key_secret_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…{self.last_four}"


class AuditEntry(TenantModel):
    """One change of configuration; rows are only ever added.

    ``position`` is the epoch that the change made, and ``digest`` covers the entry and the digest
    before it; entries from before there was a chain have neither.
    """

    actor_kind = models.CharField(max_length=8)
    actor_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=32)
    object_id = models.UUIDField(null=True)
    object_name = models.CharField(max_length=254, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    source = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    position = models.BigIntegerField(null=True)
    digest = models.BinaryField(max_length=32, null=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="audit_entry_policy"),
            models.UniqueConstraint(
                fields=["organization", "position"], name="audit_entry_position"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at", "-id"], name="audit_entry_newest")
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_name}"


class FormerMember(TenantModel):
    """Somebody who left or was removed; single sign-on alone does not bring them back."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    left_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="former_member_policy"),
            models.UniqueConstraint(fields=["organization", "user"], name="former_member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} left"


class SsoConnection(AuditedModel):
    """An organization's own identity provider, by OpenID Connect or by SAML."""

    audit_kind = "sso_connection"

    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in SsoKind])
    name = models.CharField(max_length=40)
    default_role = models.CharField(
        max_length=16, choices=[(r.value, r.value) for r in Role if r is not Role.OWNER]
    )
    required = models.BooleanField(
        default=False, db_comment="people of its domains sign in with nothing else"
    )
    issuer = models.CharField(max_length=400, blank=True)
    client_id = models.CharField(max_length=191, blank=True)
    secret_sealed = models.BinaryField(null=True)
    idp_entity_id = models.CharField(max_length=400, blank=True)
    idp_sso_url = models.CharField(max_length=400, blank=True)
    idp_certificate = models.TextField(blank=True)
    sp_certificate = models.TextField(blank=True, db_default="")
    sp_key_sealed = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="sso_connection_policy", all_rows=("er_auth",)),
            models.UniqueConstraint(fields=["organization", "id"], name="sso_connection_tenant_id"),
        ]

    def __str__(self) -> str:
        return self.name


class SsoDomain(TenantModel):
    """An e-mail domain of a connection; it counts once the organization has proved it."""

    connection = models.ForeignKey(
        SsoConnection, on_delete=models.CASCADE, related_name="domains", db_constraint=False
    )
    domain = models.CharField(max_length=253)
    proof = models.CharField(max_length=64, db_comment="what its TXT record must say")
    verified_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="sso_domain_policy", all_rows=("er_auth",)),
            TenantForeignKey(
                name="sso_domain_connection",
                column="connection_id",
                to="tenancy_ssoconnection",
                on_delete="CASCADE",
            ),
            models.UniqueConstraint(fields=["organization", "domain"], name="sso_domain_once"),
            # Across organizations: a domain leads to one place.
            models.UniqueConstraint(
                fields=["domain"],
                condition=models.Q(verified_at__isnull=False),
                name="sso_domain_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.domain


class IdempotentAnswer(TenantModel):
    """What a creating request was answered, for whoever sends it again; sealed, for a day."""

    api_key = models.ForeignKey(
        ApiKey, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(db_comment="SHA-256 of operation and body")
    status = models.PositiveSmallIntegerField(default=0)
    answer_sealed = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            TenantPolicy(name="idempotent_answer_policy"),
            TenantForeignKey(
                name="idempotent_answer_key",
                column="api_key_id",
                to="tenancy_apikey",
                on_delete="CASCADE",
            ),
            models.UniqueConstraint(
                fields=["organization", "api_key", "key"], name="idempotent_answer_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "created_at"], name="idempotent_answer_age"),
        ]

    def __str__(self) -> str:
        return f"answer {self.status} under {self.key}"
