"""Read planned windows one by one and store their outcome.

A run is planned as rows (`planning.py`). A worker (a Celery worker, a command) claims a window
under a lease and renews it while alive; the window of a killed worker is claimed again as soon as
its lease has expired. Nothing here needs the broker.
"""

import errno
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db import connection as database
from django.db.models import Case, Count, F, Max, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils import timezone
from psycopg.errors import DiskFull

from integrations import loading
from integrations.connectors import connectors
from integrations.connectors.base import (
    NOTE,
    Access,
    ActionNeeded,
    AskDifferently,
    ConnectorError,
    Feed,
    NotAvailable,
    PayloadError,
    Request,
    SnapshotMoved,
    TransientError,
    asks_alike,
)
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import Page
from integrations.data_start import refuse_if_before_data
from integrations.encryption import UnreadableSecret
from integrations.models import Connection, FeedDay, SyncRun, SyncWindow
from integrations.sync import planning, rate_limit
from integrations.sync.planning import active_run as active_run
from integrations.sync.planning import clear_watermarks, plan_rechecks
from integrations.sync.planning import plan as plan
from integrations.sync.planning import plan_import as plan_import
from integrations.sync.planning import plan_refresh as plan_refresh

logger = logging.getLogger(__name__)

COMPARED_ON = f"{NOTE}compared_on"  # the day of the last `compare_ways`, an option of a connection
_QUEUED_ON = f"{NOTE}queued_on"  # the last day on which days not read were queued, likewise
_QUEUED_FOR = f"{NOTE}queued_for"  # what was answered again then, likewise
_BETWEEN_QUEUES = timedelta(days=30)
LEASE = timedelta(seconds=45)
_RENEW_SECONDS = 15
_RESTARTS = 3  # of one window when new data is published while it is read
_MOST_REFUSALS = 20  # of one window: each leads to a smaller question
_NEVER = datetime.min.replace(tzinfo=UTC)
_LONGEST_PAUSE = timedelta(minutes=15)
_MAX_ATTEMPTS = 8  # of one window while others are read: about half an hour
_WRITE_AGAIN_SECONDS = 5.0  # between attempts to write an outcome down
_MAX_WORKER_DEATHS = 5  # that one window may take with it; people who kill them do so less often
# Whatever is asked next would have to wait, too.
_RUN_WIDE_CODES = {"rate_limited", "no_turn", "database", "disk_full"}


class LeaseLost(Exception):
    """Someone else has taken the window, or the connection was switched off meanwhile."""


# --- Working -------------------------------------------------------------------------------


def claim(run: SyncRun, *, now: datetime | None = None) -> SyncWindow | None:
    """Claim the run's next window under a lease; None if none is ready or one is being read.

    One window of a run at a time: the request budget is one per provider organization, so two would
    only wait for each other. Feeds with problems come last, so that they delay no other feed. A
    window locked by a frozen worker is skipped without waiting.
    """
    now = now or database_now()
    with transaction.atomic():
        locked = (
            SyncRun.objects.select_for_update(no_key=True, of=("self",), skip_locked=True)
            .filter(_is_due(now), pk=run.pk, connection__state=Connection.State.ACTIVE)
            .first()
        )
        if locked is None:
            return None
        if locked.windows.filter(state=SyncWindow.State.RUNNING, leased_until__gt=now).exists():
            return None
        gave_up = _fail_poison_windows(locked, now)
        troubled = locked.windows.filter(state=SyncWindow.State.PENDING).exclude(error_code="")
        window = (
            locked.windows.select_for_update(no_key=True, of=("self",), skip_locked=True)
            .filter(_is_ready(now))
            .alias(trouble=Case(When(feed__in=troubled.values("feed"), then=1), default=Value(0)))
            .order_by("trouble", "position")
            .first()
        )
        if window is not None:
            _start_window(window, now)
    if window is None and gave_up:
        close_if_done(run)
    return window


