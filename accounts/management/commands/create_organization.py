"""Create an organization: manage.py create_organization demo --name "Demo Inc." --admin EMAIL.

The password is read from standard input. The user becomes Admin of the new organization; an
existing user keeps their password and needs none.
"""

import sys
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit
from accounts.models import Membership, Organization, Role, User
from common.keyless import validate_keyless


class Command(BaseCommand):
    help = "Create an organization and its first Admin; the password is read from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="stands in every address: small letters, digits, hyphens")
        parser.add_argument("--name", required=True, help="as people read it")
        parser.add_argument("--admin", required=True, metavar="EMAIL")

    def handle(self, *args: Any, slug: str, name: str, admin: str, **options: Any) -> None:
        email = admin.strip().lower()
        organization = Organization(slug=slug, name=name)
        user = User.objects.with_email(email).first()
        try:
            User._meta.get_field("email").clean(email, None)
            validate_keyless(email)
            organization.full_clean()
            if user is None:
                password = self._password()
                validate_password(password, User(email=email))
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages), returncode=2) from None
        with transaction.atomic():
            organization.save()
            if user is None:
                user = User.objects.create_user(email, password)
            Membership.objects.create(organization=organization, user=user, role=Role.ADMIN)
            audit.record(organization, None, "organization.created", organization.slug)
        self.stdout.write(f"{name} is at /o/{slug}/. {email} is its Admin.")

    def _password(self) -> str:
        if sys.stdin.isatty():
            return getpass("Password: ")
        return sys.stdin.readline().rstrip("\r\n")
