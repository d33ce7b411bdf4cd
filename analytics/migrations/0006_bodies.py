"""What was asked and answered, sealed; only where an organization stores it.

A record that is set aside twice, because the drainer was killed in between, is kept once.
"""

from django.db import migrations, models

from tenancy.policy import policy_sql

TABLE = """
CREATE TABLE router_bodies (
  organization_id uuid NOT NULL,
  call_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  request bytea NOT NULL,
  answer bytea NOT NULL,
  request_bytes integer NOT NULL,
  answer_bytes integer NOT NULL,
  PRIMARY KEY (organization_id, call_id)
);
CREATE INDEX router_bodies_age ON router_bodies (organization_id, created_at);
COMMENT ON COLUMN router_bodies.request IS 'AES-256-GCM, bound to the call; cut at a limit';
COMMENT ON COLUMN router_bodies.request_bytes IS 'how long it was before it was cut';
REVOKE INSERT, UPDATE ON router_bodies FROM er_web;
DELETE FROM router_quarantine a USING router_quarantine b
  WHERE a.id > b.id AND a.writer = b.writer AND a.record = b.record;
CREATE UNIQUE INDEX router_quarantine_once ON router_quarantine (writer, md5(record));
GRANT INSERT ON router_bodies TO er_ingest;
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0005_finer_state")]
    operations = [
        migrations.RunSQL(
            [TABLE, policy_sql("router_bodies", "organization_id", ("er_ingest",))],
            "DROP TABLE router_bodies",
        ),
        migrations.CreateModel(
            name="CallBodies",
            fields=[
                ("organization_id", models.UUIDField()),
                ("call_id", models.UUIDField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "call_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("request", models.BinaryField()),
                ("answer", models.BinaryField()),
                (
                    "request_bytes",
                    models.IntegerField(db_comment="how long it was before it was cut"),
                ),
                ("answer_bytes", models.IntegerField()),
            ],
            options={
                "db_table": "router_bodies",
                "managed": False,
            },
        ),
    ]