def database_now() -> datetime:
    """Return the database's time, since a worker's fast clock would end every lease."""
    with database.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def claim_next(now: datetime) -> SyncWindow | None:
    """Take a window of the organization whose turn it is; None if no organization has one ready.

    First who has the fewest windows in work, then who got one longest ago, so that an organization
    of 5,000 people and many connections gets as many turns as one of five. None has more than
    `IMPORTS_PER_ORGANIZATION` windows in work, which leaves a worker to the others.
    """
    for run in _in_turn(now):
        window = claim(run, now=now)
        if window is not None:
            return window
    return None


def _in_turn(now: datetime) -> list[SyncRun]:
    """Return runs with a ready window, those of the organization whose turn it is first."""
    ready = runs_to_wake(now)
    organizations = {run.connection.organization_id for run in ready}
    windows = SyncWindow.objects.filter(
        run__connection__organization__in=organizations, run__state=SyncRun.State.ACTIVE
    ).values("run__connection__organization")
    working = Q(state=SyncWindow.State.RUNNING, leased_until__gt=now)
    turns = {
        row["run__connection__organization"]: (row["working"], row["last"] or _NEVER)
        for row in windows.annotate(working=Count("pk", filter=working), last=Max("started_at"))
    }
    served = dict(
        SyncRun.objects.filter(pk__in=[run.pk for run in ready])
        .annotate(last=Max("windows__started_at"))
        .values_list("pk", "last")
    )

    def turn(run: SyncRun) -> tuple[int, datetime, datetime, int]:
        return (*turns[run.connection.organization_id], served[run.pk] or _NEVER, run.pk)

    most = settings.IMPORTS_PER_ORGANIZATION
    return sorted(
        (run for run in ready if turns[run.connection.organization_id][0] < most), key=turn
    )


def _start_window(window: SyncWindow, now: datetime) -> None:
    window.workers_lost += window.state == SyncWindow.State.RUNNING
    window.state = SyncWindow.State.RUNNING
    window.attempts += 1
    window.lease = uuid4()
    window.leased_until = now + LEASE
    window.started_at = now
    window.not_before = None
    window.save()


def _fail_poison_windows(run: SyncRun, now: datetime) -> int:
    """Fail what has taken too many workers with it; return how many windows that were.

    They would take every other worker as well.
    """
    return run.windows.filter(_lease_expired(now), workers_lost__gte=_MAX_WORKER_DEATHS - 1).update(
        state=SyncWindow.State.FAILED,
        lease=None,
        leased_until=None,
        finished_at=now,
        workers_lost=_MAX_WORKER_DEATHS,
        error=f"{_MAX_WORKER_DEATHS} workers stopped while reading these days. The days before "
        "and after are not affected.",
        error_code="workers_lost",
        error_repair="Look at the end of the worker's log: it may have run out of memory. The "
        "next refresh tries again.",
    )


def _is_due(now: datetime) -> Q:
    """Return a filter for runs whose delay is over."""
    return Q(state=SyncRun.State.ACTIVE) & (Q(not_before=None) | Q(not_before__lte=now))


def _is_ready(now: datetime) -> Q:
    """Windows that can be claimed: waiting ones whose time has come, and abandoned ones."""
    waiting = Q(not_before=None) | Q(not_before__lte=now)
    return Q(state=SyncWindow.State.PENDING) & waiting | _lease_expired(now)


def _lease_expired(now: datetime) -> Q:
    return Q(state=SyncWindow.State.RUNNING, leased_until__lte=now)


def run_window(window: SyncWindow, *, patient: bool = True) -> None:
    """Read and store one claimed window and write down the outcome. Raises nothing of providers.

    `patient` False marks a window failed that a patient worker would try again later.
    """
    note = _read_window(window, patient=patient)
    if note is not None:
        _write_down(window, note, patient=patient)


