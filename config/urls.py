"""All URLs. Those of an organization start with /o/<organization_slug>/."""

from django.contrib import admin
from django.urls import include, path

from api.v1 import api
from config.health import healthz
from config.wellknown import security_txt
from reports.dashboard.views import start

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("o/<slug:organization_slug>/", start, name="start"),
    path("o/<slug:organization_slug>/dashboards/", include("reports.dashboard.urls")),
    path("o/<slug:organization_slug>/integrations/", include("integrations.urls")),
    path("o/<slug:organization_slug>/reports/", include("reports.urls")),
    path("o/<slug:organization_slug>/tokens/", include("api.urls")),
    path("api/v1/", api.urls),
]

handler403 = "accounts.views.errors.forbidden"
