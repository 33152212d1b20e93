"""The operator's admin: Django's own, under our name."""

from django.contrib import admin


class AdminSite(admin.AdminSite):
    site_header = "Spendglass operations"
    site_title = "Spendglass"
    index_title = "Everything on this installation"