def _read_window(window: SyncWindow, *, patient: bool) -> Callable[[], None] | None:
    """Read and store the window; return what writes the outcome down, None if it is not ours."""
    connection = Connection.objects.select_related("organization").get(runs__windows=window)
    feed = connection.connector.feed(window.feed)
    try:
        if feed is None:
            raise PayloadError(f"This release no longer reads {window.feed}.", code="unknown_feed")
        with _renewed_lease(window):
            loaded = _read_and_store(connection, feed, window)
    except LeaseLost:
        logger.info("Window %s of run %s was taken over", window.pk, window.run_id)
        return None
    except NotAvailable as exc:
        return partial(_finish, window, SyncWindow.State.UNAVAILABLE, exc)
    except ActionNeeded as exc:
        return partial(_on_action_needed, connection, window, exc, patient=patient)
    except UnreadableSecret as exc:
        repair = "Put the old key back into CREDENTIALS_KEYS, or replace the API key."
        unreadable = ActionNeeded(str(exc), code="unreadable_secret", repair=repair)
        return partial(_pause_for_action, connection, window, unreadable)
    except (TransientError, SnapshotMoved) as exc:
        return partial(_wait_or_fail, window, exc, patient=patient)
    except (OperationalError, InterfaceError) as exc:
        # Down, restarted, full or out of locks: no fault of these days.
        logger.exception("The database failed while window %s was stored", window.pk)
        database.close()
        return partial(_retry_later, window, _database_problem(exc))
    except ConnectorError as exc:
        return partial(_on_rejected, connection, window, exc)
    except OSError as exc:
        logger.exception("Window %s could not be kept on disk", window.pk)
        if not _is_out_of_space(exc):
            return partial(_finish, window, SyncWindow.State.FAILED, _our_fault())
        return partial(_retry_later, window, _disk_full("The disk for temporary files", "TMPDIR"))
    except Exception:
        logger.exception("Window %s failed", window.pk)
        return partial(_finish, window, SyncWindow.State.FAILED, _our_fault())
    unchanged = loaded.unchanged_export or not loaded.changed
    window.rows = loaded.rows
    window.rows_written = loaded.rows_written
    window.watermark = loaded.watermark
    state = SyncWindow.State.UNCHANGED if unchanged else SyncWindow.State.DONE
    return partial(_finish, window, state, None)


def _write_down(window: SyncWindow, note: Callable[[], None], *, patient: bool) -> None:
    """Write the outcome down; while the database takes no writes, wait and try again.

    A full disk refuses this write as it refused the facts. Giving up here would leave the window
    to the next worker, who takes this one for dead: five such losses fail a window that nothing is
    wrong with. Nothing else can be stored meanwhile, so waiting keeps no other work back.
    """
    has_waited = False
    while not (has_waited and _was_taken_over(window)):
        try:
            note()
        except (OperationalError, InterfaceError):
            if not patient:
                raise
            logger.exception("The outcome of window %s cannot be written yet", window.pk)
            database.close()
            time.sleep(_WRITE_AGAIN_SECONDS)
            has_waited = True
        else:
            return


def _was_taken_over(window: SyncWindow) -> bool:
    """Return True if another worker has the window, so that this one is not counted as lost."""
    try:
        if _claimed(window).exists():
            return False
        lost = SyncWindow.objects.filter(pk=window.pk, workers_lost__gt=0)
        lost.update(workers_lost=F("workers_lost") - 1)
    except (OperationalError, InterfaceError):
        database.close()
        return False  # the next attempt to write tells
    return True


def _our_fault() -> ConnectorError:
    return ConnectorError(
        "Spendglass failed to store these days. The days before and after are not affected.",
        code="internal",
        repair="Report it with the log of the worker; the next refresh tries again.",
    )


def _database_problem(exc: Exception) -> TransientError:
    if isinstance(exc.__cause__, DiskFull):
        return _disk_full("The disk of the database", "its data directory")
    return TransientError(
        "The database did not answer.",
        code="database",
        repair="Reading resumes as soon as it is back.",
    )


def _disk_full(which: str, where: str) -> TransientError:
    return TransientError(
        f"{which} is full. Nothing that was stored is lost, and nothing new can be stored.",
        code="disk_full",
        repair=f"Ask the operator of Spendglass to free space or to enlarge the disk ({where}). "
        "Reading resumes automatically.",
    )


def _is_out_of_space(exc: OSError) -> bool:
    """Return True if the disk has no space, for which Python reports a missing temporary folder."""
    no_folder = isinstance(exc, FileNotFoundError) and exc.filename is None
    return no_folder or exc.errno in {errno.ENOSPC, errno.EDQUOT}


