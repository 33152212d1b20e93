"""Status of connections, folded from their feeds: word, sentence, progress, freshness.

Reads with a fixed number of queries, however many connections and rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Max, Min, Q
from django.utils import timezone

from accounts.models import Organization
from integrations.connectors import connector_of, connectors, unknown
from integrations.connectors.base import Connector, Table
from integrations.models import Connection, SyncRun, SyncWindow
from integrations.status.days import cost_feeds, unnamed_days
from integrations.status.feeds import LATE, FeedStatus, Problem, read_feeds
from integrations.status.progress import Progress, measure_progress
from integrations.status.words import (
    ACTION_NEEDED,
    ARCHIVED,
    CONNECTED,
    DELAYED,
    DELETING,
    DISCONNECTED,
    IMPORTING,
    NEEDS_ATTENTION,
    NOT_CONNECTED,
    NOT_INSTALLED,
    PARTLY_FAILING,
    PARTLY_READ,
    PAUSED,
    QUEUED,
    FeedState,
    Status,
    format_day,
)

# Problems solved at the provider or by the operator: then the stored key works again.
_NOT_THE_KEY = {"access_denied", "not_found", "billing", "unreadable_secret"}


# What one need not look at, in the order and the words of Manage.
_FOLDED = {
    FeedState.CURRENT: "up to date",
    FeedState.READING: "being read",
    FeedState.QUEUED: "queued",
}


@dataclass(frozen=True)
class ConnectionStatus:
    """One connection with all its feeds, as every page shows it. Unknown is None.

    `problem` is what most needs to be solved. `has_older_days`: the provider still has days before
    the first stored one. `first_planned_day` is the first day any run was to read. Of `unread_days`
    the cost is known and the cost per user is not, and no run reads it now.
    """

    connection: Connection
    feeds: tuple[FeedStatus, ...]
    status: Status
    sentence: str
    problem: Problem | None
    progress: Progress | None
    active_run: SyncRun | None
    cost_complete_to: datetime | None
    engagement_complete_to: date | None
    first_day: date | None
    final_to: date | None
    last_sync_at: datetime | None
    has_older_days: bool
    first_planned_day: date | None
    unread_days: frozenset[date]

    @property
    def is_in_progress(self) -> bool:
        """Whether looking again in a few seconds may show something new."""
        if self.status in (ACTION_NEEDED, NOT_INSTALLED):
            return False  # its run waits for a person
        return self.active_run is not None or self.status is DELETING

    @property
    def is_queued(self) -> bool:
        return self.status is QUEUED

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is read until a person acts."""
        return self.status is ACTION_NEEDED

    @property
    def can_resume_with_same_key(self) -> bool:
        """Whether the problem can be solved without a new key."""
        return self.is_stopped and self.connection.problem_code in _NOT_THE_KEY

    @property
    def repair(self) -> str:
        """What to do about the problem; "" if nothing has to be done."""
        return self.problem.repair if self.problem else ""

    @property
    def next_sync_at(self) -> datetime | None:
        return self.connection.next_sync_at

    @property
    def open_feeds(self) -> list[FeedStatus]:
        """Feeds to look at: neither up to date, nor being read, nor waiting for their turn."""
        return [feed for feed in self.feeds if feed.error or feed.state not in _FOLDED]

    @property
    def folded_feeds(self) -> list[tuple[FeedState, str, list[FeedStatus]]]:
        """The other feeds by state, with its words; states that no feed is in are left out."""
        folds = [
            (state, words, [feed for feed in self.feeds if feed.state is state and not feed.error])
            for state, words in _FOLDED.items()
        ]
        return [fold for fold in folds if fold[2]]

    @property
    def failing_feeds(self) -> list[FeedStatus]:
        """Feeds that are read by themselves and whose last run failed."""
        return [feed for feed in self.feeds if feed.is_failing and not feed.feed.filled_by]


@dataclass(frozen=True)
class Card:
    """One connector on the Integrations page, with what is connected through it."""

    connector: Connector
    status: Status
    sentence: str
    overviews: tuple[ConnectionStatus, ...]
    repair: str = ""


