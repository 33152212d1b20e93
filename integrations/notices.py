"""Detect what happened to connections and notify their managers once, in the app and by email.

`detect` reads the stored state, so a killed process loses nothing. An event has a name, so a second
detection notifies no one again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from accounts import mail
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission
from integrations.models import Connection, Notice, SyncRun, SyncWindow
from integrations.models.connection import ConnectionQuerySet
from integrations.status.connections import cost_per_user_unread, read_statuses
from integrations.status.days import cost_feeds

# A notice each, so many days before a key expires; the last one on the day itself.
_WARN_DAYS = (14, 3, 0)
# An import that ended longer ago has been reported already.
_LOOK_BACK = timedelta(days=3)
# Problems that need action; they settle when the action was taken.
_CALLS = (Notice.Kind.ACTION_NEEDED, Notice.Kind.KEY_EXPIRES, Notice.Kind.FEED_FAILING)
# Cost per user may arrive later than the total of a day.
_PATIENCE = timedelta(days=2)
_RUNS_IN_A_ROW = 2  # a feed that failed once may be well with the next refresh


@dataclass(frozen=True)
class Event:
    """Event that is true now. `mail_to` None is every member who can act on it."""

    connection: Connection
    kind: Notice.Kind
    name: str
    text: str
    repair: str = ""
    mail_to: tuple[str, ...] | None = None


def detect(now: datetime) -> None:
    """Create notices of new events and settle those that need no action any more."""
    events = [*_imports(now), *_problems(), *_failing(now.date()), *_expiries(now.date())]
    names = [event.name for event in events]
    notified = set(Notice.objects.filter(event__in=names).values_list("organization_id", "event"))
    for event in events:
        if (event.connection.organization_id, event.name) not in notified:
            _send(event)
    Notice.objects.filter(kind__in=_CALLS, settled_at__isnull=True).exclude(event__in=names).update(
        settled_at=now
    )


def resolve(connection: Connection) -> None:
    """Settle notices of a connection that has a new key or was switched off."""
    connection.notices.filter(kind__in=_CALLS, settled_at__isnull=True).update(
        settled_at=timezone.now()
    )


def record_deletion(connection: Connection) -> None:
    """Say that a history is gone; part of the transaction that takes the connection away."""
    Notice.objects.get_or_create(
        organization_id=connection.organization_id,
        event=f"erased-{connection.pk}",
        defaults={
            "kind": Notice.Kind.HISTORY_ERASED,
            "text": f"{connection.label} and its history are erased: "
            f"{connection.rows_erased:,} rows.",
        },
    )


def dismiss(organization: Organization, user: User, notice_id: int | None = None) -> None:
    """Put one notice, or all of them, out of this person's sight. Others still see them."""
    open_notices = Notice.objects.open_for(organization, user)
    if notice_id is not None:
        open_notices = open_notices.filter(pk=notice_id)
    for notice in open_notices:
        notice.dismissed_by.add(user)


def managers(organization: Organization) -> list[str]:
    """Return the addresses of all members who may manage the connections."""
    memberships = Membership.objects.with_permission(Permission.MANAGE_CONNECTIONS)
    memberships = memberships.filter(organization=organization).order_by("user__email")
    return list(memberships.values_list("user__email", flat=True))


# --- What is worth telling -----------------------------------------------------------------


def _imports(now: datetime) -> Iterator[Event]:
    runs = (
        SyncRun.objects.filter(
            kind=SyncRun.Kind.IMPORT,
            state__in=[SyncRun.State.DONE, SyncRun.State.FAILED],
            finished_at__gt=now - _LOOK_BACK,
        )
        .annotate(
            parts=Count("windows"),
            failed=Count("windows", filter=Q(windows__state=SyncWindow.State.FAILED)),
        )
        .select_related("connection__organization", "requested_by")
    )
    for run in runs:
        label, who = run.connection.label, run.requested_by
        days = f"{len(run.window)} days, {_day(run.start)} to {_day(run.window.last_day)}"
        yield Event(
            run.connection,
            Notice.Kind.IMPORT_FINISHED,
            f"import-{run.pk}",
            f"The import of {label} has ended, but {run.failed} of its {run.parts} parts failed."
            if run.failed
            else f"The import of {label} is finished: {days}.",
            "The next refresh tries again. The sync log has the reasons." if run.failed else "",
            # Not to who has left meanwhile, or manages connections no longer.
            mail_to=(who.email,)
            if who and who.email in managers(run.connection.organization)
            else None,
        )


