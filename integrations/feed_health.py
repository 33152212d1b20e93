"""How each feed of one connection does: when it was tried, how far it reaches, what is wrong."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from integrations import overview
from integrations.connectors.base import Feed
from integrations.models import Connection, FeedDay, SyncWindow
from integrations.overview import Status

# An empty response is normal for a while, because providers publish late. Then it is shown.
_PATIENCE = timedelta(days=3)
_GOOD = (SyncWindow.State.DONE, SyncWindow.State.UNCHANGED)


@dataclass(frozen=True)
class FeedHealth:
    """One feed. `requests` and `rows` are those of the last run that read it; unknown is None.

    `error` and `repair` are what stands in its way, `outlook` what comes next where nothing does.
    `kept_out` says how many rows of the provider made no sense and are not stored.
    """

    name: str
    label: str
    status: Status
    complete_to_instant: datetime | None
    complete_to_day: date | None
    last_try_at: datetime | None
    last_success_at: datetime | None
    requests: int | None
    rows: int | None
    error: str
    repair: str
    outlook: str
    request_id: str
    run_id: int | None
    kept_out: str = ""


# Codes of what a key or an organization need not have.
_OPTIONAL = {"optional_scope", "not_enrolled"}


def of(connection: Connection) -> list[FeedHealth]:
    """Every feed in the connector's order, with three queries however many there are."""
    windows = SyncWindow.objects.filter(run__connection=connection)
    tries: dict[str, dict[str, Any]] = {
        row["feed"]: dict(row)
        for row in windows.filter(attempts__gt=0)
        .values("feed")
        .annotate(
            run=Max("run"),
            last_try_at=Max("started_at"),
            last_success_at=Max("finished_at", filter=Q(state__in=_GOOD)),
        )
        .order_by()
    }
    last_runs = {row["run"] for row in tries.values()}
    parts: dict[tuple[str, int], list[SyncWindow]] = defaultdict(list)
    for window in windows.filter(run__in=last_runs).select_related("run").order_by("position"):
        parts[window.feed, window.run_id].append(window)
    reach: dict[str, dict[str, Any]] = {
        row["feed"]: dict(row)
        for row in FeedDay.objects.filter(connection=connection)
        .values("feed")
        .annotate(
            watermark=Max("watermark"),
            newest=Max("day"),
            complete=Max("day", filter=~Q(state=FeedDay.State.INCOMPLETE)),
            kept=Sum("kept_out"),
            spoilt=Count("pk", filter=Q(kept_out__gt=0)),
            reason=Max("kept_out_reason"),
        )
        .order_by()
    }
    return [
        _health(
            connection,
            feed,
            tries.get(asked),
            parts[asked, tries[asked]["run"]] if asked in tries else [],
            reach.get(feed.name, {}),
        )
        for feed in connection.connector.feeds
        for asked in [feed.filled_by or feed.name]
    ]


def _health(
    connection: Connection,
    feed: Feed,
    tried: dict[str, Any] | None,
    parts: list[SyncWindow],
    reach: dict[str, Any],
) -> FeedHealth:
    last_success: datetime | None = tried["last_success_at"] if tried else None
    is_late = last_success is None or timezone.now() - last_success > _PATIENCE
    problem = None if connection.is_disconnected else _problem(parts, is_late=is_late)
    status = _status(connection, parts, problem, is_tried=tried is not None, is_late=is_late)
    # What stops all feeds stands above them, with what to do about it.
    repair = problem.error_repair if problem and status is not overview.ACTION_NEEDED else ""
    return FeedHealth(
        name=feed.name,
        label=feed.label,
        status=status,
        complete_to_instant=reach.get("watermark"),
        complete_to_day=reach.get("newest" if feed.is_newest_only else "complete"),
        last_try_at=tried["last_try_at"] if tried else None,
        last_success_at=last_success,
        requests=sum(part.requests for part in parts) if tried else None,
        rows=sum(part.rows for part in parts) if tried else None,
        error=problem.error if problem else "",
        repair=repair,
        outlook=_outlook(connection, status),
        request_id=problem.request_id if problem else "",
        run_id=tried["run"] if tried else None,
        kept_out=_kept_out(reach),
    )


def _kept_out(reach: dict[str, Any]) -> str:
    if not reach.get("kept"):
        return ""
    rows, days = reach["kept"], reach["spoilt"]
    return (
        f"{rows:,} row{'' if rows == 1 else 's'} of {days:,} day{'' if days == 1 else 's'} "
        f"{'is' if rows == 1 else 'are'} kept out, so "
        f"{'this day is' if days == 1 else 'these days are'} incomplete. {reach['reason']}"
    )


def _problem(parts: list[SyncWindow], *, is_late: bool) -> SyncWindow | None:
    """Return the current problem. Days not published yet are one only when it lasts."""
    states = {SyncWindow.State.FAILED, SyncWindow.State.PENDING}
    if is_late:
        states.add(SyncWindow.State.UNAVAILABLE)
    return next(
        (p for p in parts if p.state in states and p.error and p.error_code != "stopped"), None
    )


def _status(
    connection: Connection,
    parts: list[SyncWindow],
    problem: SyncWindow | None,
    *,
    is_tried: bool,
    is_late: bool,
) -> Status:
    if connection.is_disconnected:
        deleting = connection.state == Connection.State.DELETING
        return overview.DELETING if deleting else overview.DISCONNECTED
    if problem is not None and problem.state == SyncWindow.State.FAILED:
        return overview.FAILED
    if problem is not None and problem.state == SyncWindow.State.PENDING:
        if connection.state == Connection.State.ACTION_NEEDED:
            return overview.ACTION_NEEDED
        return overview.PAUSED if problem.error_code == "rate_limited" else overview.DELAYED
    is_stopped = connection.state == Connection.State.ACTION_NEEDED
    if any(part.state not in SyncWindow.FINISHED for part in parts):
        return overview.WAITING if is_stopped or _is_paused(parts) else overview.RUNNING
    if not is_tried:
        return overview.WAITING if is_stopped else overview.QUEUED
    if problem is not None and problem.error_code in _OPTIONAL:
        return overview.UNAVAILABLE  # the key was never meant to read it: nothing is late
    return overview.DELAYED if is_late else overview.UP_TO_DATE


def _is_paused(parts: list[SyncWindow]) -> bool:
    """Whether their whole run waits, and none of them is being read meanwhile."""
    wait_until = parts[0].run.not_before
    reading = any(part.state == SyncWindow.State.RUNNING for part in parts)
    return wait_until is not None and wait_until > timezone.now() and not reading


def _outlook(connection: Connection, status: Status) -> str:
    if status is overview.UP_TO_DATE or connection.is_disconnected:
        return ""
    if connection.state == Connection.State.ACTION_NEEDED:
        return "Resumes automatically"
    if status is overview.DELAYED:
        return "Read again with the next refresh"
    return ""
