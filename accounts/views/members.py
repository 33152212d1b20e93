"""Members page: list, invitations and membership operations."""

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, mail, members
from accounts.forms import InviteForm, RoleForm
from accounts.members import MemberError
from accounts.models import Invitation, Membership
from accounts.permissions import Permission, Role
from accounts.tenancy import OrganizationRequest, permission_required
from accounts.views.dialogs import redirect_to, render_dialog

PAGE_SIZE = 50

admin_required = permission_required(Permission.MANAGE_MEMBERS)


def _membership(request: OrganizationRequest, pk: int) -> Membership:
    memberships = Membership.objects.select_related("user", "organization")
    return get_object_or_404(memberships, organization=request.organization, pk=pk)


def _invitation(request: OrganizationRequest, pk: int) -> Invitation:
    return get_object_or_404(Invitation, organization=request.organization, pk=pk)


def _saved_response(request: OrganizationRequest, message: str) -> HttpResponse:
    """Redirect to the list with a success message.

    Users who can no longer see the list go to their start page.
    """
    messages.success(request, message)
    membership = Membership.objects.active().filter(pk=request.membership.pk).first()
    sees_list = membership is not None and membership.may(Permission.MANAGE_MEMBERS)
    address = (
        resolve_url("members", request.organization.slug) if sees_list else resolve_url("home")
    )
    return redirect_to(request, address)


def _error_of(operation: Callable[[], object]) -> MemberError | None:
    """Run the operation and return its error, if any."""
    try:
        operation()
    except MemberError as refused:
        return refused
    return None


def _run_without_dialog(
    request: OrganizationRequest, operation: Callable[[], object], message: str
) -> HttpResponse:
    """Run an operation without a dialog. The list shows its error."""
    problem = _error_of(operation)
    return _page(request, problem) if problem else _saved_response(request, message)


def _page(request: OrganizationRequest, problem: MemberError | None = None) -> HttpResponse:
    q = request.GET.get("q", "").replace("\0", "").strip()[:100]  # PostgreSQL refuses NUL
    memberships = request.organization.memberships.select_related("user").order_by(
        "user__name", "user__email"
    )
    for word in q.split():
        matches = Q(user__name__icontains=word) | Q(user__email__icontains=word)
        memberships = memberships.filter(matches)
    context = {
        "q": q,
        "page": Paginator(memberships, PAGE_SIZE).get_page(request.GET.get("page")),
        "invitations": request.organization.invitations.select_related("invited_by").order_by(
            "email"
        ),
        "problem": problem,
        "sends_mail": mail.is_configured(),
    }
    return render(request, "accounts/members.html", context, status=422 if problem else 200)


@admin_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """List members by name, fifty a page, and open invitations."""
    return _page(request)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: OrganizationRequest) -> HttpResponse:
    """Create an invitation. If email is not configured, show its link once."""
    form = InviteForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            invitation = invitations.invite(
                request.organization,
                email=form.cleaned_data["email"],
                role=form.cleaned_role,
                actor=request.user,
            )
        except MemberError as refused:
            form.add_error("email", str(refused))
        else:
            return _invitation_created(request, invitation)
    sends_mail = mail.is_configured()
    return render_dialog(
        request, "accounts/_invite.html", form=form, roles=Role, sends_mail=sends_mail
    )


@admin_required
@require_POST
def resend(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    """Create a new link for another week and invalidate the previous one."""
    try:
        invitation = invitations.resend(_invitation(request, invitation_pk), actor=request.user)
    except MemberError as refused:
        return _page(request, refused)
    return _invitation_created(request, invitation)


def _invitation_created(request: OrganizationRequest, invitation: Invitation) -> HttpResponse:
    if mail.is_configured():
        return _saved_response(request, f"The invitation goes to {invitation.email} by email.")
    link = request.build_absolute_uri(invitations.path(invitation))
    return render_dialog(
        request, "accounts/_invited.html", answered=True, invitation=invitation, link=link
    )


@admin_required
@require_POST
def revoke(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    invitation = _invitation(request, invitation_pk)
    return _run_without_dialog(
        request,
        lambda: invitations.revoke(invitation, actor=request.user),
        f"Invitation of {invitation.email} revoked.",
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_role(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    posted = request.POST if request.method == "POST" else None
    form = RoleForm(posted, initial={"role": member.role})
    problem = None
    if form.is_valid():
        role = form.cleaned_role
        problem = _error_of(lambda: members.change_role(member, role, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is {role.label} now.")
    return render_dialog(
        request, "accounts/_role.html", form=form, roles=Role, member=member, problem=problem
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def deactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Confirm and deactivate a member. Their saved objects stay."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        problem = _error_of(lambda: members.deactivate(member, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is deactivated.")
    return render_dialog(request, "accounts/_deactivate.html", member=member, problem=problem)


@admin_required
@require_POST
def reactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    return _run_without_dialog(
        request,
        lambda: members.reactivate(member, actor=request.user),
        f"{member.user} is reactivated as {member.get_role_display()}.",
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Confirm and remove a member from the organization."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        problem = _error_of(lambda: members.remove(member, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is removed from the organization.")
    return render_dialog(request, "accounts/_remove.html", member=member, problem=problem)