def _read_and_store(connection: Connection, feed: Feed, window: SyncWindow) -> loading.Loaded:
    """Read the window; start over a few times when new data is published meanwhile.

    And as often as the provider refuses a question and another one is known.
    """
    if window.run.kind != SyncRun.Kind.MANUAL:  # who names days wants these days
        refuse_if_before_data(connection, feed, window.window)
    reach = access(connection, observe=_counter(window), learn=_learner(connection, window))

    def store(feed: Feed, pages: Iterable[Page]) -> loading.Loaded:
        return loading.load(
            connection,
            feed,
            window.window,
            pages,
            fence=lambda: _lock_claim(window),
            anew=window.is_recheck,
        )

    others = connection.connector.filled_by(feed)
    with connection.connector.open(reach) as client:
        restarts = refusals = 0
        while True:
            beside: dict[str, list[Page]] = {other.name: [] for other in others}
            answered = _learning_ids(connection, feed.read(client, window.window))
            pages = _own(answered, beside)
            try:
                loaded = store(feed, pages)
                if loaded.unchanged_export:  # then not all was read
                    return loaded
                for other in others:
                    store(other, beside[other.name])
                return loaded
            except AskDifferently:
                refusals += 1
                if refusals == _MOST_REFUSALS:
                    raise
            except SnapshotMoved:
                restarts += 1
                if restarts == _RESTARTS:
                    raise


def _learning_ids(connection: Connection, pages: Iterator[Page]) -> Iterator[Page]:
    """Keep with the connection how answers spell its organization.

    Headers and bodies may spell it in different ways. A connection that does not know its
    organization yet leaves that to its test, which refuses one that is connected twice.
    """
    for page in pages:
        spelling = canonical_id(page.organization_id)
        if spelling and connection.organization_ids and spelling not in connection.organization_ids:
            with transaction.atomic():
                locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
                locked.other_organization_ids = sorted({*locked.other_organization_ids, spelling})
                locked.save(update_fields=["other_organization_ids"])
            connection.other_organization_ids = locked.other_organization_ids
        yield page


def _learner(connection: Connection, window: SyncWindow) -> Callable[[str, str, str], None]:
    """Keep with the connection what a read of this window learns about asking its provider."""

    def learn(name: str, value: str, table: str) -> None:
        logger.warning("%s: option %s=%s applies from now on", connection, name, value)
        with transaction.atomic():
            locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
            locked.options = {**locked.options, name: value}
            locked.save(update_fields=["options"])
            if table:
                _read_table_again(connection, window, table)
        connection.options = locked.options

    return learn


def _read_table_again(connection: Connection, window: SyncWindow, table: str) -> None:
    """Have this run read all of a table in the new cut: both sides of a day need the same."""
    feeds = [feed.name for feed in connection.connector.feeds if feed.table == table]
    days = window.run.start, window.run.end
    FeedDay.objects.filter(
        connection=connection, feed__in=feeds, day__gte=days[0], day__lt=days[1]
    ).update(watermark=None)
    SyncWindow.objects.filter(
        run=window.run_id,
        feed__in=feeds,
        state__in=[SyncWindow.State.DONE, SyncWindow.State.UNCHANGED],
    ).update(state=SyncWindow.State.PENDING, finished_at=None)


def _own(pages: Iterable[Page], beside: dict[str, list[Page]]) -> Iterator[Page]:
    """Yield the pages of the feed being read and set those of other feeds aside by name.

    A row that was kept out is missing in all of them.
    """
    for page in pages:
        if page.kept_out:
            lacking = replace(page, feed="", records=(), people=(), resources=())
            for name in {*beside} - {page.feed}:
                beside[name].append(lacking)
            if page.feed:
                yield lacking
        if page.feed:
            beside[page.feed].append(replace(page, feed=""))
        else:
            yield page


