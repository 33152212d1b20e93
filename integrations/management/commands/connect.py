"""Connect a provider from a terminal, with the key on standard input.

    manage.py connect claude-enterprise my-org --organization demo

Tests the key, saves the connection and queues the import. Exit status 0: saved; 2: refused, the
reason on standard error, nothing stored.
"""

import sys
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization
from integrations import connections
from integrations.connectors import connectors


class Command(BaseCommand):
    help = "Connect a provider organization; its key is read from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("connector", help=f"one of: {', '.join(connectors())}")
        parser.add_argument("label", help="the Organization Label, such as my-org")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--no-import", action="store_true", help="save without importing the history"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connector = connectors().get(options["connector"])
        if connector is None:
            raise _refusal(
                f"There is no connector {options['connector']}. Known: {', '.join(connectors())}."
            )
        organization = Organization.objects.filter(slug=options["organization"]).first()
        if organization is None:
            raise _refusal(f"There is no organization {options['organization']}.")
        label, key = options["label"], self._key(connector.key_label)
        try:
            tested = connections.test(organization, connector, label=label, key=key)
            if tested.problem is not None:
                raise _refusal(f"{tested.problem} {tested.problem.repair}".strip())
            connections.connect(
                organization,
                connector,
                actor=None,
                label=label,
                key=key,
                proof=tested.proof,
                import_history=not options["no_import"],
            )
        except connections.OperationError as exc:
            raise _refusal(f"{exc} {exc.repair}".strip()) from None
        queued = "Nothing is imported yet." if options["no_import"] else "The import is queued."
        self.stdout.write(f"{label} is connected. {queued}")

    def _key(self, key_label: str) -> str:
        if sys.stdin.isatty():
            return getpass(f"{key_label}: ")
        return sys.stdin.readline().strip()


def _refusal(reason: str) -> CommandError:
    return CommandError(reason, returncode=2)
