"""Decides what is due, reads it window by window, and writes down how it went.

A run is planned as rows, then worked off one window at a time. Whoever works (a Celery worker, a
command) claims a window under a lease and renews it while alive; what a killed worker leaves
behind is claimed again as soon as its lease has run out. Nothing here needs the broker.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import Min, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from integrations import loading, pacing
from integrations.connectors.base import (
    Access,
    ActionNeeded,
    ConnectorError,
    Feed,
    NotAvailable,
    PayloadError,
    Request,
    SnapshotMoved,
    TransientError,
)
from integrations.encryption import UnreadableSecret
from integrations.models import Connection, FeedDay, SyncRun, SyncWindow
from integrations.window import Window

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
_RENEW_SECONDS = 15
_RESTARTS = 3  # of one window when new data is published while it is read
_LONGEST_PAUSE = timedelta(minutes=15)


class LeaseLost(Exception):
    """Someone else has taken the window, or the connection was switched off meanwhile."""


# --- Planning ------------------------------------------------------------------------------


def plan_import(
    connection: Connection, *, today: date, days: int | None = None, actor: User | None = None
) -> SyncRun:
    """Plan the first import: the newest `days` days, or as many as the provider still has."""
    connector = connection.connector
    earliest = connector.earliest_day(today)
    window = Window.last(days, today=today) if days else Window(earliest, today + timedelta(1))
    window = window.not_before(earliest) or Window.last(1, today=today)
    return plan(connection, SyncRun.Kind.IMPORT, window, actor=actor)


def plan_refresh(
    connection: Connection,
    *,
    today: date,
    kind: str = SyncRun.Kind.REFRESH,
    actor: User | None = None,
) -> SyncRun:
    """Plan to read again what can still have changed, and what is missing since the import."""
    needed = {
        feed.name: _days_to_read(connection, feed, today) for feed in connection.connector.feeds
    }
    days = [day for found in needed.values() for day in found]
    window = Window(min(days), max(days) + timedelta(1))
    return plan(connection, kind, window, actor=actor, days=needed)


def plan(
    connection: Connection,
    kind: str,
    window: Window,
    *,
    actor: User | None = None,
    days: dict[str, list[date]] | None = None,
) -> SyncRun:
    """Store a run over `window` and its windows; an active run is returned instead of a second.

    `days` limits each feed to some days. Order: feed by feed as the connector lists them, newest
    days first, so that the screen fills early.
    """
    feeds = connection.connector.feeds
    cuts: list[tuple[Feed, Window]] = []
    for feed in feeds:
        spans = [window] if days is None else list(_spans(days[feed.name]))
        if not feed.has_days and spans:
            spans = [Window.last(1, today=max(span.last_day for span in spans))]
        for span in sorted(spans, reverse=True):
            cuts += [(feed, part) for part in span.split(feed.window_days)]
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                connection=connection,
                kind=kind,
                start=window.start,
                end=window.end,
                requested_by=actor,
            )
            SyncWindow.objects.bulk_create(
                SyncWindow(
                    run=run, feed=feed.name, start=part.start, end=part.end, position=position
                )
                for position, (feed, part) in enumerate(cuts)
            )
    except IntegrityError:
        active = active_run(connection)
        if active is None:
            raise
        return active
    return run


def active_run(connection: Connection) -> SyncRun | None:
    return SyncRun.objects.filter(connection=connection, state=SyncRun.State.ACTIVE).first()


def _days_to_read(connection: Connection, feed: Feed, today: date) -> list[date]:
    """The open period, and older days that are unknown or were not read since they closed.

    A day the provider refused is asked for again once a day.
    """
    recent = feed.refresh_days(today)
    if not feed.has_days:  # names are read once a day
        read = FeedDay.objects.filter(connection=connection, feed=feed.name, day=today)
        return [] if read.exists() else [today]
    first = SyncRun.objects.filter(connection=connection).aggregate(first=Min("start"))["first"]
    days = set(recent)
    if first is not None and first < recent.start:
        older = Window(max(first, connection.connector.earliest_day(today)), recent.start)
        closed = set(
            FeedDay.objects.filter(
                connection=connection,
                feed=feed.name,
                day__gte=older.start,
                day__lt=older.end,
                state=FeedDay.State.FINAL,
            ).values_list("day", flat=True)
        )
        refused = SyncWindow.objects.filter(
            run__connection=connection,
            feed=feed.name,
            state=SyncWindow.State.UNAVAILABLE,
            finished_at__gte=timezone.now() - timedelta(days=1),
        ).values_list("start", "end")
        asked = {day for start, end in refused for day in Window(start, end)}
        days |= set(older) - closed - asked
    return sorted(days)


def _spans(days: list[date]) -> Iterator[Window]:
    """Cover sorted days by as few windows as have no other days in them."""
    start = previous = None
    for day in days:
        if previous is None or day - previous > timedelta(days=1):
            if start is not None and previous is not None:
                yield Window(start, previous + timedelta(days=1))
            start = day
        previous = day
    if start is not None and previous is not None:
        yield Window(start, previous + timedelta(days=1))


# --- Working -------------------------------------------------------------------------------


def claim(run: SyncRun, *, now: datetime | None = None) -> SyncWindow | None:
    """Take the run's next window under a lease; None if none is ready or one is being worked on.

    One window of a run at a time: the request budget is one per provider organization, so two
    would only wait for each other.
    """
    now = now or timezone.now()
    with transaction.atomic():
        locked = (
            SyncRun.objects.select_for_update()
            .filter(
                pk=run.pk, state=SyncRun.State.ACTIVE, connection__state=Connection.State.ACTIVE
            )
            .first()
        )
        if locked is None:
            return None
        if locked.windows.filter(state=SyncWindow.State.RUNNING, leased_until__gt=now).exists():
            return None
        window = (
            locked.windows.filter(
                Q(state=SyncWindow.State.RUNNING)
                | Q(state=SyncWindow.State.PENDING, not_before__isnull=True)
                | Q(state=SyncWindow.State.PENDING, not_before__lte=now)
            )
            .order_by("position")
            .first()
        )
        if window is None:
            return None
        window.state = SyncWindow.State.RUNNING
        window.attempts += 1
        window.lease = uuid4()
        window.leased_until = now + LEASE
        window.started_at = now
        window.not_before = None
        window.save()
    return window


def perform(window: SyncWindow, *, patient: bool = True) -> None:
    """Read and store one claimed window and write down the outcome. Raises nothing of providers.

    `patient` False marks a window failed that a patient worker would try again later.
    """
    connection = Connection.objects.select_related("organization").get(runs__windows=window)
    feed = connection.connector.feed(window.feed)
    try:
        if feed is None:
            raise PayloadError(f"This release no longer reads {window.feed}.", code="unknown_feed")
        with _renewed_lease(window):
            loaded = _read_and_store(connection, feed, window)
    except LeaseLost:
        logger.info("Window %s of run %s was taken over", window.pk, window.run_id)
        return
    except NotAvailable as exc:
        _finish(window, SyncWindow.State.UNAVAILABLE, exc)
    except ActionNeeded as exc:
        if exc.status in {403, 404} and _key_still_works(connection):
            _finish(window, SyncWindow.State.FAILED, exc)  # this feed alone is refused
        else:
            _pause_for_action(connection, window, exc)
    except UnreadableSecret as exc:
        repair = "Put the old key back into CREDENTIALS_KEYS, or replace the API key."
        problem = ActionNeeded(str(exc), code="unreadable_secret", repair=repair)
        _pause_for_action(connection, window, problem)
    except (TransientError, SnapshotMoved) as exc:
        if patient:
            _retry_later(window, exc)
        else:
            _finish(window, SyncWindow.State.FAILED, exc)
    except ConnectorError as exc:
        logger.error("Window %s failed: %s", window.pk, exc)
        _finish(window, SyncWindow.State.FAILED, exc)
    except Exception:
        logger.exception("Window %s failed", window.pk)
        ours = ConnectorError(
            "Spendglass failed to store these days. The days before and after are not affected.",
            code="internal",
            repair="Report it with the log of the worker; the next refresh tries again.",
        )
        _finish(window, SyncWindow.State.FAILED, ours)
    else:
        unchanged = loaded.unchanged_export or not loaded.changed
        state = SyncWindow.State.UNCHANGED if unchanged else SyncWindow.State.DONE
        window.rows = loaded.rows
        window.rows_written = loaded.rows_written
        window.watermark = loaded.watermark
        _finish(window, state, None)


def _read_and_store(connection: Connection, feed: Feed, window: SyncWindow) -> loading.Loaded:
    """Read the window; start over a few times when new data is published meanwhile."""
    reach = access(connection, observe=_counter(window))
    with connection.connector.open(reach) as client:
        for restart in range(_RESTARTS):
            pages = feed.read(client, window.window)
            try:
                return loading.load(
                    connection, feed, window.window, pages, fence=lambda: _hold(window)
                )
            except SnapshotMoved:
                if restart + 1 == _RESTARTS:
                    raise
        raise AssertionError("unreachable")


def access(
    connection: Connection, *, observe: Callable[[Request], None] = lambda request: None
) -> Access:
    """This connection's key and its share of the request budget."""
    connector = connection.connector
    credential = connection.credential
    if credential is None:
        raise LeaseLost("The connection has no key any more.")
    return Access(
        key=credential.reveal(),
        base_url=connector.base_url,
        wait_turn=pacing.turnstile(
            connector, connection.provider_organization_id or f"connection-{connection.pk}"
        ),
        observe=observe,
    )


