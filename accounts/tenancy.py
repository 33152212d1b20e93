"""The door of every organization page: who is let in, and as what."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import Membership, Organization, User

P = ParamSpec("P")


class OrganizationRequest(HttpRequest):
    """A request that has passed the door. For type checkers; never instantiated."""

    user: User
    organization: Organization
    membership: Membership


View = Callable[Concatenate[OrganizationRequest, P], HttpResponseBase]


def organization_required(view: View[P]) -> Callable[..., HttpResponseBase]:
    """Let members in and set `request.organization` and `request.membership`.

    The view's address names the organization; to everyone else it does not exist (404).
    """

    @wraps(view)
    @login_required
    def inside(
        request: Any, organization_slug: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        membership = (
            Membership.objects.select_related("organization")
            .filter(user=request.user, organization__slug=organization_slug)
            .first()
        )
        if membership is None:
            raise Http404
        request.membership = membership
        request.organization = membership.organization
        return view(request, *args, **kwargs)

    return inside


def connection_manager_required(view: View[P]) -> Callable[..., HttpResponseBase]:
    """As `organization_required`, and the member may manage connections (else 403)."""

    def checked(
        request: OrganizationRequest, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        if not request.membership.may_manage_connections:
            raise PermissionDenied("This needs the permission Billing Profiles Admin.")
        return view(request, *args, **kwargs)

    update_wrapper(checked, view)
    return organization_required(checked)
