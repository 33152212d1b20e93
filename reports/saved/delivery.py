"""Sends scheduled reports: what is due goes out once, however many workers and ticks there are."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.urls import reverse

from accounts import audit, deadlines, mail
from accounts.deadlines import TooSlow
from accounts.models import Membership
from integrations.models import Connection
from integrations.status.connections import read_statuses
from reports import engine
from reports.currency import write_in
from reports.engine.spec import ReportSpec, SpecError
from reports.explore.controls import ReportControls, check
from reports.models import ReportSchedule, SavedReport
from reports.render import pivot
from reports.render.exports.registry import EXPORTS, Export, ExportContext
from reports.render.pivot import Pivot

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ROWS = 50  # lines of the table in the mail; the CSV has all
_NAMED = 3  # recipients in the result; the audit log has all
_COMPUTING_SECONDS = 300  # of one mail's report
MAX_ATTACHMENT_BYTES = 5_000_000  # of a file that is still attached to a mail


def due_schedules(now: datetime) -> list[int]:
    """Return due schedules: the first of each organization, then the second, and so on.

    Within an organization, the longest overdue comes first.
    """
    in_turn = Window(
        RowNumber(), partition_by=F("report__organization"), order_by=[F("next_at"), F("pk")]
    )
    schedules = ReportSchedule.objects.filter(is_paused=False, next_at__lte=now)
    return [
        pk
        for pk, _ in schedules.annotate(turn=in_turn)
        .order_by("turn", "next_at", "pk")
        .values_list("pk", "turn")
    ]


@transaction.atomic
def deliver(schedule_id: int, *, now: datetime) -> bool:
    """Send one schedule if it is still due; False if another worker was quicker.

    The commit that moves it to its next time also queues the mail, so each time is sent once. What
    was missed while nothing ran goes out once.
    """
    plan = (
        ReportSchedule.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        .filter(pk=schedule_id, is_paused=False, next_at__lte=now)
        .select_related("report__organization", "created_by")
        .first()
    )
    if plan is None:
        return False
    plan.next_at = plan.time_after(now)
    plan.last_at = now
    plan.last_result = _send(plan, now)[:300]
    plan.save(update_fields=["next_at", "last_at", "last_result"])
    return True


def _send(plan: ReportSchedule, now: datetime) -> str:
    """Queue the mail; say how it went, fit for the page."""
    report, organization = plan.report, plan.report.organization
    author = Membership.objects.active().filter(organization=organization, user=plan.created_by_id)
    if not author.exists():
        return (
            f"Stopped: {plan.created_by or 'its author'} is not an active member. "
            "An Admin can take it over."
        )
    members = (
        Membership.objects.active()
        .filter(organization=organization, user__in=plan.recipients.all())
        .select_related("user")
    )
    to = sorted(member.user.email for member in members)
    if not mail.is_configured():
        return "Not sent: email is not set up."
    if not to:
        return "Not sent: no recipient is a member any more."
    try:
        spec = check(ReportSpec.from_query(report.query, today=now.date()))
        # A statement that is canceled takes its savepoint along, and not what the schedule notes.
        with transaction.atomic(), deadlines.limited(_COMPUTING_SECONDS):
            numbers = engine.run(organization, spec.by_interval())
            write_in(numbers.currency)
            pivot_table = pivot.build(numbers)
    except (SpecError, TooSlow) as error:
        return f"Not sent: {error}"
    address = mail.absolute_url(_address(report))
    export = EXPORTS[plan.attachment]
    content = _limited(export, ExportContext(organization, numbers, address, now))
    files = []
    if content is not None:
        name = export.file_name(organization, numbers.spec)
        files = [mail.Attachment(name, content, export.content_type.partition(";")[0])]
    mail.send(
        to=to,
        subject=f"Report “{report.name_in_mail}”, {ReportControls(numbers.spec).range_label}",
        template="report",
        context={
            "report": report,
            "plan": plan,
            "bar": ReportControls(numbers.spec),
            "pivot": pivot_table,
            "lines": [line for line in pivot_table.lines if not line.is_part][:ROWS],
            "group_label": _group_label(pivot_table),
            "warnings": _warnings(numbers.connections),
            "left_out": _left_out(pivot_table),
            "file_label": export.label,
            "is_attached": content is not None,
            "address": address,
            "read_at": now,
        },
        attachments=files,
    )
    audit.record(
        organization, "schedule", "report.sent", report.name, to=", ".join(to), file=export.name
    )
    return f"Sent to {_named(to)}."


def _named(to: list[str]) -> str:
    """Name the first recipients and count the others."""
    shown, more = to[:_NAMED], len(to) - _NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _warnings(connections: Sequence[Connection]) -> list[str]:
    """Return a sentence per connection whose data is late, partly read or stopped."""
    return [
        " ".join(filter(None, (f"{one.connection.label}: {one.status.word}.", one.sentence)))
        for one in read_statuses(connections)
        if one.status.tone in {"bad", "warn"}
    ]


def _group_label(pivot_table: Pivot) -> str:
    """Name the dimension of the rows: the interval is in the file, and parts of groups are, too."""
    _, *groups = pivot_table.spec.dimension_objects
    return groups[0].label if groups else "All"


def _address(report: SavedReport) -> str:
    """Return the saved report's URL if all recipients may open it, otherwise its settings."""
    slug = report.organization.slug
    if report.is_shared:
        return reverse("reports:open", args=[slug, report.pk])
    return f"{reverse('reports:explore', args=[slug])}?{report.query}"


def _left_out(pivot_table: Pivot) -> int:
    shown = sum(1 for line in pivot_table.lines if not line.is_part)
    return max(0, shown - ROWS) + pivot_table.left_out


class _TooLarge(Exception):
    """The file has more bytes than a mail may carry."""


class _BoundedFile(BytesIO):
    """File in memory that stops growing at the size of an attachment."""

    def write(self, content: "ReadableBuffer") -> int:
        written = super().write(content)
        if self.tell() > MAX_ATTACHMENT_BYTES:
            raise _TooLarge
        return written


def _limited(export: Export, context: ExportContext) -> bytes | None:
    """Return the file, or None as soon as it is too large for a mail."""
    file = _BoundedFile()
    try:
        export.write(context, file)
    except _TooLarge:
        return None
    return file.getvalue()
