"""How many of what one organization may keep, so that none fills the database or the queues."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from accounts.models import Organization

# What a page calls each of `settings.LIMITS`.
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
    """The organization has as many as it may have. `str(exc)` is fit for the page."""


def check(organization: Organization, limit: str, rows: QuerySet[Any]) -> None:
    """Raise `LimitReached` if `rows` are as many as allowed. Part of the adding transaction.

    Others who add to the same organization wait until it ends, so two cannot both be the last.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    most = settings.LIMITS[limit]
    if rows.count() >= most:
        raise LimitReached(
            f"{organization} has {most:,} {_NAMES[limit]}, the most an organization can have. "
            "Delete some that are no longer needed, then try again."
        )
