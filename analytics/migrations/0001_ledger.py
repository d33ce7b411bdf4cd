"""The ledger, partitioned by week, and its rollups."""

from django.db import migrations

from tenancy.policy import policy_sql

TABLES = """
CREATE TABLE router_analytics (
  id uuid NOT NULL,
  organization_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  provider text NOT NULL,
  task_type text NOT NULL,
  model_requested text NOT NULL,
  model_used text NOT NULL,
  priority text NOT NULL,
  success boolean NOT NULL,
  status smallint NOT NULL,
  error_code text NOT NULL,
  stream boolean NOT NULL,
  latency_ms integer NOT NULL,
  first_token_ms integer,
  overhead_us integer,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cached_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cost_nano bigint NOT NULL CHECK (cost_nano >= 0),
  cost_estimated boolean NOT NULL,
  usage jsonb NOT NULL,
  price jsonb,
  fallback_used boolean NOT NULL,
  attempts smallint NOT NULL,
  cache_hit boolean NOT NULL,
  ab_test uuid,
  variant text NOT NULL,
  api_key_id uuid,
  user_id uuid,
  region text NOT NULL,
  decision jsonb NOT NULL,
  metadata jsonb NOT NULL,
  PRIMARY KEY (organization_id, created_at, id)
) PARTITION BY RANGE (created_at);
COMMENT ON COLUMN router_analytics.cost_nano IS 'nano-USD';

CREATE TABLE router_rollups (
  organization_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  provider text NOT NULL,
  model_used text NOT NULL,
  api_key_id uuid NOT NULL,
  user_id uuid NOT NULL,
  status smallint NOT NULL,
  calls bigint NOT NULL,
  successes bigint NOT NULL,
  fallbacks bigint NOT NULL,
  cache_hits bigint NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cached_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cost_nano bigint NOT NULL,
  latency_ms_sum bigint NOT NULL,
  PRIMARY KEY (organization_id, hour, provider, model_used, api_key_id, user_id, status)
);

CREATE TABLE router_latency_rollups (
  organization_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  provider text NOT NULL,
  model_used text NOT NULL,
  api_key_id uuid NOT NULL,
  bucket smallint NOT NULL,
  calls bigint NOT NULL,
  PRIMARY KEY (organization_id, hour, provider, model_used, api_key_id, bucket)
);

CREATE TABLE router_quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  writer text NOT NULL,
  record bytea NOT NULL,
  error text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON router_quarantine FROM er_web;
REVOKE INSERT, UPDATE, DELETE ON router_analytics, router_rollups, router_latency_rollups
  FROM er_web;
GRANT SELECT, INSERT ON router_analytics TO er_ingest;
GRANT SELECT, INSERT, UPDATE ON router_rollups, router_latency_rollups TO er_ingest;
GRANT SELECT, INSERT ON router_quarantine TO er_ingest;
"""

# Weeks start on Monday, UTC. Each partition is closed like its parent: a policy on the parent
# alone would leave the partition open to a direct read.
FUNCTIONS = """
CREATE FUNCTION app.ensure_ledger_partitions(first timestamptz, last timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  week timestamptz := date_trunc('week', first AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
  part text;
  made int := 0;
BEGIN
  IF last - first > interval '5 years' THEN
    RAISE invalid_parameter_value USING MESSAGE = 'more than five years of partitions at once';
  END IF;
  WHILE week <= last LOOP
    part := 'router_analytics_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
    IF to_regclass('public.' || part) IS NULL THEN
      PERFORM pg_advisory_xact_lock(hashtext('router_analytics'));
      IF to_regclass('public.' || part) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.router_analytics
                        FOR VALUES FROM (%L) TO (%L)', part, week, week + interval '7 days');
        EXECUTE format('REVOKE ALL ON public.%I FROM er_web', part);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
        EXECUTE format('CREATE POLICY er_allow ON public.%I FOR ALL TO er_web
                        USING (true) WITH CHECK (true)', part);
        EXECUTE format('CREATE POLICY er_tenant ON public.%I AS RESTRICTIVE FOR ALL
                        TO er_web
                        USING (organization_id = (SELECT app.organization_id()))
                        WITH CHECK (organization_id = (SELECT app.organization_id()))', part);
        EXECUTE format('CREATE POLICY er_all_er_ingest ON public.%I FOR ALL TO er_ingest
                        USING (true) WITH CHECK (true)', part);
        made := made + 1;
      END IF;
    END IF;
    week := week + interval '7 days';
  END LOOP;
  RETURN made;
END $$;

CREATE FUNCTION app.drop_ledger_partitions(before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  part text;
  dropped int := 0;
BEGIN
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.router_analytics'::regclass
      AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 7)::timestamp AT TIME ZONE 'UTC' <= before
  LOOP
    EXECUTE format('DROP TABLE public.%I', part);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION app.ensure_ledger_partitions(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION app.drop_ledger_partitions(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.ensure_ledger_partitions(timestamptz, timestamptz)
  TO er_web, er_ingest;
GRANT EXECUTE ON FUNCTION app.drop_ledger_partitions(timestamptz) TO er_web;
SELECT app.ensure_ledger_partitions(now() - interval '7 days', now() + interval '28 days');
"""

POLICIES = "; ".join(
    policy_sql(table, "organization_id", ("er_ingest",))
    for table in ("router_analytics", "router_rollups", "router_latency_rollups")
)


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0002_functions")]
    operations = [
        migrations.RunSQL(
            [TABLES, POLICIES, FUNCTIONS],
            "DROP FUNCTION app.drop_ledger_partitions; DROP FUNCTION app.ensure_ledger_partitions;"
            "DROP TABLE router_quarantine, router_latency_rollups, router_rollups, router_analytics",
        ),
    ]
