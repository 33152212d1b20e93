"""The audit trail: one line per act on a connection, a member or an organization."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import QuerySet

from accounts.models import AuditEvent, Organization, User

COLUMNS = ("at_utc", "who", "act", "on_what", "details")


@dataclass(frozen=True)
class Selection:
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
        target=target,
        details=details,
    )


def events(organization: Organization, selection: Selection) -> QuerySet[AuditEvent]:
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


def acts(organization: Organization) -> list[str]:
    """Every verb that ever happened here, in alphabetical order."""
    return list(
        organization.audit_events.values_list("verb", flat=True).distinct().order_by("verb")
    )


def people(organization: Organization) -> list[str]:
    """Everybody who ever did something here, by the name they had then."""
    names = organization.audit_events.values_list("actor_name", flat=True)
    return list(names.distinct().order_by("actor_name"))


def as_csv(found: QuerySet[AuditEvent]) -> Iterator[str]:
    """RFC 4180, line by line, a header first. Details are JSON."""
    line = csv.writer(_Echo())
    yield line.writerow(COLUMNS)
    for event in found.iterator(chunk_size=2000):
        at = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        details = json.dumps(event.details, ensure_ascii=False) if event.details else ""
        cells = (event.actor_name, event.verb, event.target, details)
        yield line.writerow([at, *map(_inert, cells)])


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _inert(text: str) -> str:
    """Keep a spreadsheet from taking the text for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


class _Echo:
    """Lets a csv writer return its line instead of keeping it."""

    def write(self, text: str) -> str:
        return text
