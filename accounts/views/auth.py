"""Sign-in, choice of an organization and invitations."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from accounts import invitations
from accounts.forms import JoinForm, SignInForm
from accounts.models import Invitation, Membership, User


class SignIn(LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the sign-in page. Reload the whole page if a fragment was requested."""
        if HtmxDetails(request):
            return HttpResponseClientRefresh()
        return super().get(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        wait = cast(SignInForm, form).wait_seconds
        if wait:
            response.status_code = 429
            response["Retry-After"] = str(wait)
        return response


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Redirect to the only organization, or list all of them."""
    memberships = list(
        Membership.objects.active()
        .filter(user=cast(User, request.user))
        .select_related("organization")
        .order_by("organization__name")
    )
    if len(memberships) == 1:
        return redirect("start", memberships[0].organization.slug)
    return render(request, "accounts/home.html", {"memberships": memberships})


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Answer the link of an invitation: create an account or join with the existing one."""
    try:
        return _invited(request, invitations.find(token))
    except invitations.InvitationInvalid:
        return render(request, "accounts/invitation_gone.html", status=410)


def _invited(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Show or accept the invitation. Raise `InvitationInvalid` if it was answered."""
    existing = User.objects.with_email(invitation.email).first()
    context: dict[str, Any] = {"invitation": invitation, "existing": existing}
    if request.user.is_authenticated:
        if request.user != existing:
            return render(request, "accounts/invitation_of_another.html", context)
        if request.method == "POST":
            return _join(request, invitations.accept(invitation, existing))
        return render(request, "accounts/invitation.html", context)
    if existing:
        return redirect_to_login(request.path)
    form = JoinForm(invitation, request.POST if request.method == "POST" else None)
    if form.is_valid():
        values = form.cleaned_data
        membership = invitations.accept_as_new(
            invitation, name=values["name"], password=values["password"]
        )
        login(request, membership.user)
        return _join(request, membership)
    status = 422 if form.is_bound else 200
    return render(request, "accounts/invitation.html", {**context, "form": form}, status=status)


def _join(request: HttpRequest, membership: Membership) -> HttpResponse:
    role, organization = membership.get_role_display(), membership.organization
    messages.success(request, f"You joined {organization} as {role}.")
    return redirect("start", organization.slug)