def access(
    connection: Connection,
    *,
    observe: Callable[[Request], None] = lambda request: None,
    learn: Callable[[str, str, str], None] = lambda name, value, table: None,
) -> Access:
    """Return the connection's key and its share of the request budget."""
    connector = connection.connector
    credential = connection.credential
    if credential is None:
        raise LeaseLost("The connection has no key any more.")
    limiter = rate_limit.RateLimiter(
        connector,
        connection.provider_organization_id,
        stand_in=f"connection-{connection.pk}",
    )

    def observed(request: Request) -> None:
        limiter.learn(request.organization_id)
        observe(request)

    return Access(
        key=credential.reveal(),
        base_url=connector.base_url,
        acquire=limiter,
        observe=observed,
        options=connection.options,
        learn=learn,
    )


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
        while not done.wait(_RENEW_SECONDS):
            try:
                _claimed(window).update(leased_until=Now() + LEASE, requests=window.requests)
            except Exception:  # a full disk or a restart: the next attempt may be in time
                logger.exception("The lease of window %s could not be renewed", window.pk)
                database.close()
        database.close()

    thread = threading.Thread(target=renew, name=f"lease-{window.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _claimed(window: SyncWindow) -> QuerySet[SyncWindow]:
    return SyncWindow.objects.filter(
        pk=window.pk, lease=window.lease, state=SyncWindow.State.RUNNING
    )


def _lock_claim(window: SyncWindow) -> None:
    """Fence for the writing transaction: lock our claim on the window, or raise `LeaseLost`."""
    held = _claimed(window).select_for_update(no_key=True).first()
    if held is None:
        raise LeaseLost(f"window {window.pk}")


# --- Outcomes ------------------------------------------------------------------------------


def _finish(window: SyncWindow, state: str, problem: ConnectorError | None) -> None:
    _save_outcome(window, state, problem, finished_at=timezone.now())
    close_if_done(window.run)


def _on_action_needed(
    connection: Connection, window: SyncWindow, problem: ActionNeeded, *, patient: bool
) -> None:
    """Stop the connection for a rejected key, or one feed for an endpoint that is closed.

    Both answer 403 or 404, so the key is tried elsewhere. That may find another way to ask.
    """
    if problem.status in {403, 404}:
        try:
            switched = _try_other_api_variant(connection, window)
        except ActionNeeded:
            pass
        except ConnectorError as unclear:
            _wait_or_fail(window, unclear, patient=patient)
            return
        else:
            if not switched:
                _close_feed(window, problem)
            return
    _pause_for_action(connection, window, problem)


def _on_rejected(connection: Connection, window: SyncWindow, problem: ConnectorError) -> None:
    """Fail the window, unless the question was refused and there is another way to ask."""
    if problem.status == 400 and not _was_refused_before(window, problem):
        try:
            if _try_other_api_variant(connection, window):
                return
        except ConnectorError:
            logger.info("No other API variant is available for window %s", window.pk)
    logger.error("Window %s failed: %s", window.pk, problem)
    _finish(window, SyncWindow.State.FAILED, problem)


def _was_refused_before(window: SyncWindow, problem: ConnectorError) -> bool:
    """Return True if other days of this feed failed alike in this run."""
    return window.run.windows.filter(
        feed=window.feed, state=SyncWindow.State.FAILED, error_code=problem.code
    ).exists()


def _try_other_api_variant(connection: Connection, window: SyncWindow) -> bool:
    """Test the connection; True if it wants to be asked in another way, and the window waits.

    Raises what the test raises.
    """
    reach = access(connection, observe=_counter(window))
    probe = connection.connector.probe(reach, today=timezone.now().date())
    if not switch_api_variant(connection, probe.options):
        return False
    _save_outcome(window, SyncWindow.State.PENDING, None)
    return True


def switch_api_variant(connection: Connection, options: Mapping[str, str]) -> bool:
    """Keep how the provider wants to be asked; True if that is new.

    Then the next refresh reads the open period anew.
    """
    before = connection.options
    if dict(options) == before:
        return False
    is_new = not asks_alike(options, before)
    with transaction.atomic():
        connection.options = dict(options)
        connection.save(update_fields=["options"])
        if is_new:
            logger.warning("%s: options are %s, were %s", connection, options, before)
            clear_watermarks(connection, today=timezone.now().date())
    return is_new


def due_for_comparison(today: date) -> list[Connection]:
    """Active connections whose ways to be asked were not compared today, by their ids."""
    active = Connection.objects.filter(
        state=Connection.State.ACTIVE, connector_slug__in=connectors()
    ).order_by("pk")
    return [one for one in active if one.options.get(COMPARED_ON) != today.isoformat()]


def compare_ways(connection: Connection, *, today: date) -> None:
    """Find out again how the provider wants to be asked, and note what its versions differ in.

    A newer version of a report may begin or cease to leave something out at any time, and what
    was refused may be answered by now: the next refresh then reads it. Raises nothing of
    providers: what is wrong with the key, the next sync says.
    """
    try:
        reach = replace(access(connection), retries_refused=True)
        probe = connection.connector.probe(reach, today=today)
    except (ConnectorError, LeaseLost) as problem:
        logger.info("%s: API variants were not compared: %s", connection, problem)
        return
    again = connection.connector.answered_again(connection.options, probe.options)
    switch_api_variant(connection, {**probe.options, COMPARED_ON: today.isoformat()})
    answered = {
        f"{table}|{name}|{value}"
        for table, fields in again.items()
        for name, values in fields.items()
        for value in values
    }
    _queue_days_not_read(connection, today, answered)


def _queue_days_not_read(connection: Connection, today: date, answered: set[str]) -> None:
    """Queue days that were stored in less detail than the provider answers for by now.

    `answered` is what was refused until today: table, field and value. Each is queued for at most
    once a month: where days of long ago are refused although those of today are not, each attempt
    ends as the one before.
    """
    last = connection.options.get(_QUEUED_ON, "")
    is_due = not last or date.fromisoformat(last) <= today - _BETWEEN_QUEUES
    queued_for = set(json.loads(connection.options.get(_QUEUED_FOR, "[]")))
    if not is_due and answered <= queued_for:
        return
    fields: dict[str, set[str]] = defaultdict(set)
    for one in answered | queued_for:
        table, name, _ = one.split("|", 2)
        fields[table].add(name)
    with transaction.atomic():
        if planning.queue_days_not_read(connection, today=today, answered_again=fields):
            kept = answered if is_due else answered | queued_for
            connection.options = {
                **connection.options,
                _QUEUED_ON: today.isoformat(),
                _QUEUED_FOR: json.dumps(sorted(kept)),
            }
            connection.save(update_fields=["options"])
            logger.warning("%s: days that were not read in full detail are queued", connection)


def _close_feed(window: SyncWindow, problem: ConnectorError) -> None:
    """Fail the rest of this feed as well: every window of it would be refused alike."""
    window.run.windows.filter(feed=window.feed, state=SyncWindow.State.PENDING).update(
        state=SyncWindow.State.FAILED, finished_at=timezone.now(), **_error_fields(problem)
    )
    _finish(window, SyncWindow.State.FAILED, problem)


def _wait_or_fail(window: SyncWindow, problem: ConnectorError, *, patient: bool) -> None:
    if patient:
        _retry_later(window, problem)
    else:
        _finish(window, SyncWindow.State.FAILED, problem)


def _retry_later(window: SyncWindow, problem: ConnectorError) -> None:
    """Put the window back; the wait grows with each attempt, or is what the provider asked.

    If another feed has to wait as well, or what is wrong is not about this feed, the whole run
    waits, however long. Where one feed alone does not answer, others go on, and in the end the
    next refresh has to try it.
    """
    backoff = min(timedelta(seconds=15 * 2 ** min(window.attempts - 1, 6)), _LONGEST_PAUSE)
    asked = getattr(problem, "retry_after_seconds", None)
    until = timezone.now() + (max(backoff, timedelta(seconds=asked)) if asked else backoff)
    others = window.run.windows.exclude(feed=window.feed).filter(
        state=SyncWindow.State.PENDING, not_before__gt=timezone.now()
    )
    everyone = problem.code in _RUN_WIDE_CODES or others.exists()
    if not everyone and window.attempts >= _MAX_ATTEMPTS:
        _finish(window, SyncWindow.State.FAILED, problem)
    elif _save_outcome(window, SyncWindow.State.PENDING, problem, not_before=until) and everyone:
        SyncRun.objects.filter(pk=window.run_id).update(not_before=until)


def _pause_for_action(connection: Connection, window: SyncWindow, problem: ActionNeeded) -> None:
    """Mark the connection's key as rejected and keep the window for the next key."""
    with transaction.atomic():
        current = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        ours = _save_outcome(window, SyncWindow.State.PENDING, problem)
        if not ours or current.credential != connection.credential:
            return  # the key was replaced while the old one was in use
        Connection.objects.filter(pk=connection.pk, state=Connection.State.ACTIVE).update(
            state=Connection.State.ACTION_NEEDED,
            problem=str(problem),
            problem_code=problem.code,
            problem_repair=problem.repair,
            problem_since=timezone.now(),
        )


def _error_fields(problem: ConnectorError | None) -> dict[str, str]:
    """Return the fields of a problem that a window stores."""
    return {
        "error": str(problem) if problem else "",
        "error_code": problem.code if problem else "",
        "error_repair": problem.repair if problem else "",
    }


def _save_outcome(
    window: SyncWindow,
    state: str,
    problem: ConnectorError | None,
    *,
    not_before: datetime | None = None,
    finished_at: datetime | None = None,
) -> bool:
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
        **_error_fields(problem),
        "request_id": (problem.request_id if problem else "") or window.request_id,
    }
    written = _claimed(window).update(**outcome)
    for name, value in outcome.items():
        setattr(window, name, value)
    return bool(written)


