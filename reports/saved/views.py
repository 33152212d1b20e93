"""The pages of saved reports and schedules."""

from datetime import UTC, datetime, timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import mail
from accounts.permissions import Permission
from accounts.tenancy import OrganizationRequest, organization_required, permission_required
from integrations.models import Connection
from reports import saved
from reports.engine.spec import ReportSpec, SpecError
from reports.explore.controls import ReportControls, check
from reports.forms import SavedReportForm, ScheduleForm
from reports.models import ReportSchedule, SavedReport, SavedReportQuerySet
from reports.presets import offered

may_save = permission_required(Permission.SAVE_REPORTS)
_SENT_ALREADY = timedelta(minutes=1)  # no second mail for a second click


@require_safe
@organization_required
def index(request: OrganizationRequest) -> HttpResponseBase:
    """Every report the member sees, the schedules of those, and the presets.

    For Admins also what members who left had for themselves.
    """
    seen = SavedReport.objects.seen_by(request.membership)
    reports = list(seen.select_related("organization", "owner").order_by("name", "pk"))
    plans = ReportSchedule.objects.filter(report__in=reports).order_by("next_at")
    changeable = {report.pk: report.may_be_changed_by(request.membership) for report in reports}
    connections = list(request.organization.connections.exclude(state=Connection.State.DELETING))
    today = datetime.now(UTC).date()
    context = {
        "reports": [(report, changeable[report.pk]) for report in reports],
        "plans": [
            (plan, changeable[plan.report_id])
            for plan in plans.with_author()
            .select_related("report", "created_by")
            .prefetch_related("recipients")
        ],
        "left": _left_behind(request),
        "may_take_over": request.membership.may(Permission.MANAGE_MEMBERS),
        "stopped": _stopped_authors(request),
        "presets": offered(connections, today=today),
        "has_mail": mail.is_configured(),
    }
    return render(request, "reports/index.html", context)


