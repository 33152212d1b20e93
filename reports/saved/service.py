"""Create, change and delete saved reports and schedules, each with an audit event."""

from datetime import datetime
from itertools import chain, count

from django.db import transaction

from accounts import audit, quotas
from accounts.models import Organization, User
from reports.models import ReportSchedule, SavedReport

COPY = "Copy of {}"


@transaction.atomic
def save(report: SavedReport, *, actor: User) -> SavedReport:
    """Store a new report, or changes of one."""
    action = "report.saved" if report._state.adding else "report.changed"
    if report._state.adding:
        organization = report.organization
        quotas.check(organization, "saved_reports", organization.saved_reports.all())
    report.save()
    audit.record(report.organization, actor, action, report.name, sharing=report.sharing)
    return report


@transaction.atomic
def duplicate(report: SavedReport, *, actor: User) -> SavedReport:
    """Create a private copy of a report for `actor`."""
    name = _free_name(report.organization, actor, COPY.format(report.name))
    copy = SavedReport(organization=report.organization, owner=actor, name=name, query=report.query)
    return save(copy, actor=actor)


@transaction.atomic
def adopt(report: SavedReport, *, actor: User) -> SavedReport:
    """Give a report without an owner to `actor`; sharing and recipients stay."""
    audit.record(
        report.organization, actor, "report.taken_over", report.name, owner=str(report.owner or "")
    )
    report.name = _free_name(report.organization, actor, report.name)
    left = report.owner
    report.owner = actor
    report.save()
    report.schedules.filter(created_by=left).update(created_by=actor)
    return report


def _free_name(organization: Organization, owner: User, wanted: str) -> str:
    """Return the name, shortened to fit and numbered if the owner uses it already."""
    taken = set(
        SavedReport.objects.filter(organization=organization, owner=owner).values_list(
            "name", flat=True
        )
    )
    longest = SavedReport._meta.get_field("name").max_length or 0
    endings = chain([""], (f" ({number})" for number in count(2)))
    names = (wanted[: longest - len(ending)] + ending for ending in endings)
    return next(name for name in names if name not in taken)


@transaction.atomic
def delete(report: SavedReport, *, actor: User) -> None:
    """Delete a report with its schedules."""
    audit.record(report.organization, actor, "report.deleted", report.name)
    report.delete()


@transaction.atomic
def schedule(
    plan: ReportSchedule, *, recipients: "list[User]", actor: User, now: datetime
) -> ReportSchedule:
    """Store a schedule; it is due the next time its day and hour come."""
    if plan._state.adding:
        organization = plan.report.organization
        kept = ReportSchedule.objects.filter(report__organization=organization)
        quotas.check(organization, "schedules", kept)
    plan.next_at = plan.time_after(now)
    plan.save()
    plan.recipients.set(recipients)
    audit.record(
        plan.report.organization,
        actor,
        "report.scheduled",
        plan.report.name,
        when=plan.when,
        recipients=len(recipients),
    )
    return plan


@transaction.atomic
def pause(plan: ReportSchedule, *, is_paused: bool, actor: User, now: datetime) -> None:
    """Stop a schedule, or let it go on from its next time."""
    plan.is_paused = is_paused
    if not is_paused:
        plan.next_at = plan.time_after(now)
    plan.save()
    action = "report.schedule_paused" if is_paused else "report.schedule_resumed"
    audit.record(plan.report.organization, actor, action, plan.report.name, when=plan.when)


@transaction.atomic
def send_now(plan: ReportSchedule, *, actor: User, now: datetime) -> None:
    """Make a schedule due at once. Its next regular time stays what it was."""
    plan.next_at = now
    plan.save(update_fields=["next_at"])
    organization = plan.report.organization
    audit.record(organization, actor, "report.send_requested", plan.report.name, when=plan.when)


@transaction.atomic
def take_over_schedule(plan: ReportSchedule, *, actor: User, now: datetime) -> None:
    """Let a schedule go on whose author is no active member any more, from its next time."""
    audit.record(
        plan.report.organization,
        actor,
        "report.schedule_taken_over",
        plan.report.name,
        owner=str(plan.created_by or ""),
        when=plan.when,
    )
    plan.created_by = actor
    plan.next_at = plan.time_after(now)
    plan.save(update_fields=["created_by", "next_at"])


@transaction.atomic
def unschedule(plan: ReportSchedule, *, actor: User) -> None:
    audit.record(
        plan.report.organization, actor, "report.unscheduled", plan.report.name, when=plan.when
    )
    plan.delete()
