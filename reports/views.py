"""The report page and its download: read the address, ask once, show."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from django.http import HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.tenancy import OrganizationRequest, organization_required
from reports import charts, naming, pivot, queries, querybar
from reports.charts import AnyChart
from reports.coverage import DayState
from reports.export import as_csv
from reports.metrics import Source, Unit
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
    def unknown_days(self) -> int:
        return self.report.coverage.count(DayState.UNKNOWN)

    @property
    def has_usd(self) -> bool:
        return any(metric.unit is Unit.USD for metric in self.report.spec.metric_objects)

    @property
    def lacks_use_without_user(self) -> bool:
        """Are there counts here that per-user feeds brought, and these alone?"""
        return Source.USAGE in self.report.spec.sources and not self.report.coverage.is_whole(
            Source.USAGE
        )


@require_safe
@organization_required
def explore(request: OrganizationRequest) -> HttpResponseBase:
    """The report page. `add` in the address opens the editor of one filter."""
    today = datetime.now(UTC).date()
    context: dict[str, object] = {"printed_at": datetime.now(UTC)}
    query = request.GET.copy()
    adding = query.pop("add", [""])[-1]
    is_edited = "set" in query
    query = querybar.edited(query)
    try:
        spec = querybar.check(ReportSpec.from_query(query or BARE, today=today))
        report = queries.run(request.organization, spec.by_interval())
    except SpecError as error:
        context |= {"error": error, "bar": QueryBar(_nearest(query, today))}
        return _page(request, context, status=422)
    if is_edited and not HtmxDetails(request):
        return redirect(f"{request.path}?{spec.to_query()}")
    laid_out = pivot.build(report)
    context |= {
        "bar": QueryBar(spec, naming.of(report.connections, [f.dimension for f in spec.filters])),
        "result": Result(report, laid_out, charts.draw(laid_out), reconcile(report)),
    }
    if adding.partition(".")[0] in FILTERABLE:
        everything = replace(spec, filters=())
        connections = queries.connections_of(request.organization, everything)
        context["editor"] = querybar.editor(spec, adding, connections)
    response = _page(request, context)
    if HtmxDetails(request):
        response["HX-Push-Url"] = f"{request.path}?{spec.to_query()}"
    return response


@require_safe
@organization_required
def explore_csv(request: OrganizationRequest) -> HttpResponseBase:
    """The rows of the page: its interval first, then its groupings, exact and all of them."""
    today = datetime.now(UTC).date()
    try:
        spec = ReportSpec.from_query(request.GET or BARE, today=today)
        report = queries.run(request.organization, spec.by_interval())
    except SpecError as error:
        return HttpResponse(f"{error}\n", content_type="text/plain; charset=utf-8", status=422)
    name = f"{request.organization.slug}-{spec.window.start}-to-{spec.window.last_day}.csv"
    return StreamingHttpResponse(
        as_csv(report),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


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
