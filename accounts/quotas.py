"""Maximum number of objects per organization, so that none fills the database or queues."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from accounts.models import Organization

# Label of each of `settings.LIMITS` on pages.
_NAMES = {
    "saved_reports": "saved reports",
    "schedules": "schedules",
    "recipients": "recipients of one schedule",
    "tokens": "API tokens",
    "connections": "connections",
    "invitations": "open invitations",
    "inquiries": "open inquiries",
}


class LimitReached(PermissionDenied):
    """The organization has the maximum number of objects. Pages can show `str(exc)`."""


def check(organization: Organization, limit: str, rows: QuerySet[Any]) -> None:
    """Raise `LimitReached` if `rows` reach the limit. Call it in the inserting transaction.

    It locks the organization, so that two concurrent inserts cannot both be the last.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    most = settings.LIMITS[limit]
    if rows.count() >= most:
        raise LimitReached(
            f"{organization} has {most:,} {_NAMES[limit]}, the most an organization can have. "
            "Delete some that are no longer needed, then try again."
        )