@require_safe
@organization_required
def open_report(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    """Redirect the permanent URL of a saved report to its settings of today."""
    return redirect(_visible(request, report_pk).address)


@require_http_methods(["GET", "HEAD", "POST"])
@may_save
def save(request: OrganizationRequest) -> HttpResponseBase:
    """Name the report whose settings stand in the address."""
    report = SavedReport(organization=request.organization, owner=request.user)
    try:
        spec = _spec(request)
    except SpecError as error:
        return _refused(request, error)
    report.query = spec.to_query()
    form = SavedReportForm(_posted(request), instance=report)
    if request.method == "POST" and form.is_valid():
        saved.save(report, actor=request.user)
        messages.success(request, f"{report.name} is saved.")
        return redirect(report.address)
    if not form.is_bound:
        form.initial["name"] = ReportControls(spec).title[:100]
    return _form(request, "reports/save.html", {"form": form, "bar": ReportControls(spec)})


@require_http_methods(["GET", "HEAD", "POST"])
@may_save
def edit(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    """Rename a report, share it, or make it private again."""
    report = _changeable(request, report_pk)
    form = SavedReportForm(_posted(request), instance=report)
    if request.method == "POST" and form.is_valid():
        saved.save(report, actor=request.user)
        messages.success(request, f"{report.name} is changed.")
        return _to_index(request)
    return _form(request, "reports/edit.html", {"form": form, "report": report})


@may_save
@require_POST
def update(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    """Give a saved report the settings that stand in the address."""
    report = _changeable(request, report_pk)
    try:
        report.query = _spec(request).to_query()
    except SpecError as error:
        return _refused(request, error)
    saved.save(report, actor=request.user)
    messages.success(request, f"{report.name} updated.")
    return redirect(report.address)


@may_save
@require_POST
def duplicate(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    copy = saved.duplicate(_visible(request, report_pk), actor=request.user)
    messages.success(request, f"{copy.name} is yours and private.")
    return redirect(copy.address)


@permission_required(Permission.MANAGE_MEMBERS)
@require_POST
def take_over(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    """Let a member take over a report without an owner."""
    left = get_object_or_404(_left_behind(request), pk=report_pk)
    report = saved.adopt(left, actor=request.user)
    messages.success(request, f"{report.name} is yours now, and still private.")
    return _to_index(request)


@require_http_methods(["GET", "HEAD", "POST"])
@may_save
def delete(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    left = _left_behind(request).filter(pk=report_pk).first()
    report = left or _changeable(request, report_pk)
    if request.method == "POST":
        name = report.name
        saved.delete(report, actor=request.user)
        messages.success(request, f"{name} is deleted.")
        return _to_index(request)
    return render(request, "reports/delete.html", {"report": report})


@require_http_methods(["GET", "HEAD", "POST"])
@may_save
def schedule(request: OrganizationRequest, report_pk: int) -> HttpResponseBase:
    """Have a report mailed regularly."""
    report = _changeable(request, report_pk)
    plan = ReportSchedule(report=report, created_by=request.user)
    return _schedule(request, plan, f"{report.name} goes out")


@require_http_methods(["GET", "HEAD", "POST"])
@may_save
def change_schedule(request: OrganizationRequest, schedule_pk: int) -> HttpResponseBase:
    return _schedule(request, _plan(request, schedule_pk), "It now goes out")


@may_save
@require_POST
def pause(request: OrganizationRequest, schedule_pk: int) -> HttpResponseBase:
    """Pause a schedule; a paused one goes on."""
    plan = _plan(request, schedule_pk)
    saved.pause(plan, is_paused=not plan.is_paused, actor=request.user, now=datetime.now(UTC))
    messages.success(request, f"{plan.report.name} {'is paused' if plan.is_paused else 'goes on'}.")
    return _to_index(request)


@may_save
@require_POST
def send_now(request: OrganizationRequest, schedule_pk: int) -> HttpResponseBase:
    """Send a scheduled report within a minute, besides its regular times."""
    plan, now = _plan(request, schedule_pk), datetime.now(UTC)
    name = plan.report.name
    if not mail.is_configured():
        messages.error(request, f"{name} was not sent: email is not set up.")
    elif plan.is_paused:
        messages.error(request, f"{name} was not sent: its schedule is paused. Resume it first.")
    elif plan.last_at and now - plan.last_at < _SENT_ALREADY:
        messages.error(request, f"{name} was sent less than a minute ago.")
    else:
        saved.send_now(plan, actor=request.user, now=now)
        messages.success(request, f"{name} is sent within a minute.")
    return _to_index(request)


@permission_required(Permission.MANAGE_MEMBERS)
@require_POST
def take_over_schedule(request: OrganizationRequest, schedule_pk: int) -> HttpResponseBase:
    """Let a schedule go on whose author is no active member any more."""
    stopped = ReportSchedule.objects.with_author().filter(
        report__in=SavedReport.objects.seen_by(request.membership), has_author=False
    )
    plan = get_object_or_404(stopped.select_related("report__organization"), pk=schedule_pk)
    saved.take_over_schedule(plan, actor=request.user, now=datetime.now(UTC))
    messages.success(request, f"{plan.report.name} is mailed again, {plan.when}, for you.")
    return _to_index(request)


@may_save
@require_POST
def unschedule(request: OrganizationRequest, schedule_pk: int) -> HttpResponseBase:
    plan = _plan(request, schedule_pk)
    saved.unschedule(plan, actor=request.user)
    messages.success(request, f"{plan.report.name} is no longer mailed {plan.when}.")
    return _to_index(request)


def _schedule(request: OrganizationRequest, plan: ReportSchedule, done: str) -> HttpResponseBase:
    initial = {} if plan.pk else {"recipients": [request.user.pk]}
    form = ScheduleForm(_posted(request), instance=plan, initial=initial)
    if request.method == "POST" and form.is_valid():
        saved.schedule(
            plan,
            recipients=list(form.cleaned_data["recipients"]),
            actor=request.user,
            now=datetime.now(UTC),
        )
        messages.success(request, f"{done} {plan.when}.")
        return _to_index(request)
    context = {"form": form, "plan": plan, "has_mail": mail.is_configured()}
    return _form(request, "reports/schedule.html", context)


def _posted(request: OrganizationRequest) -> QueryDict | None:
    """Return the posted data, which may be empty; None for a form that is only viewed."""
    return request.POST if request.method == "POST" else None


def _visible(request: OrganizationRequest, pk: int) -> SavedReport:
    seen = SavedReport.objects.seen_by(request.membership).select_related("organization", "owner")
    return get_object_or_404(seen, pk=pk)


def _left_behind(request: OrganizationRequest) -> SavedReportQuerySet:
    reports = SavedReport.objects.left_behind(request.membership).order_by("name", "pk")
    return reports.select_related("organization", "owner").prefetch_related("schedules__recipients")


def _stopped_authors(request: OrganizationRequest) -> list[str]:
    """Deactivated members, one for each of their stopped schedules of private reports.

    For Admins, who see neither those reports nor the schedules otherwise.
    """
    if not request.membership.may(Permission.MANAGE_MEMBERS):
        return []
    stopped = ReportSchedule.objects.with_author().filter(  # type: ignore[misc]  # annotated by with_author
        report__organization=request.organization, has_author=False
    )
    hidden = stopped.exclude(report__in=SavedReport.objects.seen_by(request.membership)).exclude(
        report__in=SavedReport.objects.left_behind(request.membership)
    )
    return sorted(str(plan.created_by) for plan in hidden.select_related("created_by"))


def _changeable(request: OrganizationRequest, pk: int) -> SavedReport:
    report = _visible(request, pk)
    if not report.may_be_changed_by(request.membership):
        owner = report.owner or "Its owner"
        raise PermissionDenied(
            f"{owner} and Admins can change {report.name}. Duplicate it to have your own."
        )
    return report


def _plan(request: OrganizationRequest, pk: int) -> ReportSchedule:
    plans = ReportSchedule.objects.filter(
        report__in=SavedReport.objects.seen_by(request.membership)
    )
    plan = get_object_or_404(plans.select_related("report__organization", "report__owner"), pk=pk)
    _changeable(request, plan.report_id)
    return plan


def _spec(request: OrganizationRequest) -> ReportSpec:
    """Return the spec of the URL; raise `SpecError`."""
    query = request.GET.copy()
    query.pop("report", None)
    return check(ReportSpec.from_query(query, today=datetime.now(UTC).date()))


def _refused(request: OrganizationRequest, error: SpecError) -> HttpResponse:
    return render(request, "reports/refused.html", {"error": error}, status=422)


def _form(request: OrganizationRequest, template: str, context: dict[str, object]) -> HttpResponse:
    return render(request, template, context, status=422 if request.method == "POST" else 200)


def _to_index(request: OrganizationRequest) -> HttpResponseRedirect:
    return redirect("reports:index", request.organization.slug)
