"""The sync log: what was read when, how it went, and what to tell the provider's support."""

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.tenancy import OrganizationRequest, organization_required
from integrations import log
from integrations.models import SyncRun


@organization_required
@require_safe
def runs(request: OrganizationRequest) -> HttpResponse:
    """Every run, newest first; of one connection and with errors only, if one asks so."""
    labels = log.connections_of(request.organization)
    label, troubled = request.GET.get("connection", ""), request.GET.get("result") == "errors"
    if label and label not in labels:
        raise Http404
    page = log.runs(
        request.organization, label=label, troubled=troubled, page=request.GET.get("page", "1")
    )
    context = {
        "labels": labels,
        "label": label,
        "troubled": troubled,
        "page": page,
        "entries": log.entries(page),
    }
    return render(request, "integrations/log.html", context)


@organization_required
@require_safe
def run(request: OrganizationRequest, run_id: int) -> HttpResponse:
    """One run, part by part: requests, rows, errors with their repair, request ids."""
    sync_run = get_object_or_404(
        SyncRun.objects.select_related("connection", "requested_by"),
        connection__organization=request.organization,
        pk=run_id,
    )
    troubled = request.GET.get("result") == "errors"
    page = log.windows(sync_run, troubled=troubled, page=request.GET.get("page", "1"))
    context = {
        "entry": log.entries([sync_run])[0],
        "troubled": troubled,
        "page": page,
        "parts": log.parts(sync_run, page),
    }
    return render(request, "integrations/run.html", context)
