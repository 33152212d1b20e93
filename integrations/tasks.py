"""Tasks of workers. Every task is short, idempotent and safe to lose.

The database knows what is due; `tick` looks there twice a minute, so that a lost message costs
half a minute and nothing else.
"""

import logging

from celery import Task, shared_task
from django.core.cache import cache
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import broker
from integrations import deletion, notices, sync
from integrations.models import Connection, SyncRun
from integrations.sync import planning

logger = logging.getLogger(__name__)

_ERASE_SECONDS = 5.0
_MOST_CALLS = 20  # that wait for workers at a time: each is followed by the next
_COMPARING = "comparing-ways"
_COMPARING_SECONDS = 900  # until a worker that compares is taken for dead


@shared_task
def tick() -> None:
    """Start due refreshes and wake runs that no worker reads."""
    now = sync.database_now()
    sync.close_finished_runs()
    for connection in sync.due_refreshes(now):
        sync.plan_refresh(connection, today=now.date())
    waiting = broker.waiting(run_windows)
    for _ in range(min(len(sync.runs_to_wake(now)), _MOST_CALLS) - waiting):
        run_windows.delay()
    for connection in Connection.objects.filter(state=Connection.State.DELETING):
        delete_connection.delay(connection_id=connection.pk)


@shared_task
def start_comparisons() -> None:
    """Have the ways in which each provider can be asked compared once a day."""
    if sync.due_for_comparison(sync.database_now().date()):
        compare_ways.delay(after=0)


@shared_task
def compare_ways(*, after: int) -> None:
    """Compare the ways in which one provider can be asked, then call for the next connection.

    One after the other by their ids, `after` the last: however many connections there are, at most
    one of the workers that read windows is busy with this, and windows have their turn in between.
    """
    today = sync.database_now().date()
    due = sync.due_for_comparison(today)
    connection = next((one for one in due if one.pk > after), None)
    # Redis may lose this: then two are compared at the same time, once.
    if connection is None or not cache.add(_COMPARING, connection.pk, _COMPARING_SECONDS):
        return  # another worker is at it, and goes on
    try:
        sync.compare_ways(connection, today=today)
    finally:
        cache.delete(_COMPARING)
    _send(compare_ways, after=connection.pk)


@shared_task
def prune() -> None:
    """Keep the sync log from growing without end."""
    planning.prune(timezone.now())


@shared_task
def detect_events() -> None:
    """Tell who manages connections what happened to them; once, however often this runs."""
    notices.detect(timezone.now())


@shared_task
def run_windows() -> None:
    """Read one window of the organization whose turn it is.

    A message names no run: it calls a worker, who looks for whose turn it is by then.
    """
    window = sync.claim_next(sync.database_now())
    if window is None:
        return
    sync.run_window(window)
    run_windows.delay()  # finds nothing if every run has to wait: tick calls a worker then


@shared_task
def delete_connection(*, connection_id: int) -> None:
    """Erase a connection and its history piece by piece; goes on where it was stopped.

    A large one makes way for other work every few seconds.
    """
    if not deletion.delete_history(connection_id, seconds=_ERASE_SECONDS):
        delete_connection.delay(connection_id=connection_id)


def enqueue_runs(run: SyncRun) -> None:
    """Ask a worker to start on the run now. Without a broker, `tick` will."""
    _send(run_windows)


def wake_deletion(connection_id: int) -> None:
    """Ask a worker to start erasing now. Without a broker, `tick` will."""
    _send(delete_connection, connection_id=connection_id)


def _send(task: Task[..., None], **arguments: int) -> None:
    try:
        task.apply_async(kwargs=arguments, retry=False)
    except OperationalError:
        logger.warning("The broker does not answer; %s starts with the next tick", task.name)
