"""The few questions that are asked before a scope is known, each as a function of its own."""

from django.db import migrations

FORWARD = """
GRANT SELECT ON tenancy_organization, tenancy_membership, tenancy_apikey, tenancy_apikeysecret
  TO er_auth;

CREATE FUNCTION app.key_organization(digest bytea) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT s.organization_id FROM tenancy_apikeysecret s WHERE s.digest = key_organization.digest
$$;

CREATE FUNCTION app.user_memberships(user_id uuid)
RETURNS TABLE (organization_id uuid, name text, role text, time_zone text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT o.id, o.name::text, m.role::text, o.time_zone::text
  FROM tenancy_membership m JOIN tenancy_organization o ON o.id = m.organization_id
  WHERE m.user_id = user_memberships.user_id ORDER BY o.created_at, o.id
$$;

CREATE FUNCTION app.organizations_changed_since(since timestamptz)
RETURNS TABLE (organization_id uuid, epoch bigint, changed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT o.id, o.epoch, o.changed_at FROM tenancy_organization o WHERE o.changed_at > since
$$;

ALTER FUNCTION app.key_organization(bytea) OWNER TO er_auth;
ALTER FUNCTION app.user_memberships(uuid) OWNER TO er_auth;
ALTER FUNCTION app.organizations_changed_since(timestamptz) OWNER TO er_auth;
REVOKE ALL ON FUNCTION app.key_organization(bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION app.user_memberships(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION app.organizations_changed_since(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.key_organization(bytea), app.user_memberships(uuid),
  app.organizations_changed_since(timestamptz) TO er_web;

-- The audit trail is only ever added to.
REVOKE UPDATE, DELETE ON tenancy_auditentry FROM er_web;
CREATE FUNCTION app.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE insufficient_privilege USING MESSAGE = 'the audit trail is append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON tenancy_auditentry
  FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_change();

-- The drainer notes when a key was last used.
GRANT SELECT (id, organization_id, last_used_at), UPDATE (last_used_at) ON tenancy_apikey TO er_ingest;
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
