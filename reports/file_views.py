"""The pages of files that workers make: where to wait, where to fetch."""

from django.contrib import messages
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.tenancy import OrganizationRequest, organization_required
from reports import exports
from reports.models import ReportFile
from reports.render.exports.registry import EXPORTS


@require_safe
@organization_required
def index(request: OrganizationRequest) -> HttpResponseBase:
    """List the member's files, newest first."""
    files = ReportFile.objects.of(request.membership).order_by("-requested_at")
    context = {"files": files, "is_waiting": any(file.is_unfinished for file in files)}
    return render(request, "reports/files.html", context)


@require_safe
@organization_required
def file(request: OrganizationRequest, file_pk: int) -> HttpResponseBase:
    """One file: how far it is, and where to fetch it. Looks again by itself until it is ready."""
    return render(request, "reports/file.html", {"file": _own(request, file_pk)})


@require_safe
@organization_required
def download(request: OrganizationRequest, file_pk: int) -> HttpResponseBase:
    """Send the content of a finished file, or the page of an unfinished one."""
    file = _own(request, file_pk)
    if not file.is_ready:
        return redirect("reports:file", request.organization.slug, file.pk)
    audit.record(
        request.organization, request.user, "report.file_downloaded", file.title, file=file.kind
    )
    return StreamingHttpResponse(
        exports.content(file),
        content_type=EXPORTS[file.kind].content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{file.name}"',
            "Content-Length": f"{file.size}",
        },
    )


@organization_required
@require_POST
def delete(request: OrganizationRequest, file_pk: int) -> HttpResponseBase:
    """Remove a file; a worker that makes it stops."""
    file = _own(request, file_pk)
    file.delete()
    messages.success(request, f"{file.name} deleted.")
    return redirect("reports:files", request.organization.slug)


def _own(request: OrganizationRequest, file_pk: int) -> ReportFile:
    """Return a file of the member, or raise 404."""
    return get_object_or_404(ReportFile.objects.of(request.membership), pk=file_pk)