def close_if_done(run: SyncRun) -> None:
    """Close the run when every window is finished, and set when the next refresh is due."""
    with transaction.atomic():
        locked = SyncRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        if locked.state != SyncRun.State.ACTIVE:
            return
        if locked.windows.exclude(state__in=SyncWindow.FINISHED).exists():
            return
        if plan_rechecks(locked):
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
        for run in SyncRun.objects.select_for_update(no_key=True).filter(
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


def run_inline(
    run: SyncRun, *, wait: Callable[[float], None], patient: bool = False
) -> Iterator[SyncWindow]:
    """Read the windows of the run in this process and yield each one when finished.

    Delays are short, because a person watches. `wait` is called with seconds while another worker
    has the run's window.
    """
    while True:
        window = claim(run)
        if window is not None:
            run_window(window, patient=False)
            yield window
            continue
        run.refresh_from_db()
        connection = Connection.objects.get(pk=run.connection_id)
        if run.state != SyncRun.State.ACTIVE or connection.state != Connection.State.ACTIVE:
            return
        wait(1)


# --- What is due ---------------------------------------------------------------------------


def due_refreshes(now: datetime) -> list[Connection]:
    """Return connections whose refresh is due and that have no active run.

    What is stored under a connector that the settings no longer name waits for its return.
    """
    due = Connection.objects.due(now).filter(connector_slug__in=connectors())
    return list(due.exclude(runs__state=SyncRun.State.ACTIVE))


def runs_to_wake(now: datetime) -> list[SyncRun]:
    """Return active runs without a worker although a window is ready."""
    held = SyncWindow.objects.filter(state=SyncWindow.State.RUNNING, leased_until__gt=now)
    return list(
        SyncRun.objects.filter(_is_due(now), connection__state=Connection.State.ACTIVE)
        .filter(connection__connector_slug__in=connectors())
        .filter(pk__in=SyncWindow.objects.filter(_is_ready(now)).values("run"))
        .exclude(pk__in=held.values("run"))
        .select_related("connection")
    )


def close_finished_runs() -> None:
    """Settle runs whose last worker died between its last window and closing the run."""
    open_windows = SyncWindow.objects.exclude(state__in=SyncWindow.FINISHED)
    for run in SyncRun.objects.filter(state=SyncRun.State.ACTIVE).exclude(
        pk__in=open_windows.values("run")
    ):
        close_if_done(run)
