from django.db import migrations

TABLES = ("costfact", "costtotal", "costbymeter", "costbyperson")
NAMES = (("amount_usd", "effective_cost"), ("list_amount_usd", "list_cost"))


class Migration(migrations.Migration):
    """Columns get the names of the FinOps field; a connection's currency is not always dollars."""

    dependencies = [("integrations", "0020_facts_without_constraint_to_connection")]

    operations = [migrations.RenameField(table, old, new) for table in TABLES for old, new in NAMES]
