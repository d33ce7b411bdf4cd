"""No process drops the partitions of the last day, whatever it asks for.

Row-level security does not reach DROP TABLE: with a date in the future a web process could take
every organization's ledger away.
"""

from django.db import migrations

FORWARD = """
CREATE OR REPLACE FUNCTION app.drop_ledger_partitions(before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  part text;
  dropped int := 0;
  until timestamptz := least(before, now() - interval '1 day');
BEGIN
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.router_analytics'::regclass
      AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 7)::timestamp AT TIME ZONE 'UTC' <= until
  LOOP
    EXECUTE format('DROP TABLE public.%I', part);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
ALTER FUNCTION app.ensure_ledger_partitions(timestamptz, timestamptz)
  SET search_path = pg_catalog, public, pg_temp;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0002_state")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
