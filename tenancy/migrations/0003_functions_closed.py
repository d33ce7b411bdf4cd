"""Functions: executed by name only, and never led astray by a temporary table.

1. Postgres lets everybody execute a new function; only those that are meant to may.
2. Without ``pg_temp`` at its end a search path begins with it, so that a caller's temporary table
   would stand before ours inside a function that runs with its owner's rights.
"""

from django.db import migrations

FORWARD = """
REVOKE ALL ON FUNCTION app.organization_id(), app.refuse_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.organization_id() TO er_web;
ALTER FUNCTION app.organization_id() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION app.refuse_change() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION app.key_organization(bytea) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION app.user_memberships(uuid) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION app.organizations_changed_since(timestamptz)
  SET search_path = pg_catalog, public, pg_temp;
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_functions")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
