from django.db import migrations, models


class Migration(migrations.Migration):
    """All connections until now are charged in US dollars."""

    dependencies = [
        ("integrations", "0018_meter_attributes"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="currency",
            field=models.CharField(
                db_default="USD",
                default="USD",
                help_text="ISO 4217 code of what the provider charges in: all amounts are in it.",
                max_length=3,
            ),
        ),
    ]
