"""The audit log only grows: the database refuses what would change or delete an entry.

Two exceptions: deleting an account empties `actor_id` and nothing else, and deleting an
organization takes its entries along, in a transaction that names it (`accounts.audit.erasing`).
Tests empty tables between them and set `spendglass.truncate_audit_log`, which nothing else does.
The triggers also fire where `session_replication_role` is `replica`: a superuser of the database
could otherwise switch them off for a session with one setting. Whoever owns the table can drop
them: this stops the program, not its database operator.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION accounts_keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        IF current_setting('spendglass.truncate_audit_log', true) = 'on' THEN
            RETURN NULL;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF current_setting('spendglass.erase_audit_log_of', true) = OLD.organization_id::text THEN
            RETURN OLD;
        END IF;
    ELSIF NEW.actor_id IS NULL AND to_jsonb(NEW) - 'actor_id' = to_jsonb(OLD) - 'actor_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Audit log entries cannot be changed or deleted.'
        USING ERRCODE = 'restrict_violation', HINT = 'docs/security.md says what is possible.';
END
$$;
CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION accounts_keep_audit_log();
CREATE TRIGGER audit_log_table BEFORE TRUNCATE ON accounts_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_keep_audit_log();
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER audit_log_rows;
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER audit_log_table;
"""
REMOVE = """
DROP TRIGGER audit_log_rows ON accounts_auditevent;
DROP TRIGGER audit_log_table ON accounts_auditevent;
DROP FUNCTION accounts_keep_audit_log();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(GUARD, REMOVE),
    ]
