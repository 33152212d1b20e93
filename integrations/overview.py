"""What pages and the admin say about connections: status word, sentence, progress, freshness.

The one source of status words. Reads with a fixed number of queries, however many connections.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from django.db.models import Max, Min, Q
from django.utils import timezone

from accounts.models import Organization
from integrations.connectors import connector_of, connectors, unknown
from integrations.connectors.base import Connector, Feed, Table
from integrations.days import cost_feeds, days_without_cost_per_user
from integrations.failing import FailingFeed, failing_feeds
from integrations.models import Connection, FeedDay, SyncRun, SyncWindow

# Cost arrives within a day of use: older than this is late.
_LATE = timedelta(hours=30)
# Problems solved at the provider or by the operator: then the stored key works again.
_NOT_THE_KEY = {"access_denied", "not_found", "billing", "unreadable_secret"}


@dataclass(frozen=True)
class Status:
    """Icon, word and tone, always shown together."""

    word: str
    tone: Literal["good", "busy", "warn", "bad", "off"]
    icon: str


NOT_CONNECTED = Status("Not connected", "off", "dash")
QUEUED = Status("Queued", "off", "queue")
IMPORTING = Status("Importing", "busy", "sync")
CONNECTED = Status("Connected", "good", "ok")
PARTLY_READ = Status("Partly read", "warn", "warn")
PARTLY_FAILING = Status("Partly failing", "warn", "warn")
DELAYED = Status("Delayed", "warn", "clock")
PAUSED = Status("Paused (rate limit)", "warn", "pause")
ACTION_NEEDED = Status("Action needed", "bad", "warn")
NEEDS_ATTENTION = Status("Needs attention", "bad", "warn")
NOT_INSTALLED = Status("Not installed", "warn", "dash")
DISCONNECTED = Status("Disconnected", "off", "off")
ARCHIVED = Status("Archived", "off", "archive")
DELETING = Status("Deleting", "off", "trash")
# Of runs, of their parts and of feeds.
RUNNING = Status("Running", "busy", "sync")
WAITING = Status("Waiting", "off", "queue")
DONE = Status("Done", "good", "ok")
UNCHANGED = Status("Unchanged", "good", "ok")
UNAVAILABLE = Status("Not available", "off", "dash")
FAILED = Status("Failed", "bad", "fail")
STOPPED = Status("Stopped", "off", "off")
UP_TO_DATE = Status("Up to date", "good", "ok")

StepState = Literal["waiting", "running", "done", "failed", "paused"]


@dataclass(frozen=True)
class ProgressStep:
    """One feed of a run. `done` of `total` are days; `rows` is what the provider sent.

    `started_at` is the first request of any of its parts, `finished_at` None until all are read.
    """

    feed: str
    label: str
    state: StepState
    done: int
    total: int
    requests: int
    rows: int
    error: str
    repair: str
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> int | None:
        """From the first request to the last answer; None until then."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds())


@dataclass(frozen=True)
class Progress:
    """How far a run is. Days are those whose every feed has been read, newest first."""

    days_total: int
    percent: int
    seconds_left: int | None
    steps: tuple[ProgressStep, ...]


@dataclass(frozen=True)
class Overview:
    """One connection as a page shows it. Unknown is None.

    `has_older_days`: the provider still answers for days before the first one that is here.
    """

    connection: Connection
    status: Status
    sentence: str
    progress: Progress | None
    active_run: SyncRun | None
    cost_complete_to: datetime | None
    engagement_complete_to: date | None
    first_day: date | None
    final_to: date | None
    last_sync_at: datetime | None
    has_older_days: bool

    @property
    def is_in_progress(self) -> bool:
        """Whether looking again in a few seconds may show something new."""
        if self.status in (ACTION_NEEDED, NOT_INSTALLED):
            return False  # its run waits for a person
        return self.active_run is not None or self.status is DELETING

    @property
    def can_resume_with_same_key(self) -> bool:
        """Whether the problem can be solved without a new key."""
        return self.status is ACTION_NEEDED and self.connection.problem_code in _NOT_THE_KEY

    @property
    def next_sync_at(self) -> datetime | None:
        return self.connection.next_sync_at


@dataclass(frozen=True)
class Card:
    """One connector on the Integrations page, with what is connected through it."""

    connector: Connector
    status: Status
    sentence: str
    overviews: tuple[Overview, ...]