def cards(organization: Organization) -> list[Card]:
    """Return a card per connector in the order of the settings, then of unknown connectors."""
    by_slug: dict[str, list[ConnectionStatus]] = {slug: [] for slug in connectors()}
    for one in statuses(organization):
        by_slug.setdefault(one.connection.connector_slug, []).append(one)
    return [_card(connector_of(slug), summaries) for slug, summaries in by_slug.items()]


def card(organization: Organization, connector: Connector) -> Card:
    return _card(connector, statuses(organization, connector))


def statuses(
    organization: Organization, connector: Connector | None = None
) -> list[ConnectionStatus]:
    """Return the organization's connections by label, all or those of one connector.

    The archived ones are not among them: nothing happens to them any more.
    """
    connections = Connection.objects.filter(organization=organization).exclude(
        state=Connection.State.ARCHIVED
    )
    if connector is not None:
        connections = connections.filter(connector_slug=connector.slug)
    return read_statuses(connections.select_related("created_by", "organization").order_by("label"))


def retained(organization: Organization) -> list[ConnectionStatus]:
    """Return deleted connections whose history was kept, by label."""
    archived = Connection.objects.filter(organization=organization, state=Connection.State.ARCHIVED)
    return read_statuses(archived.order_by("label"))


def status_of(connection: Connection) -> ConnectionStatus:
    return read_statuses([connection])[0]


def read_statuses(selected: Iterable[Connection]) -> list[ConnectionStatus]:
    """Return these connections in their order, with a fixed number of queries."""
    connections, now = list(selected), timezone.now()
    if not connections:
        return []
    active = SyncRun.objects.filter(connection__in=connections, state=SyncRun.State.ACTIVE)
    runs = {run.connection_id: run for run in active}
    histories = {
        pk: _History(*history)
        for pk, *history in SyncRun.objects.filter(connection__in=connections)
        .values("connection_id")
        .annotate(
            last=Max("finished_at"),
            first=Min("start"),
            first_imported=Min("start", filter=Q(kind=SyncRun.Kind.IMPORT)),
        )
        .order_by()
        .values_list("connection_id", "last", "first", "first_imported")
    }
    reading = read_feeds(connections, runs, now=now)
    return [
        _fold(
            connection,
            reading.feeds[connection.pk],
            run := runs.get(connection.pk),
            reading.windows.get(run.pk, ()) if run else (),
            histories.get(connection.pk, _History()),
            now,
        )
        for connection in connections
    ]


@dataclass(frozen=True)
class _History:
    """What all runs of a connection come to."""

    finished_at: datetime | None = None
    first_day: date | None = None
    first_imported_day: date | None = None


def _fold(
    connection: Connection,
    feeds: tuple[FeedStatus, ...],
    run: SyncRun | None,
    windows: Sequence[SyncWindow],
    history: _History,
    now: datetime,
) -> ConnectionStatus:
    """Return the status of a connection: the earliest dates and the worst state of its feeds."""
    cost = _of_organization(feeds, Table.COST)
    activity = [feed for feed in feeds if feed.feed.table is Table.ENGAGEMENT]
    activity = _of_organization(activity, Table.ENGAGEMENT) or activity
    first_day = min((day for one in cost if (day := one.coverage.first_day)), default=None)
    progress = measure_progress(connection, windows) if run else None
    unread = _unnamed_days(connection, feeds) - _being_read(connection, windows, feeds)
    status = _status(connection, feeds, unread, run, windows, now)
    return ConnectionStatus(
        connection=connection,
        feeds=feeds,
        status=status,
        sentence=_sentence(
            status, connection, feeds, unread, progress, _pause(run, windows, now), first_day
        ),
        problem=_problem(status, connection, feeds),
        progress=progress,
        active_run=run,
        cost_complete_to=min((at for one in cost if (at := one.complete_to)), default=None),
        engagement_complete_to=min(
            (day for one in activity if (day := one.coverage.complete_day)), default=None
        ),
        first_day=first_day,
        final_to=min((day for one in cost if (day := one.final_to)), default=None),
        last_sync_at=history.finished_at,
        has_older_days=_has_older_days(
            connection, first_day, history.first_imported_day, now.date()
        ),
        first_planned_day=history.first_day,
        unread_days=unread,
    )


