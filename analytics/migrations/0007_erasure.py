"""Deleting from the ledger: one organization's old calls, or all of one that is gone.

Row-level security does not reach a function of the owner where the owner bypasses it, so each
compares the organization with the scope's by itself; where it does not, a policy lets it see the
scope's rows and no others.
"""

from django.db import migrations

FORWARD = """
DO $$
DECLARE ledger text;
BEGIN
  FOREACH ledger IN ARRAY ARRAY['router_analytics', 'router_rollups', 'router_quarters',
    'router_latency_rollups', 'router_latency_totals', 'router_fallbacks', 'router_bodies']
  LOOP
    EXECUTE format('CREATE POLICY er_owner_here ON public.%I FOR ALL TO er_owner
                    USING (organization_id = (SELECT app.organization_id()))', ledger);
  END LOOP;
END $$;

CREATE FUNCTION app.delete_calls(organization uuid, before timestamptz, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  until timestamptz := before;
  edge timestamptz;
  gone bigint;
BEGIN
  IF organization IS DISTINCT FROM app.organization_id() THEN
    RAISE insufficient_privilege USING MESSAGE = 'not the organization of this scope';
  END IF;
  IF EXISTS (SELECT 1 FROM tenancy_organization o WHERE o.id = organization) THEN
    until := least(until, now() - interval '1 day');
  END IF;
  SELECT c.created_at INTO edge FROM router_analytics c
    WHERE c.organization_id = organization AND c.created_at < until
    ORDER BY c.created_at OFFSET greatest(most, 1) - 1 LIMIT 1;
  IF edge IS NOT NULL THEN
    DELETE FROM router_analytics c WHERE c.organization_id = organization AND c.created_at <= edge;
  ELSE
    DELETE FROM router_analytics c WHERE c.organization_id = organization AND c.created_at < until;
  END IF;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$;

-- Every table beside the ledger that is named after it, at most so many rows of each.
CREATE FUNCTION app.erase_totals(organization uuid, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  part text;
  gone bigint;
  total bigint := 0;
BEGIN
  IF organization IS DISTINCT FROM app.organization_id() THEN
    RAISE insufficient_privilege USING MESSAGE = 'not the organization of this scope';
  END IF;
  IF EXISTS (SELECT 1 FROM tenancy_organization o WHERE o.id = organization) THEN
    RAISE insufficient_privilege USING MESSAGE = 'the totals of an organization stay with it';
  END IF;
  FOR part IN
    SELECT c.relname FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
      AND NOT c.relispartition AND c.relname LIKE 'router\\_%'
  LOOP
    EXECUTE format('DELETE FROM public.%I WHERE organization_id = $1 AND ctid = ANY(ARRAY(
                    SELECT ctid FROM public.%I WHERE organization_id = $1 LIMIT $2))', part, part)
      USING organization, most;
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;
  END LOOP;
  RETURN total;
END $$;

REVOKE ALL ON FUNCTION app.delete_calls(uuid, timestamptz, int), app.erase_totals(uuid, int)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.delete_calls(uuid, timestamptz, int), app.erase_totals(uuid, int)
  TO er_web;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0006_bodies"), ("tenancy", "0007_invitations")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
