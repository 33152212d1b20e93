"""Who belongs to an organization: the list, and the verbs for each member and invitation."""

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
    found = Membership.objects.select_related("user", "organization")
    return get_object_or_404(found, organization=request.organization, pk=pk)


def _invitation(request: OrganizationRequest, pk: int) -> Invitation:
    return get_object_or_404(Invitation, organization=request.organization, pk=pk)


def _saved_response(request: OrganizationRequest, said: str) -> HttpResponse:
    """To the list; whoever just locked themselves out of it, to where they are still let in."""
    messages.success(request, said)
    still = Membership.objects.active().filter(pk=request.membership.pk).first()
    let_in = still is not None and still.may_manage_members
    address = resolve_url("members", request.organization.slug) if let_in else resolve_url("home")
    return redirect_to(request, address)


def _error_response(act: Callable[[], object]) -> MemberError | None:
    """Act; return what stood in the way."""
    try:
        act()
    except MemberError as refused:
        return refused
    return None


def _rate_limited(
    request: OrganizationRequest, act: Callable[[], object], said: str
) -> HttpResponse:
    """An act that needs no question; the list says what stood in the way."""
    problem = _error_response(act)
    return _page(request, problem) if problem else _saved_response(request, said)


def _page(request: OrganizationRequest, problem: MemberError | None = None) -> HttpResponse:
    q = request.GET.get("q", "").replace("\0", "").strip()[:100]  # PostgreSQL refuses NUL
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
    return render(request, "accounts/members.html", context, status=422 if problem else 200)


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
def send_again(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    """A new link, for another week; the one before opens no longer."""
    try:
        invitation = invitations.resend(_invitation(request, invitation_pk), actor=request.user)
    except MemberError as refused:
        return _page(request, refused)
    return _invitation_created(request, invitation)


def _invitation_created(request: OrganizationRequest, invitation: Invitation) -> HttpResponse:
    if mail.is_configured():
        return _saved_response(request, f"The invitation goes to {invitation.email} by e-mail.")
    link = request.build_absolute_uri(invitations.path(invitation))
    return render_dialog(
        request, "accounts/_invited.html", answered=True, invitation=invitation, link=link
    )


@admin_required
@require_POST
def withdraw(request: OrganizationRequest, invitation_pk: int) -> HttpResponse:
    invitation = _invitation(request, invitation_pk)
    return _rate_limited(
        request,
        lambda: invitations.revoke(invitation, actor=request.user),
        f"The invitation of {invitation.email} is withdrawn.",
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_role(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    posted = request.POST if request.method == "POST" else None
    form = RoleForm(posted, initial={"role": member.role})
    problem = None
    if form.is_valid():
        role = form.chosen
        problem = _error_response(lambda: members.change_role(member, role, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is {role.label} now.")
    return render_dialog(
        request, "accounts/_role.html", form=form, roles=Role, member=member, problem=problem
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def deactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Ask, then let the member in no longer. What they made stays."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        problem = _error_response(lambda: members.deactivate(member, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is deactivated.")
    return render_dialog(request, "accounts/_deactivate.html", member=member, problem=problem)


@admin_required
@require_POST
def reactivate(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    member = _membership(request, member_pk)
    return _rate_limited(
        request,
        lambda: members.reactivate(member, actor=request.user),
        f"{member.user} is reactivated as {member.get_role_display()}.",
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: OrganizationRequest, member_pk: int) -> HttpResponse:
    """Ask, then take the member out of the organization."""
    member = _membership(request, member_pk)
    problem = None
    if request.method == "POST":
        problem = _error_response(lambda: members.remove(member, actor=request.user))
        if problem is None:
            return _saved_response(request, f"{member.user} is removed from the organization.")
    return render_dialog(request, "accounts/_remove.html", member=member, problem=problem)
