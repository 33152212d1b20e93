"""Audit log: one row per action on a connection, a member or an organization."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.text import Truncator

from accounts.models import AuditEvent, Membership, Organization, User
from common import spreadsheets

_MAX_TARGET_LENGTH = 254  # characters; an email may have as many
COLUMNS = ("at_utc", "who", "act", "on_what", "details")


@dataclass(frozen=True)
class AuditFilter:
    """Filter of the audit log. "" and None do not filter. Days are UTC, `until` is included."""

    action: str = ""
    actor: str = ""
    since: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        conditions = (self.action, self.actor, self.since and f"from {self.since}")
        parts = [str(part) for part in (*conditions, self.until and f"to {self.until}") if part]
        return ", ".join(parts) or "everything"


def record(
    organization: Organization,
    actor: User | str | None,
    action: str,
    target: str,
    **details: str | int,
) -> AuditEvent:
    """Add one event. Never pass a secret.

    `actor` None is the command line; a text names an automatic actor.
    """
    person = actor if isinstance(actor, User) else None
    return AuditEvent.objects.create(
        organization=organization,
        actor=person,
        actor_name=person.email if person else str(actor or "command line"),
        verb=action,
        target=Truncator(target).chars(_MAX_TARGET_LENGTH),
        details=details,
    )


@contextmanager
def erasing(organization: Organization) -> Iterator[None]:
    """Allow this transaction to delete the log of an organization that is being deleted.

    A database trigger refuses every other update or deletion.
    """
    with transaction.atomic():
        _let_erase(str(organization.pk))
        yield
        _let_erase("")


def _let_erase(organization_pk: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('spendglass.erase_audit_log_of', %s, true)", [organization_pk]
        )


def record_account_event(
    user: User, actor: User, action: str, target: str, **details: str | int
) -> None:
    """Record an action on an account in the log of each organization the user is active in."""
    for membership in Membership.objects.active().filter(user=user).select_related("organization"):
        record(membership.organization, actor, action, target, **details)


def events(organization: Organization, audit_filter: AuditFilter) -> QuerySet[AuditEvent]:
    """Return the events that match the filter, newest first."""
    rows = organization.audit_events.order_by("-at", "-pk")
    if audit_filter.action:
        rows = rows.filter(verb=audit_filter.action)
    if audit_filter.actor:
        rows = rows.filter(actor_name=audit_filter.actor)
    if audit_filter.since:
        rows = rows.filter(at__gte=_midnight(audit_filter.since))
    if audit_filter.until:
        rows = rows.filter(at__lt=_midnight(audit_filter.until + timedelta(days=1)))
    return rows


def actions(organization: Organization) -> list[str]:
    """Return the distinct action names of the organization, sorted."""
    return list(
        organization.audit_events.values_list("verb", flat=True).distinct().order_by("verb")
    )


def actors(organization: Organization) -> list[str]:
    """Return the distinct actor names of the organization, sorted, as recorded at the time."""
    names = organization.audit_events.values_list("actor_name", flat=True)
    return list(names.distinct().order_by("actor_name"))


def as_csv(rows: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield the lines of a CSV file, header first. Details are JSON."""
    lines = map(_row, rows.iterator(chunk_size=2000))
    return spreadsheets.download(spreadsheets.csv_lines(chain([COLUMNS], lines)))


def _row(event: AuditEvent) -> tuple[str, ...]:
    at = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    details = json.dumps(event.details, ensure_ascii=False) if event.details else ""
    return (at, event.actor_name, event.verb, event.target, details)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
