"""What workers do for reports. Every task is safe to run twice and safe to lose."""

from celery import shared_task
from django.utils import timezone

from reports import dispatch, exports


@shared_task
def tick() -> None:
    """Have every report mailed and every file made that is due. One that fails stops no other."""
    now = timezone.now()
    for schedule_id in dispatch.due(now):
        send_report.delay(schedule_id=schedule_id)
    for file_id in exports.due(now):
        make_file.delay(file_id=file_id)
    exports.prune(now)


@shared_task
def send_report(*, schedule_id: int) -> None:
    """Mail one scheduled report, unless that has been done meanwhile."""
    dispatch.send(schedule_id, now=timezone.now())


@shared_task
def make_file(*, file_id: int) -> None:
    """Make one file that a member ordered, unless another worker is at it."""
    exports.make(file_id)
