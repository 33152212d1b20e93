"""Who belongs to an organization: the list, and the verbs for each member and invitation."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts import invitations, mail, members
from accounts.forms import InviteForm, RoleForm
from accounts.members import Refused
from accounts.models import Invitation, Membership
from accounts.permissions import Permission, Role
from accounts.tenancy import OrganizationRequest, permission_required

PAGE_SIZE = 50

admin_required = permission_required(Permission.MANAGE_MEMBERS)


def _membership(request: OrganizationRequest, pk: int) -> Membership:
    found = Membership.objects.select_related("user", "organization")
    return get_object_or_404(found, organization=request.organization, pk=pk)


def _invitation(request: OrganizationRequest, pk: int) -> Invitation:
    return get_object_or_404(Invitation, organization=request.organization, pk=pk)


def _to_members(request: OrganizationRequest) -> HttpResponse:
    """To the list; whoever just locked themselves out of it, to where they are still let in."""
    still = Membership.objects.active().filter(pk=request.membership.pk).first()
    address = (
        resolve_url("members", request.organization.slug)
        if still and still.may_manage_members
        else resolve_url("home")
    )
    return HttpResponseClientRedirect(address) if HtmxDetails(request) else redirect(address)


def _page(
    request: OrganizationRequest, *, problem: Refused | None = None, status: int = 200
) -> HttpResponse:
    q = request.GET.get("q", "").strip()[:100]
    found = request.organization.memberships.select_related("user").order_by(
        "user__name", "user__email"
    )
    for word in q.split():
        found = found.filter(Q(user__name__icontains=word) | Q(user__email__icontains=word))
    context = {
        "q": q,
        "page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "invitations": request.organization.invitations.select_related("invited_by").order_by(
            "email"
        ),
        "problem": problem,
        "sends_mail": mail.is_configured(),
    }
    return render(request, "accounts/members.html", context, status=status)


def _dialog(
    request: OrganizationRequest, name: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """A question: a dialog for htmx, otherwise a page of its own."""
    context["dialog"] = f"accounts/_{name}.html"
    template = context["dialog"] if HtmxDetails(request) else "accounts/dialog.html"
    return render(request, template, context, status=status)


@admin_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """All members by name, fifty a page, and whoever is invited."""
    return _page(request)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: OrganizationRequest) -> HttpResponse:
    """Ask for an e-mail and a role. Without e-mail of our own, show the link, this once."""
    form = InviteForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            invitation = invitations.invite(
                request.organization,
                email=form.cleaned_data["email"],
                role=form.chosen,
                actor=request.user,
            )
        except Refused as refused:
            form.add_error("email", str(refused))
        else:
            return _issued(request, invitation)
    return _dialog(
        request,
        "invite",
        form=form,
        roles=Role,
        sends_mail=mail.is_configured(),
        status=422 if form.is_bound else 200,
    )


@admin_required
@require_POST
def send_again(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    """A new link, for another week; the one before opens no longer."""
    try:
        invitation = invitations.send_again(_invitation(request, invitation_pk), actor=request.user)
    except Refused as refused:
        return _page(request, problem=refused, status=422)
    return _issued(request, invitation)


def _issued(request: OrganizationRequest, invitation: Invitation) -> HttpResponse:
    if mail.is_configured():
        messages.success(request, f"The invitation goes to {invitation.email} by e-mail.")
        return _to_members(request)
    link = request.build_absolute_uri(invitations.path(invitation))
    return _dialog(request, "invited", invitation=invitation, link=link)


@admin_required
@require_POST
def withdraw(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    invitation = _invitation(request, invitation_pk)
    try:
        invitations.withdraw(invitation, actor=request.user)
    except Refused as refused:
        return _page(request, problem=refused, status=422)
    messages.success(request, f"The invitation of {invitation.email} is withdrawn.")
    return _to_members(request)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_role(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    form = RoleForm(
        request.POST if request.method == "POST" else None, initial={"role": member.role}
    )
    problem = None
    if form.is_valid():
        try:
            members.change_role(member, form.chosen, actor=request.user)
        except Refused as refused:
            problem = refused
        else:
            messages.success(request, f"{member.user} is {form.chosen.label} now.")
            return _to_members(request)
    return _dialog(
        request,
        "role",
        form=form,
        roles=Role,
        member=member,
        problem=problem,
        status=422 if form.is_bound else 200,
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def deactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Ask, then let the member in no longer. What they made stays."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        try:
            members.deactivate(member, actor=request.user)
        except Refused as refused:
            problem = refused
        else:
            messages.success(request, f"{member.user} is deactivated.")
            return _to_members(request)
    return _dialog(
        request, "deactivate", member=member, problem=problem, status=422 if problem else 200
    )


@admin_required
@require_POST
def reactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    try:
        members.reactivate(member, actor=request.user)
    except Refused as refused:
        return _page(request, problem=refused, status=422)
    messages.success(request, f"{member.user} is let in again, as {member.get_role_display()}.")
    return _to_members(request)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Ask, then take the member out of the organization."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        try:
            members.remove(member, actor=request.user)
        except Refused as refused:
            problem = refused
        else:
            messages.success(request, f"{member.user} is no member any more.")
            return _to_members(request)
    return _dialog(
        request, "remove", member=member, problem=problem, status=422 if problem else 200
    )
