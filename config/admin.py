"""Django admin site for operators."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse


class AdminSite(admin.AdminSite):
    site_header = "Spendglass operations"
    site_title = "Spendglass"
    index_title = "Everything on this installation"
    enable_nav_sidebar = False  # the lists need the width

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the sign-in page, so that its protections cover the admin too."""
        if request.user.is_authenticated:
            raise PermissionDenied("This is for the operators of this installation.")
        return redirect_to_login(request.GET.get("next", reverse("admin:index")))