def _of_organization(feeds: Sequence[FeedStatus], table: Table) -> list[FeedStatus]:
    return [one for one in feeds if one.feed.table is table and one.feed.grain == "total"]


def _unnamed_days(connection: Connection, feeds: Sequence[FeedStatus]) -> frozenset[date]:
    """Return the days whose cost is known and whose cost per user is not."""
    by_name = {feed.name: feed.coverage.days for feed in feeds}
    totals, people = ([by_name[name] for name in names] for names in cost_feeds(connection))
    return unnamed_days(totals, people)


def _has_older_days(
    connection: Connection, first_day: date | None, oldest_asked: date | None, today: date
) -> bool:
    """May an import bring older days? Where the provider names no start, it is looked for once."""
    connector = connection.connector
    earliest = connector.earliest_day(today)
    if first_day is None or earliest >= first_day:
        return False
    is_searched = any(feed.empty_days for feed in connector.feeds)
    return not (is_searched and oldest_asked is not None and oldest_asked <= earliest)


# --- Status --------------------------------------------------------------------------------


def _status(
    connection: Connection,
    feeds: Sequence[FeedStatus],
    unread: Collection[date],
    run: SyncRun | None,
    windows: Sequence[SyncWindow],
    now: datetime,
) -> Status:
    if connection.state in _BY_STATE:
        return _BY_STATE[connection.state]
    if not connection.connector.is_installed:
        return NOT_INSTALLED
    if connection.state == Connection.State.ACTION_NEEDED:
        return ACTION_NEEDED
    pause = _pause(run, windows, now)
    if pause is not None:
        return PAUSED if pause.error_code == "rate_limited" else DELAYED
    if run is not None and run.kind == SyncRun.Kind.IMPORT:
        return IMPORTING if any(window.attempts for window in windows) else QUEUED
    states = {feed.state for feed in feeds}
    if any(feed.problem and feed.problem.code == LATE for feed in feeds):
        return DELAYED
    if FeedState.FAILED in states:
        return PARTLY_FAILING
    if FeedState.DELAYED in states:
        return DELAYED
    return PARTLY_READ if unread or FeedState.PARTLY_READ in states else CONNECTED


_BY_STATE: Mapping[str, Status] = {
    Connection.State.DELETING: DELETING,
    Connection.State.ARCHIVED: ARCHIVED,
    Connection.State.DISCONNECTED: DISCONNECTED,
}


def _pause(run: SyncRun | None, windows: Sequence[SyncWindow], now: datetime) -> SyncWindow | None:
    """Return the window a run waits for, if nothing can be read meanwhile.

    Either the provider asked everyone to wait, or there is nothing else left to read.
    """
    left = [window for window in windows if window.state not in SyncWindow.FINISHED]
    waits = [(w.not_before, w.pk, w) for w in left if w.not_before]
    if run is None or not waits or any(w.state == SyncWindow.State.RUNNING for w in left):
        return None
    if run.not_before and run.not_before > now:
        return max(waits)[2]
    return min(waits)[2] if len(waits) == len(left) else None


def _sentence(
    status: Status,
    connection: Connection,
    feeds: Sequence[FeedStatus],
    unread: Collection[date],
    progress: Progress | None,
    pause: SyncWindow | None,
    first_day: date | None,
) -> str:
    if status is ACTION_NEEDED:
        return connection.problem
    if status is NOT_INSTALLED:
        return f"{unknown.problem_of(connection.connector_slug)} {unknown.REPAIR}"
    if status is QUEUED:
        return f"{connection.label} is saved. The import starts within a minute."
    if status is DELETING:
        return "Its history is being erased. It disappears from this page when that is done."
    if status in (DISCONNECTED, ARCHIVED):
        if first_day is None:
            return "Nothing was imported. Nothing new arrives."
        return "The history is kept. Nothing new arrives."
    if pause is not None and pause.not_before:
        return f"{pause.error} Resumes at {pause.not_before:%H:%M} UTC."
    if status is IMPORTING and progress is not None:
        return progress.sentence
    return _partly(status, feeds, unread)


