"""What workers do. Every task is short, safe to run twice and safe to lose.

The database knows what is due; `tick` looks there twice a minute, so that a lost message costs
half a minute and nothing else.
"""

import logging

from celery import Task, shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import broker
from integrations import deletion, notices, planning, sync
from integrations.models import Connection, SyncRun

logger = logging.getLogger(__name__)

_ERASE_SECONDS = 5.0
_MOST_CALLS = 20  # that wait for workers at a time: each is followed by the next


@shared_task
def tick() -> None:
    """Start refreshes that are due, and wake runs that nobody works on."""
    now = sync.database_now()
    sync.close_finished_runs()
    for connection in sync.due_refreshes(now):
        sync.plan_refresh(connection, today=now.date())
    waiting = broker.waiting(work_off)
    for _ in range(min(len(sync.runs_to_wake(now)), _MOST_CALLS) - waiting):
        work_off.delay()
    for connection in Connection.objects.filter(state=Connection.State.DELETING):
        delete_connection.delay(connection_id=connection.pk)


@shared_task
def start_comparisons() -> None:
    """Have the ways in which each provider can be asked compared once a day."""
    for connection in sync.due_for_comparison(timezone.now().date()):
        compare_ways.apply_async(kwargs={"connection_id": connection.pk}, expires=3600)


@shared_task
def compare_ways(*, connection_id: int) -> None:
    """Compare the ways in which the provider of a connection can be asked."""
    connection = Connection.objects.filter(pk=connection_id, state=Connection.State.ACTIVE).first()
    if connection is not None:
        sync.compare_ways(connection, today=timezone.now().date())


@shared_task
def prune() -> None:
    """Keep the sync log from growing without end."""
    planning.prune(timezone.now())


@shared_task
def tell() -> None:
    """Tell who manages connections what happened to them; once, however often this runs."""
    notices.look(timezone.now())


@shared_task
def work_off() -> None:
    """Read one window of the organization whose turn it is.

    A message names no run: it calls a worker, who looks for whose turn it is by then.
    """
    window = sync.claim_next(sync.database_now())
    if window is None:
        return
    sync.perform(window)
    work_off.delay()  # finds nothing if every run has to wait: tick calls a worker then


@shared_task
def delete_connection(*, connection_id: int) -> None:
    """Erase a connection and its history piece by piece; goes on where it was stopped.

    A large one makes way for other work every few seconds.
    """
    if not deletion.erase(connection_id, seconds=_ERASE_SECONDS):
        delete_connection.delay(connection_id=connection_id)


def wake(run: SyncRun) -> None:
    """Ask a worker to start on the run now. Without a broker, `tick` will."""
    _send(work_off)


def wake_deletion(connection_id: int) -> None:
    """Ask a worker to start erasing now. Without a broker, `tick` will."""
    _send(delete_connection, connection_id=connection_id)


def _send(task: Task[..., None], **arguments: int) -> None:
    try:
        task.apply_async(kwargs=arguments, retry=False)
    except OperationalError:
        logger.warning("The broker does not answer; %s starts with the next tick", task.name)
