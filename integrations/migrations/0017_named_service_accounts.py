from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0016_roles_and_attributes"),
    ]

    operations = [
        migrations.AddField(
            model_name="person",
            name="is_named_here",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="A member gave the name: imports keep it.",
            ),
        ),
    ]
