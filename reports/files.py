"""The report page as a file, in every format of the registry."""

from datetime import UTC, datetime
from tempfile import TemporaryFile

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from accounts import deadlines
from accounts.deadlines import TooSlow
from accounts.limits import limited
from accounts.tenancy import OrganizationRequest, organization_required
from reports import engine, exports, limits
from reports.currency import write_in
from reports.engine import Report, StreamedReport
from reports.engine.spec import ReportSpec, SpecError
from reports.explore.views import DEFAULT_QUERY
from reports.render.exports.registry import EXPORTS, Export, ExportContext


@require_safe
@organization_required
@limited
def export(request: OrganizationRequest, name: str) -> HttpResponseBase:
    """Write the report of this URL in one format; answer an invalid report with a sentence.

    The rows are those of the page: its interval first, then its groupings, exact and all of them.
    The audit log records who exported what.
    """
    query = request.GET.copy()
    query.pop("report", None)  # which saved report it was opened from
    try:
        spec = ReportSpec.from_query(query or DEFAULT_QUERY, today=datetime.now(UTC).date())
        limits.refuse_unanswerable(request.organization, spec)
        response = _write(request, spec, EXPORTS[name])
    except SpecError as error:
        return HttpResponse(f"{error}\n", content_type="text/plain; charset=utf-8", status=422)
    exports.record(request.organization, request.user, spec, name)
    return response


def _write(request: OrganizationRequest, spec: ReportSpec, export: Export) -> HttpResponseBase:
    """Return the file if it is soon written; otherwise redirect to the page where it appears.

    It is whole before its first byte is sent: what breaks is an error and no short file, a slow
    reader keeps no cursor open, and the length says when a download is cut.
    """
    address = request.build_absolute_uri(f"../explore/?{spec.to_query()}")
    content = TemporaryFile()  # noqa: SIM115  # the response closes it, and so deletes it
    try:
        if export.needs_chart:  # no worker draws, so it may take as long as a page
            report = export.read(request.organization, spec)
            if isinstance(report, Report):
                write_in(report.currency)
            export.write(_context(request, report, address), content)
        else:
            with deadlines.shorter(exports.DIRECT_SECONDS):
                report = export.read(
                    request.organization, spec.by_interval(), most=exports.DIRECT_ROWS
                )
                export.write(_context(request, report, address), content)
    except (TooSlow, engine.TooManyRows):
        content.close()
        if export.needs_chart:
            raise
        ordered = exports.order(
            request.organization, request.user, export.name, spec, address=address
        )
        return redirect("reports:file", request.organization.slug, ordered.pk)
    except SpecError:
        content.close()
        raise
    content.seek(0)
    name = export.file_name(request.organization, report.spec)
    return FileResponse(
        content,
        content_type=export.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _context(
    request: OrganizationRequest, report: Report | StreamedReport, address: str
) -> ExportContext:
    return ExportContext(request.organization, report, address, datetime.now(UTC))
