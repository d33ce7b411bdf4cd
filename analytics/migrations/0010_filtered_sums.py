"""Sums for every filter: latencies beside the sums of an hour, and the same sums by tag.

1. ``router_rollups`` keeps the latencies of its calls as one array of bucket and count, which is a
   tenth of the rows that ``router_latency_rollups`` had.
2. ``router_tags`` tells calls that say the same apart as the rollups do, and by where they were
   tried first, so that a tag beside any other filters is answered without its calls.
3. Calls after a fallback are few; an index of their own carries all that is added up of them.
"""

from django.db import migrations

from tenancy.policy import policy_sql, unforced

ROLLUPS = """
ALTER TABLE router_rollups ADD COLUMN latencies bigint[] NOT NULL DEFAULT '{}';
UPDATE router_rollups r SET latencies = l.latencies FROM (
  SELECT organization_id, hour, provider, model_used, api_key_id, user_id,
    array_agg((bucket::bigint << 40) + calls ORDER BY bucket) AS latencies
  FROM router_latency_rollups GROUP BY 1, 2, 3, 4, 5, 6
) l WHERE r.status = 200 AND (r.organization_id, r.hour, r.provider, r.model_used, r.api_key_id,
  r.user_id) = (l.organization_id, l.hour, l.provider, l.model_used, l.api_key_id, l.user_id);
"""
TAGS = """
DROP TABLE router_tags;
CREATE TABLE router_tags (
  organization_id uuid NOT NULL,
  value text NOT NULL,
  name text NOT NULL,
  hour timestamptz NOT NULL,
  provider text NOT NULL,
  model_used text NOT NULL,
  api_key_id uuid NOT NULL,
  user_id uuid NOT NULL,
  status smallint NOT NULL,
  fallback_from text NOT NULL,
  calls bigint NOT NULL,
  successes bigint NOT NULL,
  fallbacks bigint NOT NULL,
  cost_nano bigint NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  latencies bigint[] NOT NULL,
  PRIMARY KEY (organization_id, value, name, hour, provider, model_used, api_key_id, user_id,
    status, fallback_from)
);
CREATE INDEX router_tags_age ON router_tags USING brin (hour);
INSERT INTO router_tags
  SELECT organization_id, value, name, hour, provider, model_used, api_key_id, user_id, status,
    fallback_from, sum(calls), sum(successes), sum(fallbacks), sum(cost_nano), sum(input_tokens),
    sum(output_tokens),
    coalesce(array_agg((bucket << 40) + calls ORDER BY bucket) FILTER (WHERE successes > 0), '{}')
  FROM (
    SELECT c.organization_id, m.value, m.key AS name,
      date_trunc('hour', c.created_at, 'UTC') AS hour, c.provider, c.model_used,
      coalesce(c.api_key_id, '00000000-0000-0000-0000-000000000000') AS api_key_id,
      coalesce(c.user_id, '00000000-0000-0000-0000-000000000000') AS user_id, c.status,
      c.fallback_from,
      CASE WHEN c.latency_ms <= 1 THEN 0
        ELSE ceil(ln(c.latency_ms) / ln(1.08) - 1e-9) END::bigint AS bucket,
      count(*) AS calls, count(*) FILTER (WHERE c.success) AS successes,
      count(*) FILTER (WHERE c.fallback_used) AS fallbacks, sum(c.cost_nano) AS cost_nano,
      sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens
    FROM router_analytics c CROSS JOIN LATERAL jsonb_each_text(c.metadata) m
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ) AS fine GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
REVOKE INSERT, UPDATE ON router_tags FROM er_web;
GRANT SELECT, INSERT, UPDATE ON router_tags TO er_ingest;
CREATE POLICY er_owner_here ON router_tags FOR ALL TO er_owner
  USING (organization_id = (SELECT app.organization_id()));
"""
FALLBACKS = """
CREATE INDEX router_analytics_fallbacks ON router_analytics (organization_id, created_at)
  INCLUDE (provider, model_used, api_key_id, user_id, status, success, fallback_from, cost_nano,
    input_tokens, output_tokens, latency_ms, fallback_used) WHERE fallback_used;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0009_tags")]
    operations = [
        migrations.RunSQL(
            [
                unforced(ROLLUPS, "router_rollups", "router_latency_rollups"),
                "DROP TABLE router_latency_rollups",
                unforced(TAGS, "router_analytics"),
                policy_sql("router_tags", "organization_id", ("er_ingest",)),
                FALLBACKS,
            ]
        ),
        migrations.DeleteModel(name="LatencyRollup"),
    ]
