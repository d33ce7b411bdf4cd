"""The ledger of calls and its hourly rollups. Written by the drainer, read by pages and API."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

PACKED = "successful calls by latency: bucket * 2^40 + count, see analytics.core"


class Call(models.Model):
    """One call. The table is partitioned by time; rows are only ever added.

    Its true primary key is (organization_id, created_at, id); ``id`` is a UUIDv7.
    """

    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    created_at = models.DateTimeField()
    provider = models.TextField(blank=True)
    task_type = models.TextField()
    model_requested = models.TextField()
    model_used = models.TextField(blank=True)
    priority = models.TextField(blank=True)
    success = models.BooleanField()
    status = models.SmallIntegerField(db_comment="HTTP status of the answer; 499: client left")
    error_code = models.TextField(blank=True)
    stream = models.BooleanField()
    latency_ms = models.IntegerField()
    first_token_ms = models.IntegerField(null=True)
    overhead_us = models.IntegerField(null=True)
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_nano = models.BigIntegerField()
    cost_estimated = models.BooleanField()
    usage = models.JSONField(db_comment="every quantity that the provider reported")
    price = models.JSONField(null=True, db_comment="the prices that the cost follows from")
    fallback_used = models.BooleanField()
    fallback_from = models.TextField(blank=True, db_comment="provider tried first; empty if last")
    attempts = models.SmallIntegerField()
    cache_hit = models.BooleanField()
    ab_test = models.UUIDField(null=True)
    variant = models.TextField(blank=True)
    api_key = models.UUIDField(null=True, db_column="api_key_id")
    user = models.UUIDField(null=True, db_column="user_id")
    region = models.TextField(blank=True)
    decision = models.JSONField(db_comment="why it went where it went")
    metadata = models.JSONField()

    class Meta:
        db_table = "router_analytics"
        managed = False

    def __str__(self) -> str:
        return str(self.id)


class _Sums(models.Model):
    """What is added up of calls that share everything else in their row."""

    organization_id = models.UUIDField()
    provider = models.TextField()
    model_used = models.TextField()
    api_key = models.UUIDField(db_column="api_key_id")
    user = models.UUIDField(db_column="user_id")
    status = models.SmallIntegerField()
    calls = models.BigIntegerField()
    successes = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    cache_hits = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_nano = models.BigIntegerField()
    latency_ms_sum = models.BigIntegerField()

    class Meta:
        abstract = True


class Rollup(_Sums):
    """Sums of one hour for one provider, model, key, user and status."""

    hour = models.DateTimeField()
    pk = models.CompositePrimaryKey(
        "organization_id", "hour", "provider", "model_used", "api_key", "user", "status"
    )
    latencies = ArrayField(models.BigIntegerField(), db_comment=PACKED)

    class Meta:
        db_table = "router_rollups"
        managed = False

    def __str__(self) -> str:
        return f"{self.hour} {self.provider} {self.model_used}"


class Quarter(_Sums):
    """The same sums of a quarter of an hour, for days that begin within an hour of UTC."""

    quarter = models.DateTimeField()
    pk = models.CompositePrimaryKey(
        "organization_id", "quarter", "provider", "model_used", "api_key", "user", "status"
    )

    class Meta:
        db_table = "router_quarters"
        managed = False

    def __str__(self) -> str:
        return f"{self.quarter} {self.provider} {self.model_used}"


class LatencyTotal(models.Model):
    """How many successful calls fell into each latency bucket, by one dimension alone.

    ``span`` is an hour or a day of UTC, ``kind`` is all, provider, model, key or member, ``name``
    which of them.
    """

    organization_id = models.UUIDField()
    span = models.TextField()
    kind = models.TextField()
    name = models.TextField()
    start = models.DateTimeField()
    bucket = models.SmallIntegerField()
    pk = models.CompositePrimaryKey("organization_id", "span", "kind", "name", "start", "bucket")
    calls = models.BigIntegerField()

    class Meta:
        db_table = "router_latency_totals"
        managed = False

    def __str__(self) -> str:
        return f"{self.start} {self.kind} {self.name} {self.bucket}"


class Fallback(models.Model):
    """How many calls of one hour were tried at one provider first and ended at another."""

    organization_id = models.UUIDField()
    hour = models.DateTimeField()
    fallback_from = models.TextField()
    provider = models.TextField()
    model_used = models.TextField()
    api_key = models.UUIDField(db_column="api_key_id")
    user = models.UUIDField(db_column="user_id")
    status = models.SmallIntegerField()
    pk = models.CompositePrimaryKey(
        "organization_id",
        "hour",
        "fallback_from",
        "provider",
        "model_used",
        "api_key",
        "user",
        "status",
    )
    calls = models.BigIntegerField()

    class Meta:
        db_table = "router_fallbacks"
        managed = False

    def __str__(self) -> str:
        return f"{self.hour} {self.fallback_from} {self.provider}"


class Tag(models.Model):
    """Sums of one hour for calls that said the same of themselves in ``x-router-metadata``."""

    organization_id = models.UUIDField()
    value = models.TextField()
    name = models.TextField()
    hour = models.DateTimeField()
    provider = models.TextField()
    model_used = models.TextField()
    api_key = models.UUIDField(db_column="api_key_id")
    user = models.UUIDField(db_column="user_id")
    status = models.SmallIntegerField()
    fallback_from = models.TextField()
    pk = models.CompositePrimaryKey(
        "organization_id",
        "value",
        "name",
        "hour",
        "provider",
        "model_used",
        "api_key",
        "user",
        "status",
        "fallback_from",
    )
    calls = models.BigIntegerField()
    successes = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    cost_nano = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    latencies = ArrayField(models.BigIntegerField(), db_comment=PACKED)

    class Meta:
        db_table = "router_tags"
        managed = False

    def __str__(self) -> str:
        return f"{self.hour} {self.name}={self.value}"


class CallBodies(models.Model):
    """What was asked and answered in one call, sealed and perhaps cut; see ``analytics.bodies``."""

    organization_id = models.UUIDField()
    call_id = models.UUIDField()
    pk = models.CompositePrimaryKey("organization_id", "call_id")
    created_at = models.DateTimeField()
    request = models.BinaryField()
    answer = models.BinaryField()
    request_bytes = models.IntegerField(db_comment="how long it was before it was cut")
    answer_bytes = models.IntegerField()

    class Meta:
        db_table = "router_bodies"
        managed = False

    def __str__(self) -> str:
        return str(self.call_id)


class Quarantine(models.Model):
    """A journal record that the ledger refused, kept whole for a person to look at."""

    id: ClassVar = models.BigAutoField(primary_key=True)
    writer = models.TextField()
    record = models.BinaryField()
    error = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "router_quarantine"
        managed = False

    def __str__(self) -> str:
        return self.error
