"""Access control of organization pages."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import Membership, Organization, User
from accounts.permissions import Permission

P = ParamSpec("P")


class NotPermitted(PermissionDenied):
    """The member's role lacks a permission. The 403 page shows which role has it."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.needed = permission.roles[0].label
        super().__init__(f"This needs the permission {self.needed}.")


class OrganizationRequest(HttpRequest):
    """Request of a member. For type checkers only; never instantiated."""

    user: User
    organization: Organization
    membership: Membership


View = Callable[Concatenate[OrganizationRequest, P], HttpResponseBase]


def organization_required(view: View[P]) -> Callable[..., HttpResponseBase]:
    """Require an active membership and set `request.organization` and `request.membership`.

    The URL names the organization. For everyone else the page does not exist (404).
    """

    @wraps(view)
    @login_required
    def in_organization(
        request: Any, organization_slug: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        membership = (
            Membership.objects.active()
            .select_related("organization")
            .filter(user=request.user, organization__slug=organization_slug)
            .first()
        )
        if membership is None:
            raise Http404
        request.membership = membership
        request.organization = membership.organization
        return view(request, *args, **kwargs)

    return in_organization


def permission_required(
    permission: Permission,
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Require a membership as `organization_required` does, with the permission (else 403)."""

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        def checked(
            request: OrganizationRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            if not request.membership.may(permission):
                raise NotPermitted(permission)
            return view(request, *args, **kwargs)

        update_wrapper(checked, view)
        return organization_required(checked)

    return decorate


connection_manager_required = permission_required(Permission.MANAGE_CONNECTIONS)