def cards(organization: Organization) -> list[Card]:
    """Return a card per connector in the order of the settings, then of unknown connectors."""
    by_slug: dict[str, list[Overview]] = {slug: [] for slug in connectors()}
    for summary in overviews(organization):
        by_slug.setdefault(summary.connection.connector_slug, []).append(summary)
    return [_card(connector_of(slug), summary) for slug, summary in by_slug.items()]


def card(organization: Organization, connector: Connector) -> Card:
    return _card(connector, overviews(organization, connector))


def overviews(organization: Organization, connector: Connector | None = None) -> list[Overview]:
    """Return the organization's connections by label, all or those of one connector.

    The archived ones are not among them: nothing happens to them any more.
    """
    connections = Connection.objects.filter(organization=organization).exclude(
        state=Connection.State.ARCHIVED
    )
    if connector is not None:
        connections = connections.filter(connector_slug=connector.slug)
    return of(connections.select_related("created_by", "organization").order_by("label"))


def retained(organization: Organization) -> list[Overview]:
    """Return deleted connections whose history was kept, by label."""
    connections = Connection.objects.filter(
        organization=organization, state=Connection.State.ARCHIVED
    )
    return of(connections.order_by("label"))


def overview(connection: Connection) -> Overview:
    return of([connection])[0]


def of(rows: Iterable[Connection]) -> list[Overview]:
    """Return these connections in their order, with a fixed number of queries."""
    connections = list(rows)
    runs = {
        run.connection_id: run
        for run in SyncRun.objects.filter(connection__in=connections, state=SyncRun.State.ACTIVE)
    }
    windows: dict[int, list[SyncWindow]] = defaultdict(list)
    for window in SyncWindow.objects.filter(run__in=runs.values()).order_by("position"):
        windows[window.run_id].append(window)
    last = dict(
        SyncRun.objects.filter(connection__in=connections, finished_at__isnull=False)
        .values_list("connection_id")
        .annotate(Max("finished_at"))
    )
    oldest_asked = dict(
        SyncRun.objects.filter(connection__in=connections, kind=SyncRun.Kind.IMPORT)
        .values_list("connection_id")
        .annotate(Min("start"))
    )
    freshness = _freshness(connections)
    failing = failing_feeds(connections)
    unnamed = days_without_cost_per_user(connections)
    today = timezone.now().date()
    result = []
    for connection in connections:
        run = runs.get(connection.pk)
        parts = windows[run.pk] if run else []
        fresh = freshness[connection.pk]
        progress = _progress(connection, parts) if run else None
        status = _status(connection, run, parts, fresh)
        failed = failing.get(connection.pk, [])
        unread = unnamed.get(connection.pk, frozenset()) - _being_read(connection, parts, failed)
        if status is CONNECTED and (failed or unread):
            status = PARTLY_FAILING if failed else PARTLY_READ
        result.append(
            Overview(
                connection=connection,
                status=status,
                sentence=_partly(status, failed, unread)
                or _sentence(connection, status, progress, run, parts, fresh),
                progress=progress,
                active_run=run,
                cost_complete_to=fresh.cost_complete_to,
                engagement_complete_to=fresh.engagement_complete_to,
                first_day=fresh.first_day,
                final_to=fresh.final_to,
                last_sync_at=last.get(connection.pk),
                has_older_days=_has_older_days(
                    connection, fresh.first_day, oldest_asked.get(connection.pk), today
                ),
            )
        )
    return result


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


# --- Freshness -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fresh:
    cost_complete_to: datetime | None = None
    engagement_complete_to: date | None = None
    first_day: date | None = None
    final_to: date | None = None


def _freshness(connections: Sequence[Connection]) -> dict[int, _Fresh]:
    """How far each connection's feeds reach: those of the whole organization, if it has any."""
    rows: dict[int, dict[str, Any]] = defaultdict(dict)
    days = FeedDay.objects.filter(connection__in=connections).values("connection_id", "feed")
    for row in days.annotate(
        watermark=Max("watermark"),
        complete=Max("day", filter=~Q(state=FeedDay.State.INCOMPLETE)),
        oldest=Min("day"),
        final=Max("day", filter=Q(state=FeedDay.State.FINAL)),
        first_open=Min("day", filter=~Q(state=FeedDay.State.FINAL)),
    ):
        rows[row["connection_id"]][row["feed"]] = row
    by_connection = {}
    for connection in connections:
        feeds = rows[connection.pk]
        cost = [feeds[f.name] for f in _whole(connection, Table.COST) if f.name in feeds]
        activity = [feeds[f.name] for f in _activity(connection) if f.name in feeds]
        by_connection[connection.pk] = _Fresh(
            cost_complete_to=min((r["watermark"] for r in cost if r["watermark"]), default=None),
            engagement_complete_to=min(
                (r["complete"] for r in activity if r["complete"]), default=None
            ),
            first_day=min((r["oldest"] for r in cost), default=None),
            final_to=min((end for r in cost if (end := _final_end(r)) is not None), default=None),
        )
    return by_connection


