from django.contrib.admin.apps import AdminConfig


class Admin(AdminConfig):
    """App of the admin site. The first of our apps to be ready, so it registers the checks."""

    default_site = "config.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from config import checks  # noqa: F401 - registers them
