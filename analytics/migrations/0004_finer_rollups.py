"""Rollups that any zone's day can be built from, percentiles that cost little, fallback routes.

1. ``router_quarters`` holds the sums of a quarter of an hour: days in India or Nepal begin within
   an hour of UTC, and a day of theirs is whole hours and two halves.
2. ``router_latency_totals`` counts latencies by one dimension alone, per hour and per day of UTC.
3. ``fallback_from`` is the provider that a call was tried at first, where another one followed.
"""

from django.db import migrations

from tenancy.policy import policy_sql, unforced

TABLES = """
ALTER TABLE router_analytics ADD COLUMN fallback_from text NOT NULL DEFAULT '';

CREATE TABLE router_quarters (LIKE router_rollups INCLUDING ALL);
ALTER TABLE router_quarters RENAME COLUMN hour TO quarter;

ALTER TABLE router_latency_rollups
  ADD COLUMN user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  DROP CONSTRAINT router_latency_rollups_pkey,
  ADD PRIMARY KEY (organization_id, hour, provider, model_used, api_key_id, user_id, bucket);

CREATE TABLE router_latency_totals (
  organization_id uuid NOT NULL,
  span text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  start timestamptz NOT NULL,
  bucket smallint NOT NULL,
  calls bigint NOT NULL,
  PRIMARY KEY (organization_id, span, kind, name, start, bucket)
);

CREATE TABLE router_fallbacks (
  organization_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  fallback_from text NOT NULL,
  provider text NOT NULL,
  model_used text NOT NULL,
  api_key_id uuid NOT NULL,
  user_id uuid NOT NULL,
  status smallint NOT NULL,
  calls bigint NOT NULL,
  PRIMARY KEY (organization_id, hour, fallback_from, provider, model_used, api_key_id, user_id,
    status)
);
REVOKE INSERT, UPDATE, DELETE ON router_quarters, router_latency_totals, router_fallbacks
  FROM er_web;
GRANT SELECT, INSERT, UPDATE ON router_quarters, router_latency_totals, router_fallbacks
  TO er_ingest;
"""

POLICIES = "; ".join(
    policy_sql(table, "organization_id", ("er_ingest",))
    for table in ("router_quarters", "router_latency_totals", "router_fallbacks")
)

# What was written before is counted once more, so that no page tells less than it did.
FILLED_FROM = ("router_analytics", "router_latency_rollups")
FILL = """
UPDATE router_analytics SET fallback_from = coalesce(decision->'attempts'->0->>'provider', '')
  WHERE fallback_used;
INSERT INTO router_quarters
  SELECT organization_id, date_bin('15 minutes', created_at, 'epoch'), provider, model_used,
    coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(user_id, '00000000-0000-0000-0000-000000000000'), status, count(*),
    count(*) FILTER (WHERE success), count(*) FILTER (WHERE fallback_used),
    count(*) FILTER (WHERE cache_hit), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(reasoning_tokens), sum(cost_nano), sum(latency_ms)
  FROM router_analytics GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO router_fallbacks
  SELECT organization_id, date_trunc('hour', created_at, 'UTC'), fallback_from, provider,
    model_used, coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(user_id, '00000000-0000-0000-0000-000000000000'), status, count(*)
  FROM router_analytics WHERE fallback_used GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
DELETE FROM router_latency_rollups;
INSERT INTO router_latency_rollups
    (organization_id, hour, provider, model_used, api_key_id, user_id, bucket, calls)
  SELECT organization_id, date_trunc('hour', created_at, 'UTC'), provider, model_used,
    coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(user_id, '00000000-0000-0000-0000-000000000000'),
    CASE WHEN latency_ms <= 1 THEN 0 ELSE ceil(ln(latency_ms) / ln(1.08) - 1e-9) END, count(*)
  FROM router_analytics WHERE success GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO router_latency_totals
  SELECT l.organization_id, s.span, k.kind, k.name, s.start, l.bucket, sum(l.calls)
  FROM router_latency_rollups l
  CROSS JOIN LATERAL (VALUES ('hour', l.hour), ('day', date_trunc('day', l.hour, 'UTC')))
    s(span, start)
  CROSS JOIN LATERAL (VALUES ('all', ''), ('provider', l.provider), ('model', l.model_used),
    ('key', l.api_key_id::text), ('member', l.user_id::text)) k(kind, name)
  GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6;
"""

BACK = """
DROP TABLE router_fallbacks, router_latency_totals, router_quarters;
ALTER TABLE router_analytics DROP COLUMN fallback_from;
DELETE FROM router_latency_rollups;
ALTER TABLE router_latency_rollups DROP COLUMN user_id,
  ADD PRIMARY KEY (organization_id, hour, provider, model_used, api_key_id, bucket);
INSERT INTO router_latency_rollups
  SELECT organization_id, date_trunc('hour', created_at, 'UTC'), provider, model_used,
    coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'),
    CASE WHEN latency_ms <= 1 THEN 0 ELSE ceil(ln(latency_ms) / ln(1.08) - 1e-9) END, count(*)
  FROM router_analytics WHERE success GROUP BY 1, 2, 3, 4, 5, 6;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0003_partitions_kept")]
    operations = [
        migrations.RunSQL(
            [TABLES, unforced(FILL, *FILLED_FROM), POLICIES], unforced(BACK, *FILLED_FROM)
        )
    ]
