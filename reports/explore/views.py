"""The report page and its files: read the address, ask once, show."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.limits import limited
from accounts.tenancy import OrganizationRequest, organization_required
from integrations.status.days import DayState
from reports import engine, limits
from reports.catalog import resource_names
from reports.catalog.metrics import Source, Unit
from reports.currency import write_in
from reports.engine import Report
from reports.engine.spec import FILTERABLE, PARAMETERS, ReportSpec, SpecError
from reports.explore import controls, drilldown
from reports.explore.controls import ReportControls
from reports.forecast.columns import ForecastResult, outlook
from reports.models import SavedReport
from reports.reconciliation import Reconciliation, reconcile
from reports.render import charts, pivot
from reports.render.charts import AnyChart
from reports.render.pivot import Pivot

DEFAULT_QUERY = "metrics=cost&range=30d&group_by=service"


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
        """Return True if there are counts here that only per-user feeds report."""
        return Source.USAGE in self.report.spec.sources and not self.report.coverage.is_whole(
            Source.USAGE
        )


@dataclass(frozen=True)
class OpenReport:
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
    """Render the report page. `add` in the URL opens the editor of one filter."""
    today = datetime.now(UTC).date()
    context: dict[str, object] = {"printed_at": datetime.now(UTC)}
    query = request.GET.copy()
    adding = query.pop("add", [""])[-1]
    saved = _saved(request, query.pop("report", [""])[-1])
    number = saved.pk if saved else None
    kept = [("report", str(number))] if number else []
    is_edited = "set" in query
    query = controls.without_lost_sort(controls.apply_filter_edit(query))
    query, context["dropped"] = controls.without_uncut_groupings(query, _shown(request), today)
    try:
        spec = controls.check(ReportSpec.from_query(query or DEFAULT_QUERY, today=today))
        limits.refuse_unanswerable(request.organization, spec)
        report = engine.run(request.organization, spec.by_interval())
        write_in(report.currency)
        ahead = (
            outlook(request.organization, report, today=today)
            if spec.forecast
            else ForecastResult()
        )
        pivot_table = drilldown.with_links(
            pivot.build(report, ahead.columns), spec, report.connections, also=kept
        )
    except SpecError as error:
        context |= {
            "error": error,
            "repairs": controls.repairs(query, error, today),
            "bar": ReportControls(_closest_valid_spec(query, today), report=number),
        }
        return _page(request, context, status=422)
    filtered = [filter_.dimension for filter_ in spec.filters]
    bar = ReportControls(spec, resource_names.of(report.connections, filtered), number)
    if is_edited and not HtmxDetails(request):
        return redirect(f"{request.path}?{bar.query}")
    context |= {
        "outlook": ahead,
        "bar": bar,
        "heads": bar.heads(
            pivot_table.columns,
            pivot_table.currency,
            is_compared=pivot_table.before_window is not None,
        ),
        "opened": saved and OpenReport(saved, spec, saved.may_be_changed_by(request.membership)),
        "result": Result(report, pivot_table, charts.draw(pivot_table), reconcile(report)),
    }
    if adding.partition(".")[0] in FILTERABLE:
        connections = engine.connections_of(request.organization, replace(spec, filters=()))
        context["editor"] = controls.editor(spec, adding, connections, kept)
    response = _page(request, context)
    if HtmxDetails(request):
        response["HX-Push-Url"] = f"{request.path}?{bar.query}"
    return response


def _shown(request: OrganizationRequest) -> QueryDict | None:
    """Return the query of the report that the page shows while it asks for another; or None."""
    address = urlsplit(HtmxDetails(request).current_url or "")
    if address.path != request.path:
        return None
    return QueryDict(address.query or DEFAULT_QUERY)


def _saved(request: OrganizationRequest, number: str) -> SavedReport | None:
    """Return the saved report of a URL; another member's private one is ignored."""
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    seen = SavedReport.objects.seen_by(request.membership).select_related("organization", "owner")
    return seen.filter(pk=number).first()


def _closest_valid_spec(query: QueryDict, today: date) -> ReportSpec:
    """Return the spec without its invalid parts, for the query bar."""
    query = query.copy()
    for _ in PARAMETERS:
        try:
            return controls.check(ReportSpec.from_query(query, today=today))
        except SpecError as error:
            for name in [n for n in query if _field(n) == error.field]:
                del query[name]
    return ReportSpec.from_query(DEFAULT_QUERY, today=today)


def _field(parameter: str) -> str:
    """Return the field that a `SpecError` about this parameter names."""
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
