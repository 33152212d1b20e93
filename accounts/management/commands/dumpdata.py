"""manage.py dumpdata: Django's, without sessions.

A row of a session opens the account of whoever is signed in, so a dump must not hold one.
"""

from typing import Any

from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    help = f"{dumpdata.Command.help} Sessions are left out."

    def handle(self, *app_labels: str, **options: Any) -> None:
        options["exclude"] = [*options["exclude"], "sessions"]
        super().handle(*app_labels, **options)
