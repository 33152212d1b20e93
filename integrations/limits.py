"""Limits of requests to providers and of mails to experts that people may trigger."""

from accounts.models import Organization, User
from accounts.throttling import RateLimit, minutes
from integrations.connections import OperationError

TESTS_OF_USER = RateLimit("connection-tests-of-user", limit=20)
TESTS_OF_ORGANIZATION = RateLimit("connection-tests-of-organization", limit=60)
INQUIRIES_OF_USER = RateLimit("inquiries-of-user", limit=5)
INQUIRIES_OF_ORGANIZATION = RateLimit("inquiries-of-organization", limit=20)


class TooMany(OperationError):
    """Too many of these in a quarter of an hour. `wait_seconds` is when the next one may come."""

    def __init__(self, what: str, wait_seconds: int) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(
            f"Too many {what} in a short time.",
            repair=f"Try again in {minutes(wait_seconds)}.",
            code="too_many",
        )


def count_test(organization: Organization, user: User) -> None:
    """Count a connection test, which asks the provider four times. Raise `TooMany`."""
    _count("connection tests", organization, user, TESTS_OF_USER, TESTS_OF_ORGANIZATION)


def count_inquiry(organization: Organization, user: User) -> None:
    """Count an expert inquiry, which mails people outside. Raise `TooMany`."""
    _count("inquiries", organization, user, INQUIRIES_OF_USER, INQUIRIES_OF_ORGANIZATION)


def _count(
    what: str, organization: Organization, user: User, of_user: RateLimit, of_all: RateLimit
) -> None:
    # The user first: one who is held up uses nothing of what the organization has left.
    wait = of_user.wait_seconds(f"{organization.pk} {user.pk}") or of_all.wait_seconds(
        f"{organization.pk}"
    )
    if wait:
        raise TooMany(what, wait)
