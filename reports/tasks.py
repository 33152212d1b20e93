"""What workers do for reports. Every task is safe to run twice and safe to lose."""

from celery import shared_task
from django.utils import timezone

from reports import dispatch


@shared_task
def tick() -> None:
    """Have every report mailed whose time has come. One that cannot be sent stops no other."""
    for schedule_id in dispatch.due(timezone.now()):
        send_report.delay(schedule_id=schedule_id)


@shared_task
def send_report(*, schedule_id: int) -> None:
    """Mail one scheduled report, unless that has been done meanwhile."""
    dispatch.send(schedule_id, now=timezone.now())
