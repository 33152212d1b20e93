import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models

_FIELDS = (
    "product",
    "model",
    "context_window",
    "inference_geo",
    "speed",
    "cost_type",
    "token_type",
    "service_tier",
    "organization_id",
    "workspace_id",
    "api_key_id",
)


class Migration(migrations.Migration):
    """Existing meters have no attributes, so their keys stay distinct."""

    dependencies = [
        ("integrations", "0017_named_service_accounts"),
    ]

    operations = [
        migrations.AddField(
            model_name="meter",
            name="attributes",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.RemoveConstraint(model_name="meter", name="meter_once_per_connection"),
        migrations.AddConstraint(
            model_name="meter",
            constraint=models.UniqueConstraint(
                models.F("connection"),
                *(django.db.models.functions.text.MD5(name) for name in _FIELDS),
                django.db.models.functions.text.MD5(
                    django.db.models.functions.comparison.Cast("attributes", models.TextField())
                ),
                name="meter_once_per_connection",
            ),
        ),
    ]
