from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("integrations", "0006_archive_notices_inquiries")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="options",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="How to ask, as the connection test found out.",
            ),
        ),
    ]
