"""The audit trail: one line per act on a connection, a member or an organization."""

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

_LONGEST = 254  # letters of a target, as an e-mail may have
COLUMNS = ("at_utc", "who", "act", "on_what", "details")


@dataclass(frozen=True)
class AuditFilter:
    """Which lines of the log: "" and None leave a question open. Days are UTC, `until` included."""

    act: str = ""
    who: str = ""
    since: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        chosen = (self.act, self.who, self.since and f"from {self.since}")
        parts = [str(part) for part in (*chosen, self.until and f"to {self.until}") if part]
        return ", ".join(parts) or "everything"


def record(
    organization: Organization,
    actor: User | str | None,
    verb: str,
    target: str,
    **details: str | int,
) -> AuditEvent:
    """Add one event. Never pass a secret.

    `actor` None is the system or the command line; a text names what acts by itself otherwise.
    """
    person = actor if isinstance(actor, User) else None
    return AuditEvent.objects.create(
        organization=organization,
        actor=person,
        actor_name=person.email if person else str(actor or "command line"),
        verb=verb,
        target=Truncator(target).chars(_LONGEST),
        details=details,
    )


@contextmanager
def erasing(organization: Organization) -> Iterator[None]:
    """Let this transaction delete the log of one organization, which is being deleted itself.

    A trigger of the database refuses everything else that is not an addition.
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
    user: User, actor: User, verb: str, target: str, **details: str | int
) -> None:
    """The same for what belongs to no organization: into the log of each the user is let into."""
    for membership in Membership.objects.active().filter(user=user).select_related("organization"):
        record(membership.organization, actor, verb, target, **details)


def events(organization: Organization, selection: AuditFilter) -> QuerySet[AuditEvent]:
    """The lines that were asked for, newest first."""
    found = organization.audit_events.order_by("-at", "-pk")
    if selection.act:
        found = found.filter(verb=selection.act)
    if selection.who:
        found = found.filter(actor_name=selection.who)
    if selection.since:
        found = found.filter(at__gte=_midnight(selection.since))
    if selection.until:
        found = found.filter(at__lt=_midnight(selection.until + timedelta(days=1)))
    return found


def actions(organization: Organization) -> list[str]:
    """Every verb that ever happened here, in alphabetical order."""
    return list(
        organization.audit_events.values_list("verb", flat=True).distinct().order_by("verb")
    )


def actors(organization: Organization) -> list[str]:
    """Everybody who ever did something here, by the name they had then."""
    names = organization.audit_events.values_list("actor_name", flat=True)
    return list(names.distinct().order_by("actor_name"))


def as_csv(found: QuerySet[AuditEvent]) -> Iterator[str]:
    """A file to download, line by line, a header first. Details are JSON."""
    rows = map(_row, found.iterator(chunk_size=2000))
    return spreadsheets.download(spreadsheets.csv_lines(chain([COLUMNS], rows)))


def _row(event: AuditEvent) -> tuple[str, ...]:
    at = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    details = json.dumps(event.details, ensure_ascii=False) if event.details else ""
    return (at, event.actor_name, event.verb, event.target, details)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
