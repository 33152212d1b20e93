"""Refuse to migrate a database of a version that this one cannot continue."""

from typing import Any

from django.core.management import CommandError
from django.db import connections
from django.db.migrations.loader import MigrationLoader

# Those of Django and of libraries come and go with their versions, and they look after them.
OURS = frozenset({"accounts", "api", "integrations", "reports"})


def check_history(*, using: str, **kwargs: Any) -> None:
    """Raise `CommandError` if the database has migrations of ours that this version has not.

    Connected to `pre_migrate`. Migrations were squashed before 0.1.0, so a database from before
    has them, and so has one of a newer version.
    """
    loader = MigrationLoader(connections[using])
    unknown = sorted(
        (app, name)
        for app, name in loader.applied_migrations
        if app in OURS and (app, name) not in loader.disk_migrations
    )
    if unknown:
        raise CommandError(
            f"This database was made by a newer Spendglass or by one before 0.1.0: it has the"
            f" migration {'.'.join(unknown[0])}, which this version does not know. Run the version"
            " that made it, or begin anew with an empty database: after `make run`, move the folder"
            " var/ away and run it again, and the history is imported from the provider."
        )
