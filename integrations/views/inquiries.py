"""Asking an expert, and the list of what was asked."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import mail
from accounts.permissions import Permission
from accounts.tenancy import (
    OrganizationRequest,
    connection_manager_required,
    permission_required,
)
from integrations import inquiries, limits
from integrations.forms import InquiryForm
from integrations.models import Connection, ExpertInquiry
from integrations.views.lookups import connector_in_use_or_404, held_up, redirect_to_page


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def inquire(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """Render a question about this connector, or about the connection in `connection`."""
    connector = connector_in_use_or_404(request, connector_slug)
    label = request.GET.get("connection", "").replace("\0", "")  # which PostgreSQL refuses
    connection = None
    if label:
        connection = get_object_or_404(
            Connection,
            organization=request.organization,
            connector_slug=connector.slug,
            label=label,
        )
    diagnosis = inquiries.diagnosis(request.session, request.organization, connector, connection)
    posted = request.POST if request.method == "POST" else None
    form = InquiryForm(posted, initial={"reply_to": request.user.email})
    problem = None
    if form.is_valid():
        try:
            limits.count_inquiry(request.organization, request.user)
        except limits.TooMany as too_many:
            problem = too_many
        else:
            inquiries.submit(
                request.organization,
                connector,
                actor=request.user,
                label=label,
                diagnosis=diagnosis,
                **form.cleaned_data,
            )
            messages.success(request, "Inquiry submitted.")
            return redirect_to_page(request, "inquiries")
    context = {
        "connector": connector,
        "connection": connection,
        "form": form,
        "problem": problem,
        "facts": inquiries.diagnosis_lines(diagnosis),
        "mail_is_configured": mail.is_configured(),
    }
    status = 422 if posted is not None else 200
    return held_up(render(request, "integrations/inquire.html", context, status=status), problem)


@connection_manager_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    visible = inquiries.visible_to(request.membership)
    context = {
        "inquiries": [
            (inquiry, inquiries.diagnosis_lines(inquiry.diagnosis)) for inquiry in visible
        ]
    }
    return render(request, "integrations/inquiries.html", context)


@permission_required(Permission.ANSWER_INQUIRIES)
@require_POST
def close(request: OrganizationRequest, inquiry_id: int) -> HttpResponse:
    inquiry = get_object_or_404(ExpertInquiry, organization=request.organization, pk=inquiry_id)
    inquiries.close(inquiry, actor=request.user)
    messages.success(request, f"Inquiry {inquiry.pk} is closed.")
    return redirect_to_page(request, "inquiries")
