"""Delete an organization from a terminal.

    manage.py delete_organization demo --confirm demo

Erases its connections with all facts, its reports, its memberships and its audit
log. The only way to delete entries of the log. Accounts of people stay, for other organizations.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import audit
from accounts.models import Organization
from integrations import connections, deletion


class Command(BaseCommand):
    help = "Erase an organization with everything it has, the audit log included."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="as it stands in addresses")
        parser.add_argument("--confirm", metavar="SLUG", help="the same again, to confirm")

    def handle(self, *args: Any, slug: str, confirm: str | None, **options: Any) -> None:
        organization = Organization.objects.filter(slug=slug).first()
        if organization is None:
            raise CommandError(f"There is no organization {slug}.", returncode=2)
        if confirm != slug:
            raise CommandError(
                f"Nothing is deleted. Add --confirm {slug} to erase {organization.name}, its facts "
                "and its audit log.",
                returncode=2,
            )
        for connection in organization.connections.order_by("pk"):
            connections.disconnect(connection, actor=None)
            connections.delete(connection, actor=None)
            deletion.delete_history(connection.pk)
        with audit.erasing(organization):
            organization.delete()
        self.stdout.write(f"{organization.name} and its audit log are erased.")
