"""Read the status of every feed of the given connections in two queries, however many rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection as database
from django.db.models import Q

from integrations.connectors.base import Feed, Table
from integrations.data_start import BEFORE_DATA
from integrations.models import Connection, SyncRun, SyncWindow
from integrations.status import words
from integrations.status.coverage import FeedCoverage, read_coverage
from integrations.status.words import FEED_WORDS, FeedState, Status

# An empty response is normal for a while, because providers publish late. Then it is shown.
_PATIENCE = timedelta(days=3)
# Cost arrives within a day of use: older than this is late.
_COST_PATIENCE = timedelta(hours=30)
# Codes of what a key or an organization need not have.
_OPTIONAL = {"optional_scope", "not_enrolled"}
# Not problems of the feed: the connection was switched off, or nothing was used before.
_HARMLESS = {"stopped", BEFORE_DATA}
_RETRY = "The next refresh tries again."

# One row per connection and feed. A run has failed for a feed if any of its windows did.
_ATTEMPTS = """
    WITH outcomes AS (
        SELECT run.connection_id, part.feed, part.run_id,
               bool_or(part.attempts > 0) AS tried,
               max(part.started_at) FILTER (WHERE part.attempts > 0) AS attempted_at,
               max(part.finished_at) FILTER (
                   WHERE part.attempts > 0 AND part.state IN ('done', 'unchanged')
               ) AS succeeded_at,
               bool_or(part.state = 'failed' AND part.error_code <> 'stopped') AS failed,
               bool_or(part.state IN ('done', 'unchanged', 'unavailable', 'failed')
                       AND part.error_code <> 'stopped') AS ended
        FROM integrations_syncwindow part
        JOIN integrations_syncrun run ON run.id = part.run_id
        WHERE run.connection_id = ANY(%(connections)s)
        GROUP BY run.connection_id, part.feed, part.run_id
    ), ranked AS (
        SELECT *, max(run_id) FILTER (WHERE ended AND NOT failed)
                  OVER (PARTITION BY connection_id, feed) AS good_run
        FROM outcomes
    )
    SELECT connection_id, feed,
           max(run_id) FILTER (WHERE tried),
           max(attempted_at),
           max(succeeded_at),
           count(*) FILTER (WHERE failed AND run_id > coalesce(good_run, 0)),
           min(run_id) FILTER (WHERE failed AND run_id > coalesce(good_run, 0)),
           max(run_id) FILTER (WHERE failed AND run_id > coalesce(good_run, 0))
    FROM ranked
    GROUP BY connection_id, feed