def _key_still_works(connection: Connection) -> bool:
    """Tell a key that lost its rights from one endpoint that is not open to it."""
    try:
        connection.connector.probe(access(connection), today=timezone.now().date())
    except ConnectorError:
        return False
    return True


def _counter(window: SyncWindow) -> Callable[[Request], None]:
    def count(request: Request) -> None:
        window.requests += 1
        window.request_id = request.request_id[:100]
        logger.info(
            "%s %s?%s %s %s %.2fs",
            request.method,
            request.path,
            request.query,
            request.status,
            request.request_id,
            request.duration_seconds,
        )

    return count


@contextmanager
def _renewed_lease(window: SyncWindow) -> Iterator[None]:
    """Keep the lease alive from a thread of its own for as long as this process lives."""
    done = threading.Event()

    def renew() -> None:
        try:
            while not done.wait(_RENEW_SECONDS):
                _mine(window).update(leased_until=timezone.now() + LEASE, requests=window.requests)
        except Exception:
            logger.exception("The lease of window %s could not be renewed", window.pk)
        finally:
            database.close()

    thread = threading.Thread(target=renew, name=f"lease-{window.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _mine(window: SyncWindow) -> QuerySet[SyncWindow]:
    return SyncWindow.objects.filter(
        pk=window.pk, lease=window.lease, state=SyncWindow.State.RUNNING
    )


def _hold(window: SyncWindow) -> None:
    """Fence for the writing transaction: lock our claim on the window, or raise `LeaseLost`."""
    held = _mine(window).select_for_update().first()
    if held is None:
        raise LeaseLost(f"window {window.pk}")


# --- Outcomes ------------------------------------------------------------------------------


def _finish(window: SyncWindow, state: str, problem: ConnectorError | None) -> None:
    _save_outcome(window, state, problem, finished_at=timezone.now())
    settle(window.run)


def _retry_later(window: SyncWindow, problem: ConnectorError) -> None:
    """Put the window back; the wait grows with each attempt, or is what the provider asked."""
    backoff = min(timedelta(seconds=15 * 2 ** min(window.attempts - 1, 6)), _LONGEST_PAUSE)
    asked = getattr(problem, "retry_after_seconds", None)
    pause = max(backoff, timedelta(seconds=asked)) if asked else backoff
    _save_outcome(window, SyncWindow.State.PENDING, problem, not_before=timezone.now() + pause)


def _pause_for_action(connection: Connection, window: SyncWindow, problem: ActionNeeded) -> None:
    """The key is refused: say so on the connection, keep the window for the next key."""
    _save_outcome(window, SyncWindow.State.PENDING, problem)
    Connection.objects.filter(pk=connection.pk, state=Connection.State.ACTIVE).update(
        state=Connection.State.ACTION_NEEDED,
        problem=str(problem),
        problem_code=problem.code,
        problem_repair=problem.repair,
        problem_since=timezone.now(),
    )


def _save_outcome(
    window: SyncWindow,
    state: str,
    problem: ConnectorError | None,
    *,
    not_before: datetime | None = None,
    finished_at: datetime | None = None,
) -> None:
    """Write the outcome if the claim is still ours; otherwise its new owner will."""
    outcome = {
        "state": state,
        "lease": None,
        "leased_until": None,
        "not_before": not_before,
        "finished_at": finished_at,
        "requests": window.requests,
        "rows": window.rows,
        "rows_written": window.rows_written,
        "watermark": window.watermark,
        "error": str(problem) if problem else "",
        "error_code": problem.code if problem else "",
        "error_repair": problem.repair if problem else "",
        "request_id": (problem.request_id if problem else "") or window.request_id,
    }
    _mine(window).update(**outcome)
    for name, value in outcome.items():
        setattr(window, name, value)


def settle(run: SyncRun) -> None:
    """Close the run when every window is finished, and set when the next refresh is due."""
    with transaction.atomic():
        locked = SyncRun.objects.select_for_update().get(pk=run.pk)
        if locked.state != SyncRun.State.ACTIVE:
            return
        if locked.windows.exclude(state__in=SyncWindow.FINISHED).exists():
            return
        failed = locked.windows.filter(state=SyncWindow.State.FAILED).exists()
        locked.state = SyncRun.State.FAILED if failed else SyncRun.State.DONE
        locked.finished_at = timezone.now()
        locked.save()
        Connection.objects.filter(pk=locked.connection_id).update(
            next_sync_at=timezone.now() + settings.SYNC_INTERVAL
        )


def stop(connection: Connection) -> None:
    """End the active run; a worker in the middle of a window stores nothing of it."""
    with transaction.atomic():
        for run in SyncRun.objects.select_for_update().filter(
            connection=connection, state=SyncRun.State.ACTIVE
        ):
            run.windows.exclude(state__in=SyncWindow.FINISHED).update(
                state=SyncWindow.State.FAILED,
                lease=None,
                leased_until=None,
                finished_at=timezone.now(),
                error="Stopped, because the connection was disconnected.",
                error_code="stopped",
            )
            run.state = SyncRun.State.STOPPED
            run.finished_at = timezone.now()
            run.save()


def work(
    run: SyncRun, *, wait: Callable[[float], None], patient: bool = False
) -> Iterator[SyncWindow]:
    """Work off the run in this process, yielding each window as it is finished.

    Impatient: somebody watches. `wait` is called with seconds while another worker holds the
    run's window.
    """
    while True:
        window = claim(run)
        if window is not None:
            perform(window, patient=False)
            yield window
            continue
        run.refresh_from_db()
        connection = Connection.objects.get(pk=run.connection_id)
        if run.state != SyncRun.State.ACTIVE or connection.state != Connection.State.ACTIVE:
            return
        wait(1)


# --- What is due ---------------------------------------------------------------------------


def due_refreshes(now: datetime) -> list[Connection]:
    """Connections whose refresh is due and that no run is working on."""
    return list(Connection.objects.due(now).exclude(runs__state=SyncRun.State.ACTIVE))


def runs_to_wake(now: datetime) -> list[SyncRun]:
    """Active runs nobody is working on right now although something is ready."""
    waiting = SyncWindow.objects.filter(
        Q(state=SyncWindow.State.PENDING, not_before__isnull=True)
        | Q(state=SyncWindow.State.PENDING, not_before__lte=now)
        | Q(state=SyncWindow.State.RUNNING, leased_until__lte=now)
    )
    held = SyncWindow.objects.filter(state=SyncWindow.State.RUNNING, leased_until__gt=now)
    return list(
        SyncRun.objects.filter(
            state=SyncRun.State.ACTIVE, connection__state=Connection.State.ACTIVE
        )
        .filter(pk__in=waiting.values("run"))
        .exclude(pk__in=held.values("run"))
    )


def close_finished_runs() -> None:
    """Settle runs whose last worker died between its last window and closing the run."""
    open_windows = SyncWindow.objects.exclude(state__in=SyncWindow.FINISHED)
    for run in SyncRun.objects.filter(state=SyncRun.State.ACTIVE).exclude(
        pk__in=open_windows.values("run")
    ):
        settle(run)
