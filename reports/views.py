"""The report page and its files: read the address, ask once, show."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.limits import limited
from accounts.tenancy import OrganizationRequest, organization_required
from integrations.days import DayState
from reports import charts, limits, naming, pivot, queries, querybar
from reports.charts import AnyChart
from reports.metrics import Source, Unit
from reports.models import SavedReport
from reports.outlook import Outlook, outlook
from reports.pivot import Pivot
from reports.queries import Report
from reports.querybar import QueryBar
from reports.reconciliation import Reconciliation, reconcile
from reports.spec import FILTERABLE, PARAMETERS, ReportSpec, SpecError

BARE = "metrics=cost&range=30d&group_by=service"


@dataclass(frozen=True)
class Result:
    """Everything the page shows of one report."""

    report: Report
    pivot: Pivot
    chart: AnyChart | None
    reconciliation: Reconciliation | None

    @property
    def empty(self) -> str:
        """Why there is nothing to show; "" if there is."""
        if not self.report.connections:
            return "unmatched" if self.report.spec.filters else "unconnected"
        if any(side.groups for side in self.report.sides):
            return ""
        days = self.report.coverage
        unknown = days.count(DayState.UNKNOWN)
        return "zero" if not unknown else "unknown" if unknown == len(days.window) else "partly"

    @property
    def notes(self) -> tuple[str, ...]:
        return limits.notes(self.report)

    @property
    def unknown_days(self) -> int:
        return self.report.coverage.count(DayState.UNKNOWN)

    @property
    def has_usd(self) -> bool:
        usd = {Unit.USD, Unit.RATE}
        return any(metric.unit in usd for metric in self.report.spec.metric_objects)

    @property
    def lacks_use_without_user(self) -> bool:
        """Are there counts here that per-user feeds brought, and these alone?"""
        return Source.USAGE in self.report.spec.sources and not self.report.coverage.is_whole(
            Source.USAGE
        )


@dataclass(frozen=True)
class Opened:
    """The saved report the settings were opened from, and whether they have changed since."""

    report: SavedReport
    spec: ReportSpec
    may_change: bool

    @property
    def is_edited(self) -> bool:
        return self.spec.to_query() != self.report.query


@require_safe
@organization_required
@limited
def explore(request: OrganizationRequest) -> HttpResponseBase:
    """The report page. `add` in the address opens the editor of one filter."""
    today = datetime.now(UTC).date()
    context: dict[str, object] = {"printed_at": datetime.now(UTC)}
    query = request.GET.copy()
    adding = query.pop("add", [""])[-1]
    saved = _saved(request, query.pop("report", [""])[-1])
    number = saved.pk if saved else None
    is_edited = "set" in query
    query = querybar.edited(query)
    try:
        spec = querybar.check(ReportSpec.from_query(query or BARE, today=today))
        limits.refuse_unanswerable(request.organization, spec)
        report = queries.run(request.organization, spec.by_interval())
        ahead = outlook(request.organization, report, today=today) if spec.forecast else Outlook()
        laid_out = pivot.build(report, ahead.columns)
    except SpecError as error:
        context |= {
            "error": error,
            "repairs": querybar.repairs(query, error, today),
            "bar": QueryBar(_nearest(query, today), report=number),
        }
        return _page(request, context, status=422)
    filtered = [filter_.dimension for filter_ in spec.filters]
    bar = QueryBar(spec, naming.of(report.connections, filtered), number)
    if is_edited and not HtmxDetails(request):
        return redirect(f"{request.path}?{bar.query}")
    context |= {
        "outlook": ahead,
        "bar": bar,
        "opened": saved and Opened(saved, spec, saved.may_be_changed_by(request.membership)),
        "result": Result(report, laid_out, charts.draw(laid_out), reconcile(report)),
    }
    if adding.partition(".")[0] in FILTERABLE:
        connections = queries.connections_of(request.organization, replace(spec, filters=()))
        kept = [("report", str(number))] if number else []
        context["editor"] = querybar.editor(spec, adding, connections, kept)
    response = _page(request, context)
    if HtmxDetails(request):
        response["HX-Push-Url"] = f"{request.path}?{bar.query}"
    return response


def _saved(request: OrganizationRequest, number: str) -> SavedReport | None:
    """The saved report an address names. A link that names somebody else's is a plain link."""
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    seen = SavedReport.objects.seen_by(request.membership).select_related("organization", "owner")
    return seen.filter(pk=number).first()


def _nearest(query: QueryDict, today: date) -> ReportSpec:
    """What is left of an address without the parts that cannot be asked, for the query bar."""
    query = query.copy()
    for _ in PARAMETERS:
        try:
            return querybar.check(ReportSpec.from_query(query, today=today))
        except SpecError as error:
            for name in [n for n in query if _field(n) == error.field]:
                del query[name]
    return ReportSpec.from_query(BARE, today=today)


def _field(parameter: str) -> str:
    """The field that a `SpecError` about this parameter names."""
    if parameter in {"from", "to"}:
        return "range"
    return parameter if parameter in PARAMETERS else "filters"


def _page(
    request: OrganizationRequest, context: dict[str, object], status: int = 200
) -> HttpResponse:
    htmx = HtmxDetails(request)
    is_part = bool(htmx) and not htmx.history_restore_request
    template = "reports/_swap.html" if is_part else "reports/explore.html"
    return render(request, template, context, status=status)
