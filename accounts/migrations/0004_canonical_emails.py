import logging
from typing import Any

from django.db import migrations, models

import accounts.addresses
import accounts.models
import accounts.names

logger = logging.getLogger(__name__)


def fill(apps: Any, schema_editor: Any) -> None:
    """Fill in the canonical forms. Of accounts that share one the oldest keeps it.

    A younger one was reachable by spellings that no constraint compared. It is switched off and
    gets a form that no address has, until an operator gives it an email of its own.
    """
    users = apps.get_model("accounts", "User").objects
    taken = set()
    for pk, email in users.order_by("pk").values_list("pk", "email"):
        canonical = accounts.addresses.canonical(email)
        if canonical in taken:
            users.filter(pk=pk).update(canonical_email=f"{canonical}#{pk}", is_active=False)
            logger.warning("Account %s is switched off: another one has its email.", pk)
            continue
        taken.add(canonical)
        users.filter(pk=pk).update(canonical_email=canonical)
    invitations = apps.get_model("accounts", "Invitation").objects
    invited = set()
    for pk, organization, email in invitations.order_by("pk").values_list(
        "pk", "organization", "email"
    ):
        canonical = accounts.addresses.canonical(email)
        if (organization, canonical) in invited:
            invitations.filter(pk=pk).delete()  # sending the older one again makes a new link
            continue
        invited.add((organization, canonical))
        invitations.filter(pk=pk).update(canonical_email=canonical)


def _column(**options: Any) -> "models.EmailField[str, str]":
    return models.EmailField(editable=False, max_length=300, **options)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_changes_of_e_mail"),
    ]

    operations = [
        migrations.AddField("user", "canonical_email", _column(default="")),
        migrations.AddField("invitation", "canonical_email", _column(default="")),
        migrations.RunPython(fill, migrations.RunPython.noop),
        # Rows with pending constraint checks cannot be altered in the same transaction.
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveConstraint("user", "user_email_ci_unique"),
        migrations.RemoveConstraint("invitation", "invitation_once_per_organization"),
        migrations.AlterField(
            "user",
            "canonical_email",
            accounts.models.CanonicalEmailField(editable=False, max_length=300, unique=True),
        ),
        migrations.AlterField(
            "invitation",
            "canonical_email",
            accounts.models.CanonicalEmailField(editable=False, max_length=300),
        ),
        migrations.AddConstraint(
            "invitation",
            models.UniqueConstraint(
                fields=["organization", "canonical_email"],
                name="invitation_once_per_organization",
            ),
        ),
        migrations.AlterField(
            "user",
            "email",
            models.EmailField(
                max_length=254, unique=True, validators=[accounts.addresses.validate_plain]
            ),
        ),
        migrations.AlterField(
            "user",
            "name",
            models.CharField(blank=True, max_length=150, validators=[accounts.names.validate_name]),
        ),
    ]
