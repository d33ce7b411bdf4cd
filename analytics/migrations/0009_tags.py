"""What senders said of their calls, by the hour, so that a rare trace is found without a walk.

A value that many calls share has a row an hour; one of its own, such as a trace, has a row.
"""

from django.db import migrations, models

from tenancy.policy import policy_sql, unforced

TABLE = """
CREATE TABLE router_tags (
  organization_id uuid NOT NULL,
  value text NOT NULL,
  name text NOT NULL,
  hour timestamptz NOT NULL,
  calls bigint NOT NULL,
  failed bigint NOT NULL,
  PRIMARY KEY (organization_id, value, name, hour)
);
CREATE INDEX router_tags_age ON router_tags USING brin (hour);
INSERT INTO router_tags
  SELECT c.organization_id, m.value, m.key, date_trunc('hour', c.created_at, 'UTC'), count(*),
    count(*) FILTER (WHERE NOT c.success)
  FROM router_analytics c CROSS JOIN LATERAL jsonb_each_text(c.metadata) m GROUP BY 1, 2, 3, 4;
REVOKE INSERT, UPDATE ON router_tags FROM er_web;
GRANT SELECT, INSERT, UPDATE ON router_tags TO er_ingest;
"""
OWNER = """
CREATE POLICY er_owner_here ON router_tags FOR ALL TO er_owner
  USING (organization_id = (SELECT app.organization_id()))
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0008_filters_in_the_key")]
    operations = [
        migrations.RunSQL(
            [
                unforced(TABLE, "router_analytics"),
                policy_sql("router_tags", "organization_id", ("er_ingest",)),
                OWNER,
            ],
            "DROP TABLE router_tags",
        ),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("organization_id", models.UUIDField()),
                ("value", models.TextField()),
                ("name", models.TextField()),
                ("hour", models.DateTimeField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "value",
                        "name",
                        "hour",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("calls", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
            ],
            options={"db_table": "router_tags", "managed": False},
        ),
    ]
