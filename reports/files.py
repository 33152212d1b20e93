"""The report page as a file: CSV, Excel workbook, picture of the chart."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from tempfile import TemporaryFile

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from accounts import deadlines
from accounts.deadlines import TooSlow
from accounts.limits import limited
from accounts.tenancy import OrganizationRequest, organization_required
from reports import engine, exports, limits
from reports.engine.spec import ReportSpec, SpecError
from reports.explore import controls
from reports.explore.controls import ReportControls
from reports.explore.views import DEFAULT_QUERY
from reports.forecast.columns import ForecastResult, outlook
from reports.models import ReportFile
from reports.render import charts, pivot
from reports.render.exports.png import png

CONTENT_TYPES: dict[str, str] = {
    ReportFile.Kind.CSV: "text/csv; charset=utf-8",
    ReportFile.Kind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
View = Callable[[OrganizationRequest, ReportSpec], HttpResponseBase]


def of_report(view: View) -> Callable[..., HttpResponseBase]:
    """Read the address for a view; a report that cannot be asked is answered with a sentence.

    Who took which numbers away is in the audit log.
    """

    @require_safe
    @organization_required
    @limited
    @wraps(view)
    def file(request: OrganizationRequest) -> HttpResponseBase:
        query = request.GET.copy()
        query.pop("report", None)  # which saved report it was opened from
        try:
            spec = ReportSpec.from_query(query or DEFAULT_QUERY, today=datetime.now(UTC).date())
            limits.refuse_unanswerable(request.organization, spec)
            response = view(request, spec)
        except SpecError as error:
            return HttpResponse(f"{error}\n", content_type="text/plain; charset=utf-8", status=422)
        kind = view.__name__.rpartition("_")[2]
        exports.record(request.organization, request.user, spec, kind)
        return response

    return file


@of_report
def explore_csv(request: OrganizationRequest, spec: ReportSpec) -> HttpResponseBase:
    """Export the rows of the page, interval first, then groupings, exact and complete."""
    return _rows(request, spec, ReportFile.Kind.CSV)


@of_report
def explore_xlsx(request: OrganizationRequest, spec: ReportSpec) -> HttpResponseBase:
    """Export the same rows as a workbook."""
    return _rows(request, spec, ReportFile.Kind.XLSX)


def _rows(
    request: OrganizationRequest, spec: ReportSpec, kind: ReportFile.Kind
) -> HttpResponseBase:
    """Send the file if it is ready soon, otherwise the page where it will be available.

    It is whole before its first byte is sent: what breaks is an error and no short file, a slow
    reader keeps no cursor open, and the length says when a download is cut.
    """
    address = request.build_absolute_uri(f"../explore/?{spec.to_query()}")
    content = TemporaryFile()  # noqa: SIM115  # the response closes it, and so deletes it
    try:
        with deadlines.shorter(exports.DIRECT_SECONDS):
            report = engine.stream(
                request.organization, spec.by_interval(), most=exports.DIRECT_ROWS
            )
            exports.write(report, kind, content, address=address)
    except (TooSlow, engine.TooManyRows):
        content.close()
        ordered = exports.order(request.organization, request.user, kind, spec, address=address)
        return redirect("reports:file", request.organization.slug, ordered.pk)
    content.seek(0)
    return FileResponse(
        content, content_type=CONTENT_TYPES[kind], headers=_named(request, report.spec, kind)
    )


@of_report
def explore_png(request: OrganizationRequest, spec: ReportSpec) -> HttpResponseBase:
    """Export the chart of the page."""
    report = engine.run(request.organization, controls.check(spec).by_interval())
    today = datetime.now(UTC).date()
    ahead = (
        outlook(request.organization, report, today=today) if spec.forecast else ForecastResult()
    )
    pivot_table = pivot.build(report, ahead.columns)
    chart = charts.draw(pivot_table)
    if chart is None:
        raise SpecError(
            "A report without a chart has no image. Choose a chart first.", field="chart"
        )
    picture = png(chart, pivot_table, ReportControls(spec))
    return HttpResponse(
        picture, content_type="image/png", headers=_named(request, report.spec, "png")
    )


def _named(request: OrganizationRequest, spec: ReportSpec, ending: str) -> dict[str, str]:
    name = f"{request.organization.slug}-{spec.window.start}-to-{spec.window.last_day}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{name}"'}
