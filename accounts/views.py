"""The pages around the organizations: the door, the choice of one, and being turned away."""

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from accounts.forms import SignInForm
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission
from accounts.tenancy import NotPermitted, OrganizationRequest


class SignIn(LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the door; a part of a page that asks for itself reloads the whole page instead."""
        if HtmxDetails(request):
            return HttpResponseClientRefresh()
        return super().get(request, *args, **kwargs)


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Go to the one organization, or let people choose."""
    memberships = list(
        Membership.objects.filter(user=cast(User, request.user))
        .select_related("organization")
        .order_by("organization__name")
    )
    if len(memberships) == 1:
        return redirect("integrations:index", memberships[0].organization.slug)
    return render(request, "accounts/home.html", {"memberships": memberships})


def who_can_help(
    organization: Organization, permission: Permission = Permission.MANAGE_CONNECTIONS
) -> list[str]:
    """The members who may do this themselves, by name."""
    memberships = Membership.objects.filter(
        organization=organization, role__in=permission.roles, user__is_active=True
    ).select_related("user")
    return sorted(str(membership.user) for membership in memberships)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 403 page: says which permission is missing and who has it."""
    context: dict[str, Any] = {"reason": str(exception)}
    if isinstance(exception, NotPermitted):
        organization = cast(OrganizationRequest, request).organization
        context["needed"] = exception.needed
        context["helpers"] = who_can_help(organization, exception.permission)
    return render(request, "403.html", context, status=403)
