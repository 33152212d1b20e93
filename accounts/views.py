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
from accounts.models import Membership, Organization, Role, User


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


def who_can_help(organization: Organization) -> list[str]:
    """The members who may manage connections and give roles, by name."""
    memberships = Membership.objects.filter(
        organization=organization,
        role__in=[Role.BILLING_ADMIN, Role.ADMIN],
        user__is_active=True,
    ).select_related("user")
    return sorted(str(membership.user) for membership in memberships)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 403 page: says which permission is missing and who has it."""
    membership: Membership | None = getattr(request, "membership", None)
    context: dict[str, Any] = {
        "reason": str(exception),
        "helpers": who_can_help(membership.organization) if membership else [],
    }
    return render(request, "403.html", context, status=403)
