"""Databases of versions that this one cannot continue."""

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db


def record(app, name):
    MigrationRecorder.Migration.objects.create(app=app, name=name)


def test_a_database_from_before_the_squashed_migrations_is_refused_in_one_sentence():
    record("integrations", "0020_facts_without_constraint_to_connection")

    with pytest.raises(CommandError) as refused:
        call_command("migrate", verbosity=0)

    assert "integrations.0020_facts_without_constraint_to_connection" in str(refused.value)
    assert "move the folder var/ away and run it again" in str(refused.value)


def test_a_database_of_this_version_and_migrations_of_libraries_are_no_reason():
    record("a_library", "0042_of_another_version")
    record("auth", "0099_squashed_by_a_later_django")

    call_command("migrate", verbosity=0)