def _whole(connection: Connection, table: Table) -> list[Feed]:
    feeds = connection.connector.feeds
    return [feed for feed in feeds if feed.table is table and feed.grain == "total"]


def _activity(connection: Connection) -> list[Feed]:
    """Return the feeds of activity, the only numbers some providers have beside cost."""
    feeds = [feed for feed in connection.connector.feeds if feed.table is Table.ENGAGEMENT]
    return _whole(connection, Table.ENGAGEMENT) or feeds


def _final_end(row: dict[str, Any]) -> date | None:
    """Return the last day up to which every known day is final."""
    first_open: date | None = row["first_open"]
    oldest: date = row["oldest"]
    if first_open is None:
        final: date | None = row["final"]
        return final
    before = first_open - timedelta(days=1)
    return before if before >= oldest else None


# --- Status --------------------------------------------------------------------------------


def _status(
    connection: Connection, run: SyncRun | None, windows: Sequence[SyncWindow], fresh: _Fresh
) -> Status:
    states = Connection.State
    if connection.state == states.DELETING:
        return DELETING
    if connection.state == states.ARCHIVED:
        return ARCHIVED
    if connection.state == states.DISCONNECTED:
        return DISCONNECTED
    if not connection.connector.is_installed:
        return NOT_INSTALLED
    if connection.state == states.ACTION_NEEDED:
        return ACTION_NEEDED
    pause = _pause(run, windows)
    if pause is not None:
        return PAUSED if pause.error_code == "rate_limited" else DELAYED
    if run is not None and run.kind == SyncRun.Kind.IMPORT:
        started = any(window.attempts for window in windows)
        return IMPORTING if started else QUEUED
    late = fresh.cost_complete_to and timezone.now() - fresh.cost_complete_to > _LATE
    return DELAYED if late and run is None else CONNECTED


def _pause(run: SyncRun | None, windows: Sequence[SyncWindow]) -> SyncWindow | None:
    """Return the window a run waits for, if nothing can be read meanwhile.

    Either the provider asked everyone to wait, or there is nothing else left to read.
    """
    left = [window for window in windows if window.state not in SyncWindow.FINISHED]
    waits = [(w.not_before, w.pk, w) for w in left if w.not_before]
    if run is None or not waits or any(w.state == SyncWindow.State.RUNNING for w in left):
        return None
    if run.not_before and run.not_before > timezone.now():
        return max(waits)[2]
    return min(waits)[2] if len(waits) == len(left) else None


