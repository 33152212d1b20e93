import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0012_documents_with_labels"),
    ]

    operations = [
        migrations.AddField(
            "connection",
            "other_organization_ids",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                default=list,
                help_text="Other spellings of the same organization, as tests of its keys found "
                "them.",
                size=None,
            ),
        ),
        migrations.AlterField(
            "connection",
            "provider_organization_id",
            models.CharField(
                blank=True,
                help_text="As the provider spells it in most answers.",
                max_length=100,
            ),
        ),
    ]
