"""The sync log: every run of an organization, and what each of its parts did."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Q, QuerySet, Sum

from accounts.models import Organization
from integrations.models import Connection, SyncRun, SyncWindow
from integrations.status import words
from integrations.status.words import Status

RUNS_A_PAGE = 50
PARTS_A_PAGE = 200

RUN_WORDS: dict[str, Status] = {
    SyncRun.State.ACTIVE: words.RUNNING,
    SyncRun.State.DONE: words.DONE,
    SyncRun.State.FAILED: words.FAILED,
    SyncRun.State.STOPPED: words.STOPPED,
}
PART_WORDS: dict[str, Status] = {
    SyncWindow.State.PENDING: words.WAITING,
    SyncWindow.State.RUNNING: words.RUNNING,
    SyncWindow.State.DONE: words.DONE,
    SyncWindow.State.UNCHANGED: words.UNCHANGED,
    SyncWindow.State.UNAVAILABLE: words.UNAVAILABLE,
    SyncWindow.State.FAILED: words.FAILED,
}
# Parts of a run that was stopped carry a sentence, and nothing went wrong.
_TROUBLE = ~Q(error="") & ~Q(state=SyncWindow.State.UNAVAILABLE) & ~Q(error_code="stopped")
_READ = (SyncWindow.State.DONE, SyncWindow.State.UNCHANGED)


@dataclass(frozen=True)
class RunSummary:
    """One run. Parts are its windows: one feed over a few days."""

    run: SyncRun
    status: Status
    parts: int
    parts_done: int
    parts_read: int
    troubles: int
    requests: int
    rows: int

    @property
    def seconds(self) -> float | None:
        """How long it took, waiting included; None while it runs."""
        return _seconds(self.run.created_at, self.run.finished_at)


@dataclass(frozen=True)
class WindowSummary:
    """One feed over a few days, as one request sequence read it."""

    window: SyncWindow
    label: str
    status: Status

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took; None if it has not ended."""
        return _seconds(self.window.started_at, self.window.finished_at)


def connections_of(organization: Organization) -> list[str]:
    """Return the labels whose runs can be viewed, including deleted connections with history."""
    connections = Connection.objects.filter(organization=organization).order_by("label")
    return list(connections.values_list("label", flat=True))


def runs(
    organization: Organization, *, label: str = "", troubled: bool = False, page: str = "1"
) -> "Page[SyncRun]":
    """One page of runs, newest first. A page number that makes no sense is the nearest page."""
    matching = SyncRun.objects.filter(connection__organization=organization)
    if label:
        matching = matching.filter(connection__label=label)
    if troubled:
        matching = matching.filter(pk__in=SyncWindow.objects.filter(_TROUBLE).values("run"))
    matching = matching.select_related("connection", "requested_by").order_by("-created_at", "-pk")
    return Paginator(matching, RUNS_A_PAGE).get_page(page)


def entries(sync_runs: Iterable[SyncRun]) -> list[RunSummary]:
    """Return the runs with the sums of their windows, in one more query."""
    shown = list(sync_runs)
    sums: dict[int, dict[str, Any]] = {
        row["run"]: dict(row)
        for row in SyncWindow.objects.filter(run__in=shown)
        .values("run")
        .annotate(
            parts=Count("pk"),
            parts_done=Count("pk", filter=Q(state__in=SyncWindow.FINISHED)),
            parts_read=Count("pk", filter=Q(state__in=_READ)),
            troubles=Count("pk", filter=_TROUBLE),
            requests=Sum("requests"),
            rows=Sum("rows"),
        )
        .order_by()
    }
    names = ("parts", "parts_done", "parts_read", "troubles", "requests", "rows")
    return [
        RunSummary(
            run=run,
            status=RUN_WORDS[run.state],
            **{name: sums.get(run.pk, {}).get(name, 0) for name in names},
        )
        for run in shown
    ]


def windows(run: SyncRun, *, troubled: bool = False, page: str = "1") -> "Page[SyncWindow]":
    """One page of a run's parts in the order they are read."""
    matching: QuerySet[SyncWindow] = run.windows.order_by("position")
    if troubled:
        matching = matching.filter(_TROUBLE)
    return Paginator(matching, PARTS_A_PAGE).get_page(page)


def parts(run: SyncRun, sync_windows: Iterable[SyncWindow]) -> list[WindowSummary]:
    connector = run.connection.connector
    labels = {feed.name: feed.label for feed in connector.feeds}
    return [
        WindowSummary(window, labels.get(window.feed, window.feed), PART_WORDS[window.state])
        for window in sync_windows
    ]


def recent_failures(connection: Connection, limit: int = 10) -> list[SyncWindow]:
    """Return the newest failed windows, newest first."""
    failures = SyncWindow.objects.filter(_TROUBLE, run__connection=connection)
    return list(failures.order_by(F("started_at").desc(nulls_last=True), "-pk")[:limit])


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
