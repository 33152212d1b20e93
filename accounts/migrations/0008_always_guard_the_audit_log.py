"""The triggers of the audit log also fire where `session_replication_role` is `replica`.

A superuser of the database could otherwise switch them off for a session with one setting.
"""

from django.db import migrations

ALWAYS = """
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER audit_log_rows;
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER audit_log_table;
"""
USUALLY = """
ALTER TABLE accounts_auditevent ENABLE TRIGGER audit_log_rows;
ALTER TABLE accounts_auditevent ENABLE TRIGGER audit_log_table;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_attempts_while_redis_is_away"),
    ]

    operations = [
        migrations.RunSQL(ALWAYS, USUALLY),
    ]
