"""The notices of who manages connections, and putting them out of one's sight."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe
from django_htmx.middleware import HtmxDetails

from accounts import mail
from accounts.tenancy import OrganizationRequest, connection_manager_required
from integrations import notices
from integrations.models import Notice
from integrations.views.lookups import redirect_to_page

SHOWN = 100


@connection_manager_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """Those that are open for this person first, then the newest of the past."""
    open_ones = list(
        Notice.objects.open_for(request.organization, request.user).select_related("connection")
    )
    past = (
        Notice.objects.filter(organization=request.organization)
        .exclude(pk__in=[notice.pk for notice in open_ones])
        .select_related("connection")
        .order_by("-created_at", "-pk")[:SHOWN]
    )
    context = {"open": open_ones, "past": past, "mail_is_configured": mail.is_configured()}
    return render(request, "integrations/notices.html", context)


@connection_manager_required
@require_POST
def dismiss(request: OrganizationRequest, notice_id: int) -> HttpResponse:
    """One notice. One of another organization is not found and stays as it is."""
    get_object_or_404(Notice, organization=request.organization, pk=notice_id)
    notices.dismiss(request.organization, request.user, notice_id)
    if HtmxDetails(request):  # from the bell: what is left stands in its place
        return render(request, "integrations/_dismissed.html")
    return redirect_to_page(request, "notices")


@connection_manager_required
@require_POST
def dismiss_all(request: OrganizationRequest) -> HttpResponse:
    notices.dismiss(request.organization, request.user)
    return redirect_to_page(request, "notices")
