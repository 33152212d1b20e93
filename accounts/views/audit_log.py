"""Audit log as a page and as a CSV file."""

from datetime import UTC, datetime

from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.forms import AuditFilterForm
from accounts.permissions import Permission
from accounts.tenancy import OrganizationRequest, permission_required

PAGE_SIZE = 50


def _form(request: OrganizationRequest) -> AuditFilterForm:
    organization = request.organization
    return AuditFilterForm(audit.actions(organization), audit.actors(organization), request.GET)


def _page(request: OrganizationRequest, form: AuditFilterForm) -> HttpResponse:
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        rows = audit.events(request.organization, form.cleaned_filter)
        context |= {
            "page": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
            "is_filtered": form.cleaned_filter != audit.AuditFilter(),
        }
    status = 200 if form.is_valid() else 422
    return render(request, "accounts/audit.html", context, status=status)


@permission_required(Permission.READ_AUDIT_LOG)
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """Show the filtered events, newest first, fifty a page."""
    return _page(request, _form(request))


@permission_required(Permission.READ_AUDIT_LOG)
@require_safe
def as_csv(request: OrganizationRequest) -> HttpResponseBase:
    """Download all filtered events. The download is itself recorded."""
    form = _form(request)
    if not form.is_valid():
        return _page(request, form)
    organization = request.organization
    audit.record(organization, request.user, "audit_log.downloaded", str(form.cleaned_filter))
    return StreamingHttpResponse(
        audit.as_csv(audit.events(organization, form.cleaned_filter)),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{organization.slug}-audit-log-'
            f'{datetime.now(UTC):%Y-%m-%d}.csv"'
        },
    )
