"""When a test of a provider last succeeded."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="provider",
            name="tested_at",
            field=models.DateTimeField(db_comment="when a test of it last succeeded", null=True),
        ),
    ]
