from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0010_workers_lost"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="costbyperson",
            index=models.Index(fields=["connection", "person", "day"], name="cost_by_person_who"),
        ),
        migrations.AddIndex(
            model_name="usagebyperson",
            index=models.Index(fields=["connection", "person", "day"], name="usage_by_person_who"),
        ),
    ]