def _problems() -> Iterator[Event]:
    for connection in _read(Connection.objects.filter(state=Connection.State.ACTION_NEEDED)):
        since = connection.problem_since or connection.created_at
        yield Event(
            connection,
            Notice.Kind.ACTION_NEEDED,
            f"action-{connection.pk}-{since:%Y%m%dT%H%M%S}",
            f"{connection.label} stopped: {connection.problem}",
            connection.problem_repair,
        )


def _failing(today: date) -> Iterator[Event]:
    """Yield an event per feed and series of failed runs, and of cost without cost per user."""
    for status in read_statuses(_read(Connection.objects.filter(state=Connection.State.ACTIVE))):
        connection, failing = status.connection, status.failing_feeds
        _, people = cost_feeds(connection)
        late = [day for day in status.unread_days if day <= today - _PATIENCE]
        is_failing = any(feed.name in people for feed in failing)
        if late and not is_failing and status.active_run is None:
            yield Event(
                connection,
                Notice.Kind.FEED_FAILING,
                f"unnamed-{connection.pk}-{min(late):%Y%m%d}",
                f"{connection.label}: {cost_per_user_unread(late)}",
                "See which feed is not read and why on the page of the connection.",
            )
        for feed in failing:
            if feed.failed_runs >= _RUNS_IN_A_ROW and feed.problem:
                yield Event(
                    connection,
                    Notice.Kind.FEED_FAILING,
                    f"failing-{connection.pk}-{feed.name[:40]}-{feed.first_failed_run_id}",
                    f"{feed.label} of {connection.label} is not read: {feed.problem.message}",
                    feed.problem.repair,
                )


def _expiries(today: date) -> Iterator[Event]:
    last = today + timedelta(days=max(_WARN_DAYS))
    working = [Connection.State.ACTIVE, Connection.State.ACTION_NEEDED]
    for connection in _read(Connection.objects.filter(key_expires_on__lte=last, state__in=working)):
        day = connection.key_expires_on
        if day is None:
            continue
        left = (day - today).days
        stage = min((warn for warn in _WARN_DAYS if left <= warn), default=0)
        when = "expired" if left < 0 else "expires today," if left == 0 else "expires"
        yield Event(
            connection,
            Notice.Kind.KEY_EXPIRES,
            f"expires-{connection.pk}-{day:%Y%m%d}-{stage}",
            f"The key of {connection.label} {when} {'on ' if left else ''}{_day(day)}.",
            f"Get a new {connection.connector.key_label} and replace the key before that day, so "
            "that no figures are missing."
            if left >= 0
            else f"Get a new {connection.connector.key_label} and replace the key.",
        )


def _read(connections: ConnectionQuerySet) -> ConnectionQuerySet:
    return connections.select_related("organization")


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


# --- Telling -------------------------------------------------------------------------------


def _send(event: Event) -> None:
    connection, organization = event.connection, event.connection.organization
    with transaction.atomic():
        notice, is_new = Notice.objects.get_or_create(
            organization=organization,
            event=event.name,
            defaults={
                "connection": connection,
                "kind": event.kind,
                "text": event.text,
                "repair": event.repair,
            },
        )
        if not is_new:
            return
        to = event.mail_to
        page = reverse("integrations:manage", args=[organization.slug, connection.connector_slug])
        mail.send(
            to=managers(organization) if to is None else to,
            subject=f"{notice.get_kind_display()}: {connection.label}",
            template="notice",
            context={"notice": notice, "organization": organization, "path": page},
        )
