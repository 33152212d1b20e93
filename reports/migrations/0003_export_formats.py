from django.db import migrations, models


class Migration(migrations.Migration):
    """Formats are entries of the registry of exports, and a schedule chooses one."""

    dependencies = [("reports", "0002_report_files")]

    operations = [
        migrations.AlterField(
            model_name="reportfile",
            name="kind",
            field=models.CharField(help_text="Name of an export.", max_length=10),
        ),
        migrations.AddField(
            model_name="reportschedule",
            name="attachment",
            field=models.CharField(
                db_default="csv", default="csv", help_text="Name of an export.", max_length=10
            ),
        ),
    ]
