"""Tasks of workers for reports. Every task is idempotent and safe to lose."""

from celery import shared_task
from django.utils import timezone

from accounts import broker
from reports import exports
from reports.saved import delivery

_MOST_CALLS = 100  # of each kind that wait in the queue at a time


@shared_task
def tick() -> None:
    """Have every report mailed and every file made that is due. One that fails stops no other.

    While workers are away, what waits for them does not grow with each minute.
    """
    now = timezone.now()
    free = max(0, _MOST_CALLS - broker.waiting(make_file))
    for file_id in exports.due(now)[:free]:
        make_file.delay(file_id=file_id)
    for schedule_id in delivery.due_schedules(now)[:free]:
        send_report.delay(schedule_id=schedule_id)
    exports.prune(now)


@shared_task
def send_report(*, schedule_id: int) -> None:
    """Mail one scheduled report, unless that has been done meanwhile."""
    delivery.deliver(schedule_id, now=timezone.now())


@shared_task
def make_file(*, file_id: int) -> None:
    """Make one file that a member ordered, unless another worker is at it."""
    exports.make(file_id)