def _partly(status: Status, feeds: Sequence[FeedStatus], unread: Collection[date]) -> str:
    """Return what is not read of a connection that works otherwise; "" if all is."""
    if status is PARTLY_FAILING:
        return _name_failing([one for one in feeds if one.is_failing and not one.feed.filled_by])
    if status is DELAYED:
        delayed = [one for one in feeds if one.state is FeedState.DELAYED]
        late = [one for one in delayed if one.problem and one.problem.code == LATE]
        return (late or delayed)[0].sentence
    if status is PARTLY_READ and unread:
        return cost_per_user_unread(unread)
    return next((one.sentence for one in feeds if one.state is FeedState.PARTLY_READ), "")


def _problem(status: Status, connection: Connection, feeds: Sequence[FeedStatus]) -> Problem | None:
    """Return the problem of the connection itself, else that of its worst feed."""
    if status is ACTION_NEEDED:
        return Problem(connection.problem_code, connection.problem, connection.problem_repair)
    if status in (PARTLY_FAILING, DELAYED, PAUSED):
        bad = (FeedState.FAILED, FeedState.DELAYED, FeedState.PAUSED)
        worst = [one for one in feeds if one.problem and one.state in bad]
        return min(worst, key=lambda one: bad.index(one.state)).problem if worst else None
    return None


def _being_read(
    connection: Connection, windows: Sequence[SyncWindow], feeds: Sequence[FeedStatus]
) -> frozenset[date]:
    """Return the days whose cost per user a run reads now, if nothing has gone wrong with it."""
    _, people = cost_feeds(connection)
    if any(feed.name in people and feed.is_failing for feed in feeds):
        return frozenset()
    return frozenset(
        day
        for window in windows
        if window.feed in people and window.state not in SyncWindow.FINISHED and not window.error
        for day in window.window
    )


def cost_per_user_unread(days: Collection[date]) -> str:
    """Return the sentence about days whose cost is known and whose cost per user is not."""
    if len(days) == 1:
        return f"The cost per user of {format_day(min(days))} is not known. The total is complete."
    span = f"{format_day(min(days))} to {format_day(max(days))}"
    return (
        f"The cost per user of {len(days):,} days is not known ({span})."
        " The totals of these days are complete."
    )


def _name_failing(feeds: Sequence[FeedStatus]) -> str:
    """Name the feeds that are not read, and say why the first of them is not."""
    first, *others = feeds
    more = f" Also failing: {', '.join(one.label for one in others)}." if others else ""
    return f"{first.sentence}{more}"


def _card(connector: Connector, summaries: Sequence[ConnectionStatus]) -> Card:
    """Return the card with the state of the connection that most needs attention."""
    if not summaries:
        return Card(connector, NOT_CONNECTED, "", ())
    live = [one for one in summaries if one.status not in (DISCONNECTED, DELETING)]
    if not live:
        return Card(connector, DISCONNECTED, summaries[0].sentence, tuple(summaries))
    broken = [one for one in live if one.status is ACTION_NEEDED]
    if broken:
        first = broken[0]
        count = f"{len(broken)} of {len(live)} organizations. " if len(live) > 1 else ""
        sentence = f"{count}{first.connection.label}: {first.sentence}"
        return Card(connector, NEEDS_ATTENTION, sentence, tuple(summaries), first.repair)
    for status in (NOT_INSTALLED, PAUSED, IMPORTING, QUEUED, DELAYED, PARTLY_FAILING, PARTLY_READ):
        for one in live:
            if one.status is status:
                return Card(connector, status, one.sentence, tuple(summaries), one.repair)
    return Card(connector, CONNECTED, "", tuple(summaries))