def _sentence(
    connection: Connection,
    status: Status,
    progress: Progress | None,
    run: SyncRun | None,
    windows: Sequence[SyncWindow],
    fresh: _Fresh,
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
        if fresh.first_day is None:
            return "Nothing was imported. Nothing new arrives."
        return "The history is kept. Nothing new arrives."
    pause = _pause(run, windows)
    if pause is not None and pause.not_before:
        return f"{pause.error} Resumes at {pause.not_before:%H:%M} UTC."
    if status is IMPORTING and progress is not None:
        return f"{progress.percent} % of {progress.days_total} days, newest first."
    if status is DELAYED and fresh.cost_complete_to:
        return (
            f"Cost is complete only to {_instant(fresh.cost_complete_to)}. "
            f"{connection.connector.publisher} has not published a newer export."
        )
    return ""


def _being_read(
    connection: Connection, windows: Sequence[SyncWindow], failed: Sequence[FailingFeed]
) -> frozenset[date]:
    """Return the days whose cost per user a run reads now, if nothing has gone wrong with it."""
    _, people = cost_feeds(connection)
    if any(feed.feed in people for feed in failed):
        return frozenset()
    return frozenset(
        day
        for window in windows
        if window.feed in people and window.state not in SyncWindow.FINISHED and not window.error
        for day in window.window
    )


def _partly(status: Status, failed: Sequence[FailingFeed], unread: Collection[date]) -> str:
    """Return what is not read of a connection that works otherwise; "" for any other status."""
    if status is PARTLY_FAILING:
        return _failed(failed)
    return cost_per_user_unread(unread) if status is PARTLY_READ else ""


def cost_per_user_unread(days: Collection[date]) -> str:
    """Return the sentence about days whose cost is known and whose cost per user is not."""
    if len(days) == 1:
        return f"The cost per user of {_day(min(days))} is not known. The total is complete."
    span = f"{_day(min(days))} to {_day(max(days))}"
    return (
        f"The cost per user of {len(days):,} days is not known ({span})."
        " The totals of these days are complete."
    )


def _day(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def _failed(failed: Sequence[FailingFeed]) -> str:
    """Name the feeds that are not read, and say why the first of them is not."""
    first, *others = failed
    more = f" Also failing: {', '.join(one.label for one in others)}." if others else ""
    return f"{first.sentence}{more} The next refresh tries again."


def _instant(value: datetime) -> str:
    return f"{value.day} {value:%b, %H:%M} UTC"


def _card(connector: Connector, summaries: Sequence[Overview]) -> Card:
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
        return Card(connector, NEEDS_ATTENTION, sentence, tuple(summaries))
    for status in (NOT_INSTALLED, PAUSED, IMPORTING, QUEUED, DELAYED, PARTLY_FAILING, PARTLY_READ):
        for one in live:
            if one.status is status:
                return Card(connector, status, one.sentence, tuple(summaries))
    return Card(connector, CONNECTED, "", tuple(summaries))


# --- Progress ------------------------------------------------------------------------------


def _progress(connection: Connection, windows: Sequence[SyncWindow]) -> Progress:
    by_feed: dict[str, list[SyncWindow]] = defaultdict(list)
    for window in windows:
        by_feed[window.feed].append(window)
    steps = tuple(_step(connection, feed, parts) for feed, parts in by_feed.items())
    wanted: set[date] = set()
    for window in windows:
        wanted.update(window.window)
    finished = [window for window in windows if window.state in SyncWindow.FINISHED]
    return Progress(
        days_total=len(wanted),
        percent=100 * len(finished) // len(windows) if windows else 0,
        seconds_left=_seconds_left(windows, finished),
        steps=steps,
    )


def _step(connection: Connection, name: str, windows: Sequence[SyncWindow]) -> ProgressStep:
    feed = connection.connector.feed(name)
    states = {window.state for window in windows}
    problem = next((window for window in windows if window.error), None)
    state: StepState
    if states <= set(SyncWindow.FINISHED):
        state = "failed" if SyncWindow.State.FAILED in states else "done"
    elif SyncWindow.State.RUNNING in states:
        state = "running"
    elif any(window.not_before for window in windows):
        state = "paused"
    else:
        state = "running" if states & set(SyncWindow.FINISHED) else "waiting"
    shown = problem if problem is not None and state in {"failed", "paused"} else None
    finished = [w.finished_at for w in windows if w.finished_at] if state == "done" else []
    return ProgressStep(
        feed=name,
        label=feed.label if feed else name,
        state=state,
        done=sum(len(w.window) for w in windows if w.state in SyncWindow.FINISHED),
        total=sum(len(w.window) for w in windows),
        requests=sum(window.requests for window in windows),
        rows=sum(window.rows for window in windows),
        error=shown.error if shown else "",
        repair=shown.error_repair if shown else "",
        started_at=min((w.started_at for w in windows if w.started_at), default=None),
        finished_at=max(finished, default=None),
    )


def _seconds_left(windows: Sequence[SyncWindow], finished: Sequence[SyncWindow]) -> int | None:
    """From how long windows of each feed have taken so far; None before there is a measure."""
    took: dict[str, list[float]] = defaultdict(list)
    for window in finished:
        if window.started_at and window.finished_at:
            took[window.feed].append((window.finished_at - window.started_at).total_seconds())
    if not took:
        return None
    everything = [seconds for feed in took.values() for seconds in feed]
    left = 0.0
    for window in windows:
        if window.state not in SyncWindow.FINISHED:
            known = took.get(window.feed) or everything
            left += sum(known) / len(known)
    return round(left)
