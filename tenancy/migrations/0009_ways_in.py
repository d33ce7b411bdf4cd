"""Single sign-on for open sessions and encrypted answers; who invited, and who made a key."""

from django.db import migrations, models

# Which e-mail domains come in by single sign-on alone, beside each membership.
FUNCTIONS = """
DROP FUNCTION app.user_memberships(uuid);
CREATE FUNCTION app.user_memberships(user_id uuid)
RETURNS TABLE (organization_id uuid, name text, role text, time_zone text, require_mfa boolean,
               sso_domains text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT o.id, o.name::text, m.role::text, o.time_zone::text, o.require_mfa,
    ARRAY(SELECT d.domain::text FROM tenancy_ssodomain d JOIN tenancy_ssoconnection c
      ON c.organization_id = d.organization_id AND c.id = d.connection_id
      WHERE d.organization_id = o.id AND c.required AND d.verified_at IS NOT NULL)
  FROM tenancy_membership m JOIN tenancy_organization o ON o.id = m.organization_id
  WHERE m.user_id = user_memberships.user_id ORDER BY o.created_at, o.id
$$;

ALTER FUNCTION app.user_memberships(uuid) OWNER TO er_auth;
REVOKE ALL ON FUNCTION app.user_memberships(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.user_memberships(uuid) TO er_web;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0008_idempotent_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="invitation",
            name="sender_id",
            field=models.UUIDField(db_comment="the person whose role it rests on", null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="maker_id",
            field=models.UUIDField(db_comment="the person who made it", null=True),
        ),
        migrations.AddField(
            model_name="ssoconnection",
            name="sp_certificate",
            field=models.TextField(blank=True, db_default=""),
        ),
        migrations.AddField(
            model_name="ssoconnection",
            name="sp_key_sealed",
            field=models.BinaryField(null=True),
        ),
        migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop),
    ]