"""


@dataclass(frozen=True)
class Problem:
    """What prevents reading, and what to do about it. `repair` "" is nothing to do."""

    code: str
    message: str
    repair: str
    request_id: str = ""


@dataclass(frozen=True)
class FeedStatus:
    """One feed of a connection.

    `requests` and `rows` are those of the last run that read it; unknown is None. `failed_runs` are
    the failed runs in a row, `first_failed_run_id` the first of them. `next_attempt_at` is when it
    is read again, if that is known.
    """

    connection: Connection
    feed: Feed
    state: FeedState
    coverage: FeedCoverage
    problem: Problem | None
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    next_attempt_at: datetime | None
    requests: int | None
    rows: int | None
    run_id: int | None
    failed_runs: int = 0
    first_failed_run_id: int | None = None

    @property
    def name(self) -> str:
        return self.feed.name

    @property
    def label(self) -> str:
        return self.feed.label

    @property
    def status(self) -> Status:
        return FEED_WORDS[self.state]

    @property
    def is_failing(self) -> bool:
        return self.state is FeedState.FAILED

    @property
    def complete_to(self) -> datetime | None:
        """Watermark of the newest snapshot; None if the provider names none."""
        return self.coverage.complete_to

    @property
    def complete_day(self) -> date | None:
        """Last complete day; of a list without history the day it was read."""
        return self.coverage.newest_day if self.feed.is_newest_only else self.coverage.complete_day

    @property
    def complete_text(self) -> str:
        """How far it is complete, as pages write it; "–" if that is not known."""
        if self.complete_to:
            return f"{self.complete_to.day} {self.complete_to:%b, %H:%M}"
        return f"{day.day} {day:%b}" if (day := self.complete_day) else "–"

    @property
    def final_to(self) -> date | None:
        return None if self.feed.is_newest_only else self.coverage.final_to

    @property
    def error(self) -> str:
        return self.problem.message if self.problem else ""

    @property
    def repair(self) -> str:
        """What to do; what stops all feeds is said once, above them."""
        return "" if self.state is FeedState.ACTION_NEEDED else self._repair

    @property
    def _repair(self) -> str:
        return self.problem.repair if self.problem else ""

    @property
    def request_id(self) -> str:
        return self.problem.request_id if self.problem else ""

    @property
    def kept_out(self) -> str:
        """How many rows of the provider made no sense and are not stored; "" if none."""
        spans = self.coverage.kept_out
        if not spans:
            return ""
        rows, days = sum(span.kept_out for span in spans), sum(len(span.window) for span in spans)
        return (
            f"{rows:,} row{'' if rows == 1 else 's'} of {days:,} day{'' if days == 1 else 's'} "
            f"{'is' if rows == 1 else 'are'} kept out, so "
            f"{'this day is' if days == 1 else 'these days are'} incomplete. "
            f"{spans[-1].kept_out_reason}"
        )

    @property
    def sentence(self) -> str:
        """What is wrong with this feed, where its connection is shown; "" if nothing is."""
        if self.state is FeedState.FAILED:
            often = "its last run" if self.failed_runs == 1 else f"its last {self.failed_runs} runs"
            return f"{self.label} failed in {often}: {self.error}"
        if self.state is FeedState.DELAYED:
            if self.problem is None:
                read = self.last_success_at
                since = f"since {words.format_instant(read)}" if read else "yet"
                return f"{self.label} was not read {since}."
            is_late = self.problem.code == LATE
            return self.error if is_late else f"{self.label}: {self.error}"
        return f"{self.label}: {self.kept_out}" if self.state is FeedState.PARTLY_READ else ""

    @property
    def outlook(self) -> str:
        """What happens next, where nothing has to be done."""
        if self.connection.is_disconnected or self.state is FeedState.CURRENT:
            return ""
        if self.connection.state == Connection.State.ACTION_NEEDED:
            return "Resumes automatically"
        return "Read again with the next refresh" if self.state is FeedState.DELAYED else ""


LATE = "late"  # the code of cost that the provider has not published in time


@dataclass(frozen=True)
class _Attempts:
    """What the runs of one feed come to. Ids are those of runs."""

    last_run_id: int | None = None
    attempted_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_runs: int = 0
    first_failed_id: int | None = None
    last_failed_id: int | None = None


@dataclass(frozen=True)
class FeedReading:
    """Feeds of the read connections in their connectors' order, and windows of active runs."""

    feeds: Mapping[int, tuple[FeedStatus, ...]]
    windows: Mapping[int, Sequence[SyncWindow]]  # by run, in the order they are read


def read_feeds(
    connections: Sequence[Connection], runs: Mapping[int, SyncRun], *, now: datetime
) -> FeedReading:
    """Return the status of every feed. `runs` are the active ones by connection."""
    attempts = _read_attempts(connections)
    wanted = {run.pk for run in runs.values()}
    for tried in attempts.values():
        wanted |= {pk for pk in (tried.last_run_id, tried.last_failed_id) if pk is not None}
    windows: dict[tuple[int, str], list[SyncWindow]] = defaultdict(list)
    active: dict[int, list[SyncWindow]] = defaultdict(list)
    active_ids = {run.pk for run in runs.values()}
    parts = SyncWindow.objects.filter(_of_interest(attempts, active_ids), run__in=wanted)
    for window in parts.select_related("run").order_by("position"):
        windows[window.run_id, window.feed].append(window)
        if window.run_id in active_ids:
            active[window.run_id].append(window)
    coverage = read_coverage(connections)
    return FeedReading(
        {
            connection.pk: tuple(
                _status(
                    connection,
                    feed,
                    attempts.get((connection.pk, feed.filled_by or feed.name), _Attempts()),
                    windows,
                    coverage[connection.pk, feed.name],
                    is_running=connection.pk in runs,
                    now=now,
                )
                for feed in connection.connector.feeds
            )
            for connection in connections
        },
        active,
    )


def _read_attempts(connections: Sequence[Connection]) -> dict[tuple[int, str], _Attempts]:
    with database.cursor() as cursor:
        cursor.execute(_ATTEMPTS, {"connections": [connection.pk for connection in connections]})
        return {(pk, feed): _Attempts(*row) for pk, feed, *row in cursor}


def _of_interest(attempts: Mapping[tuple[int, str], _Attempts], active: set[int]) -> Q:
    """Return the condition of the windows that are read of each run: all if it is active."""
    condition = Q(run__in=active)
    by_run: dict[int, set[str]] = defaultdict(set)
    for (_, feed), tried in attempts.items():
        for run_id in (tried.last_run_id, tried.last_failed_id):
            if run_id is not None and run_id not in active:
                by_run[run_id].add(feed)
    for run_id, feeds in by_run.items():
        condition |= Q(run=run_id, feed__in=feeds)
    return condition


