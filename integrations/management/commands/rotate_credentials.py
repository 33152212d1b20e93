"""manage.py rotate_credentials: encrypt every stored credential with the first CREDENTIALS_KEYS.

Put the new key first, keep the old one behind it, restart, run this, then remove the old key.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from integrations.encryption import Secret, UnreadableSecret
from integrations.models import Connection


class Command(BaseCommand):
    help = "Encrypt every stored credential with the first key of CREDENTIALS_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        rotated, unreadable = 0, []
        stored = Connection.objects.filter(credential__isnull=False)
        for pk, label in list(stored.values_list("pk", "label")):
            try:
                with transaction.atomic():
                    connection = Connection.objects.select_for_update(no_key=True).get(pk=pk)
                    if connection.credential is not None:
                        connection.credential = Secret(connection.credential.reveal())
                        connection.save(update_fields=["credential"])
            except UnreadableSecret:
                unreadable.append(label)
            else:
                rotated += 1
        self.stdout.write(f"{rotated} credentials are encrypted with the first key now.")
        if unreadable:
            raise CommandError(
                f"No key of CREDENTIALS_KEYS reads: {', '.join(unreadable)}. "
                "Add the old key, or replace these API keys on the page."
            )
