"""Django's `manage.py dumpdata` without sessions.

A session row gives access to the account of its user, so a dump must not contain any.
"""

from typing import Any

from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    help = f"{dumpdata.Command.help} Sessions are left out."

    def handle(self, *app_labels: str, **options: Any) -> None:
        options["exclude"] = [*options["exclude"], "sessions"]
        super().handle(*app_labels, **options)