def _status(
    connection: Connection,
    feed: Feed,
    tried: _Attempts,
    windows: Mapping[tuple[int, str], Sequence[SyncWindow]],
    coverage: FeedCoverage,
    *,
    is_running: bool,
    now: datetime,
) -> FeedStatus:
    name = feed.filled_by or feed.name
    run_id = tried.last_run_id
    parts = windows.get((run_id, name), ()) if run_id is not None else ()
    is_late = tried.succeeded_at is None or now - tried.succeeded_at > _PATIENCE
    window: SyncWindow | None = None
    problem: Problem | None = None
    if not connection.is_disconnected:
        failed = windows.get((tried.last_failed_id or 0, name), ())
        window = _failed_window(failed) or _hindrance(parts, is_late=is_late)
    if window is not None:
        problem = Problem(window.error_code, window.error, window.error_repair, window.request_id)
    state = _state(connection, parts, window, tried, is_late=is_late, now=now)
    if state is FeedState.FAILED and problem and not problem.repair:
        problem = Problem(problem.code, problem.message, _RETRY, problem.request_id)
    if state is FeedState.CURRENT and not is_running and (late := _late_cost(feed, coverage, now)):
        state = FeedState.DELAYED
        problem = Problem(
            LATE,
            f"Cost is complete only to {words.format_instant(late)}. "
            f"{connection.connector.publisher} has not published a newer export.",
            "",
        )
    if state is FeedState.CURRENT and coverage.kept_out:
        state = FeedState.PARTLY_READ
    waits = [part.not_before for part in parts if part.not_before and part.not_before > now]
    return FeedStatus(
        connection=connection,
        feed=feed,
        state=state,
        coverage=coverage,
        problem=problem,
        last_attempt_at=tried.attempted_at,
        last_success_at=tried.succeeded_at,
        next_attempt_at=min(waits, default=connection.next_sync_at),
        requests=sum(part.requests for part in parts) if run_id is not None else None,
        rows=sum(part.rows for part in parts) if run_id is not None else None,
        run_id=tried.last_failed_id if state is FeedState.FAILED else run_id,
        failed_runs=tried.failed_runs,
        first_failed_run_id=tried.first_failed_id,
    )


def _failed_window(parts: Sequence[SyncWindow]) -> SyncWindow | None:
    """Return the first failed window of the last failed run."""
    return next(
        (p for p in parts if p.state == SyncWindow.State.FAILED and p.error_code != "stopped"), None
    )


def _hindrance(parts: Sequence[SyncWindow], *, is_late: bool) -> SyncWindow | None:
    """Return the window that has to wait. Days not published yet count only when it lasts."""
    states = {SyncWindow.State.PENDING}
    if is_late:
        states.add(SyncWindow.State.UNAVAILABLE)
    return next(
        (p for p in parts if p.state in states and p.error and p.error_code not in _HARMLESS), None
    )


def _state(
    connection: Connection,
    parts: Sequence[SyncWindow],
    window: SyncWindow | None,
    tried: _Attempts,
    *,
    is_late: bool,
    now: datetime,
) -> FeedState:
    if connection.is_disconnected:
        deleting = connection.state == Connection.State.DELETING
        return FeedState.DELETING if deleting else FeedState.DISCONNECTED
    is_stopped = connection.state == Connection.State.ACTION_NEEDED
    if window is not None and window.state == SyncWindow.State.FAILED:
        return FeedState.FAILED
    if window is not None and window.state == SyncWindow.State.PENDING:
        if is_stopped:
            return FeedState.ACTION_NEEDED
        return FeedState.PAUSED if window.error_code == "rate_limited" else FeedState.DELAYED
    if any(part.state not in SyncWindow.FINISHED for part in parts):
        is_waiting = is_stopped or _is_paused(parts, now)
        return FeedState.WAITING if is_waiting else FeedState.READING
    if tried.last_run_id is None:
        return FeedState.WAITING if is_stopped else FeedState.QUEUED
    if window is not None and window.error_code in _OPTIONAL:
        return FeedState.UNAVAILABLE  # the key was never meant to read it: nothing is late
    return FeedState.DELAYED if is_late else FeedState.CURRENT


def _is_paused(parts: Sequence[SyncWindow], now: datetime) -> bool:
    """Return True if their whole run waits, and none of them is being read meanwhile."""
    wait_until = parts[0].run.not_before
    reading = any(part.state == SyncWindow.State.RUNNING for part in parts)
    return wait_until is not None and wait_until > now and not reading


def _late_cost(feed: Feed, coverage: FeedCoverage, now: datetime) -> datetime | None:
    """Return how far the total cost is complete, if that is too long ago; else None."""
    instant = coverage.complete_to
    if feed.table is not Table.COST or feed.grain != "total" or instant is None:
        return None
    return instant if now - instant > _COST_PATIENCE else None
