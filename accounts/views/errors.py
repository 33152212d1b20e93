"""Error pages that need more than their template."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.members import members_with
from accounts.tenancy import NotPermitted, OrganizationRequest


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Render the 403 page with the missing permission and the members who have it."""
    context: dict[str, Any] = {"reason": str(exception)}
    if isinstance(exception, NotPermitted):
        organization = cast(OrganizationRequest, request).organization
        context["needed"] = exception.needed
        context["helpers"] = members_with(organization, exception.permission)
    return render(request, "403.html", context, status=403)
