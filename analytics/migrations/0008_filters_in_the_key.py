"""What lists filter by lies beside the key, so that looking for rare calls reads no rows.

A list walks (created_at, id) of its organization. The columns that its filters ask for are carried
by the same index, not by indexes of their own, each of which would cost the drainer with every row.
The ledger's tables are locked meanwhile: a million rows take some seconds.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE router_analytics DROP CONSTRAINT router_analytics_pkey;
ALTER TABLE router_analytics ADD CONSTRAINT router_analytics_pkey
  PRIMARY KEY (organization_id, created_at, id)
  INCLUDE (provider, model_used, api_key_id, user_id, status, fallback_from);
"""
BACK = """
ALTER TABLE router_analytics DROP CONSTRAINT router_analytics_pkey;
ALTER TABLE router_analytics ADD CONSTRAINT router_analytics_pkey
  PRIMARY KEY (organization_id, created_at, id);
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0007_erasure")]
    operations = [migrations.RunSQL(FORWARD, BACK)]
